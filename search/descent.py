"""A few steps of a rule on a small quadratic, at several learning rates at once, in float64.

Every new candidate takes these steps before it is trained, so they must cost next to nothing: the
rule becomes a list of NumPy calls over preallocated arrays, of shape (learning rates, weights).
All values are held at that shape, a number of a tensor or of the model repeated for its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..dsl.arrays import Leaves, bind
from ..dsl.canonical import Meaning, meaning
from ..dsl.errors import ProgramError
from ..dsl.kinds import kinds_of
from ..dsl.primitives import PRIMITIVES, Primitive, Scope
from ..dsl.program import INPUTS, LEARNING_RATE, Program
from ..dsl.rewriting import Level
from ..dsl.shapes import Kind
from ..dsl.terms import CONSTANT, SYMBOL, Term

STEPS = 6
# Inputs that are not set before or at each step.
_INPUTS = {"T": STEPS, "role": 1.0, "t": 0.0, "loss": 0.0}

# ½ Σ h w² over a matrix and a vector, here side by side, and where it starts.
_SHAPES = ((2, 3), (3,))
_PARTS = (slice(0, 6), slice(6, 9))
_ONE_OF_EACH = slice(0, 7, 6)
_CURVATURE = np.array([1.0, 0.3, 0.1, 0.5, 1.0, 0.2, 1.0, 0.5, 2.0])
_START = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, -1.0, 0.5])

Array = np.ndarray[Any, Any]
# What to call, with what, and the array that gets the value.
Instruction = tuple[Callable[..., object], Sequence[Array], Array]


def _loss(w: Array) -> Array:
    """Of weights along the last axis."""
    return 0.5 * np.add.reduce(_CURVATURE * w * w, -1)


_START_LOSS = _loss(_START)


def descend(program: Program, learning_rates: Sequence[float]) -> Array:
    """Final loss over initial loss for each learning rate; NaN where anything is not finite.

    Args:
      program: a well-formed program that does not read `A`.
      learning_rates: what `lr` is, one descent each.
    """
    meant = meaning(program, Level.EXACT, bound_hyperparameters=True)
    with np.errstate(all="ignore"):
        try:
            w, at = _Descent(program, meant, learning_rates).run()
        except _NeedsShapes:
            w, at = _by_tensor(program, learning_rates)
        # Not finite where the evaluation point is not.
        ratio = _loss(at) / _START_LOSS
        finite = np.isfinite(ratio)
        if at is not w:
            finite &= np.isfinite(w).all(-1)
    return np.where(finite, ratio, np.nan)


class _NeedsShapes(Exception):
    """Matrix operations, which the search does not draw, need the tensors' true shapes."""


class _Descent:
    """A rule bound to arrays. Raises `_NeedsShapes`."""

    def __init__(self, program: Program, meant: Meaning, learning_rates: Sequence[float]) -> None:
        self.program = program
        self.meaning = meant
        self.shape = (len(learning_rates), _START.size)
        self.code: list[Instruction] = []
        self.registers: dict[int, Array] = {}
        self.symbol_kinds: dict[str, Kind] = {}
        self.kinds: dict[int, Kind] = {}
        self.symbols = {
            "w": self.array(_START),
            "g": np.empty(self.shape),
            LEARNING_RATE: self.array(np.array(learning_rates)[:, None]),
        }
        for s in program.state:
            if s.name in meant.state:
                self.symbols[s.name] = self.array(_START if isinstance(s.init, str) else s.init)

    def run(self) -> tuple[Array, Array]:
        """The weights and the evaluation point after some steps."""
        w, g, meant = self.symbols["w"], self.symbols["g"], self.meaning
        update = self.register(meant.result)
        # Copied, where it is a symbol's array, before that moves on.
        nexts = [(self.symbols[name], self.copied(term)) for name, term in meant.state.items()]
        at = w if meant.eval_w is None else self.copied(meant.eval_w)
        t, loss = self.symbols.get("t"), self.symbols.get("loss")
        # NumPy takes longer to broadcast than to multiply.
        curvature = self.array(_CURVATURE)
        for step in range(1, STEPS + 1):
            np.multiply(curvature, w, g)
            if t is not None:
                t.fill(step)
            if loss is not None:
                loss[:] = _loss(w)[:, None]
            for function, args, out in self.code:
                function(*args, out=out)
            np.subtract(w, update, w)
            for state, value in nexts:
                state[:] = value
        return w, at

    def array(self, value: Array | float) -> Array:
        array = np.empty(self.shape)
        array[:] = value
        return array

    def register(self, term: Term) -> Array:
        """The array of a term; adds the code that fills it at each step."""
        known = self.registers.get(term.serial)
        if known is not None:
            return known
        if term.head == SYMBOL:
            if term.name not in self.symbols:
                self.symbols[term.name] = self.array(_INPUTS[term.name])
            array = self.symbols[term.name]
        elif term.head == CONSTANT:
            array = self.array(term.value)
        else:
            function = _FUNCTIONS.get(term.head)
            if function is None:
                raise _NeedsShapes
            args = [self.register(arg) for arg in term.args]
            array = np.empty(self.shape)
            if term.head in _OF_MODEL and self.is_per_tensor(term.args):
                args = [arg[:, _ONE_OF_EACH] for arg in args]
            self.code.append((function, args, array))
        self.registers[term.serial] = array
        return array

    def copied(self, term: Term) -> Array:
        """The array of a term, or a copy of it where it is one that changes between steps."""
        array = self.register(term)
        if term.head != SYMBOL:
            return array
        copy = np.empty(self.shape)
        self.code.append((np.positive, (array,), copy))
        return copy

    def is_per_tensor(self, terms: Sequence[Term]) -> bool:
        """Whether all are one number per tensor, each of which then counts once."""
        if not self.symbol_kinds:
            self.symbol_kinds = {**INPUTS, **kinds_of(self.program).state}
        return all(self.kind(term) is Kind.LAYER for term in terms)

    def kind(self, term: Term) -> Kind:
        if not term.args:
            return self.symbol_kinds.get(term.name, Kind.SCALAR)
        kind = self.kinds.get(term.serial)
        if kind is None:
            row = PRIMITIVES[term.head]
            try:
                kind = row.kind([self.kind(arg) for arg in term.args])
            except ProgramError:
                # Rewriting may have left a reduction with a scalar, as in sum(g**0) = sum(1).
                kind = Kind.SCALAR if row.scope is Scope.MODEL else Kind.LAYER
            self.kinds[term.serial] = kind
        return kind


class _LastAxis:
    """NumPy as the definitions of reductions see it, reducing the last axis alone."""

    sqrt = staticmethod(np.sqrt)

    @staticmethod
    def sum(x: Array) -> Array:
        return np.add.reduce(x, -1, keepdims=True)

    @staticmethod
    def mean(x: Array) -> Array:
        return np.add.reduce(x, -1, keepdims=True) / x.shape[-1]

    @staticmethod
    def max(x: Array) -> Array:
        return np.maximum.reduce(x, -1, keepdims=True)

    @staticmethod
    def min(x: Array) -> Array:
        return np.minimum.reduce(x, -1, keepdims=True)

    @staticmethod
    def std(x: Array) -> Array:
        return np.std(x, -1, keepdims=True)


def _function(row: Primitive) -> Callable[..., object]:
    """A primitive as a function of its arguments and of the array that gets its value."""
    define = row.define
    assert define is not None

    def elementwise(*args: Array, out: Array) -> None:
        out[:] = define(np, *args)

    def per_tensor(*args: Array, out: Array) -> None:
        for part in _PARTS:
            out[:, part] = define(_LastAxis, *(x[:, part] for x in args))

    def of_model(*args: Array, out: Array) -> None:
        out[:] = define(_LastAxis, *args)

    if row.scope is Scope.ELEMENTWISE:
        # Most are NumPy's own, of the same name.
        ufunc = getattr(np, row.name, None)
        return ufunc if isinstance(ufunc, np.ufunc) and row.name not in _NOT_NUMPYS else elementwise
    return per_tensor if row.scope is Scope.PER_TENSOR else of_model


# NumPy's function of this name does something else: it inverts bits.
_NOT_NUMPYS = {"invert"}
_OF_MODEL = {row.name for row in PRIMITIVES.values() if row.scope is Scope.MODEL}
_FUNCTIONS = {
    row.name: _function(row) for row in PRIMITIVES.values() if row.searched and row.define
}


def _by_tensor(program: Program, learning_rates: Sequence[float]) -> tuple[Array, Array]:
    """The same descents one after another, over tensors of their true shapes."""
    rule = bind(program, np, np.float64)
    curvature, start = _leaves(_CURVATURE), _leaves(_START)
    weights, points = [], []
    for learning_rate in learning_rates:
        w = at = start
        state = rule.init(w)
        for t in range(1, STEPS + 1):
            g = Leaves(h * x for h, x in zip(curvature, w, strict=True))
            w, state, at = rule.step(
                w,
                g,
                state,
                t=t,
                T=STEPS,
                loss=_loss(_flat(w)),
                hyper={LEARNING_RATE: learning_rate},
            )
        weights.append(_flat(w))
        points.append(_flat(at))
    return np.stack(weights), np.stack(points)


def _leaves(flat: Array) -> Leaves:
    pairs = zip(_PARTS, _SHAPES, strict=True)
    return Leaves(flat[part].reshape(shape) for part, shape in pairs)


def _flat(leaves: Leaves) -> Array:
    return np.concatenate([np.ravel(leaf) for leaf in leaves])
