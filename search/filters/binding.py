"""A rule bound to NumPy calls over preallocated arrays: thousands of short runs for little time.

A short run of a rule on few weights costs what Python and NumPy spend around the numbers, not the
numbers. So a rule becomes a list of calls whose arrays are all allocated before the first step, and
every value, be it a number of a tensor or of the model, is held at one full shape: NumPy takes
longer to broadcast than to multiply. Leading axes hold as many independent runs as wanted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from ...dsl.algebra.canonical import Meaning, meaning
from ...dsl.algebra.rewriting import Level
from ...dsl.algebra.terms import CONSTANT, SYMBOL, Term, postorder
from ...dsl.errors import ProgramError
from ...dsl.inference import kinds_of
from ...dsl.inputs import INPUTS
from ...dsl.kinds import Kind
from ...dsl.primitives import PRIMITIVES, Primitive, Scope
from ...dsl.program import LEARNING_RATE, Program
from .by_tensor import TensorByTensor

Array = np.ndarray[Any, Any]
Shapes = Sequence[tuple[int, ...]]
# A function and all it takes; the last argument is the array that gets the value.
Instruction = tuple[Callable[..., object], tuple[Array, ...]]


class BoundRule(Protocol):
    """A rule over arrays of shape (..., N): any number of runs of a model of N weights.

        rule = bind_in_place(program, shapes, start, learning_rates)
        for each step:
            fill rule.inputs["g"] and whatever else of rule.inputs changes
            rule.compute()
            rule.inputs["w"] -= rule.update          # or anything else: w is the caller's
            rule.advance()

    Attributes:
      inputs: the arrays that the rule reads, by reserved name; always `w`, `g` and `lr`, others
        only where the rule needs them. The caller fills them, in place.
      state: the arrays of the state variables that matter, which start as the rule says.
      update: what the last `compute` wants subtracted from w. May be one of `inputs` or of `state`,
        so it is to be read before those change.
      eval_w: where the last `compute` wants the model evaluated; None for at the new w.
    """

    inputs: dict[str, Array]
    state: dict[str, Array]
    update: Array
    eval_w: Array | None

    def compute(self) -> None:
        """Fills `update` and `eval_w`; the state is as it was."""
        ...

    def advance(self) -> None:
        """Moves the state on."""
        ...


def bind_in_place(
    program: Program, shapes: Shapes, start: Array, learning_rates: Array | float
) -> BoundRule:
    """Binds a rule, its hyperparameters other than the learning rate at their defaults.

    Args:
      program: a well-formed program that reads what gates have (see `inputs`).
      shapes: of the parameter tensors.
      start: initial weights, shape (..., N), the tensors side by side; decides the dtype.
      learning_rates: broadcasts to the same shape.

    Inputs start as their default, or 0. Runs should be stepped under
    `np.errstate(all="ignore")`: what is not finite passes through.
    """
    try:
        meant = meaning(program, Level.EXACT, bound_hyperparameters=True)
        return _InPlace(program, meant, [math.prod(s) for s in shapes], start, learning_rates)
    except _NeedsShapes:
        return TensorByTensor(program, shapes, start, learning_rates)


class _NeedsShapes(Exception):
    """Matrix operations, which the search does not draw, need the tensors' true shapes."""


class _InPlace:
    """The fast `BoundRule`. Raises `_NeedsShapes`."""

    def __init__(
        self,
        program: Program,
        meant: Meaning,
        sizes: Sequence[int],
        start: Array,
        learning_rates: Array | float,
    ) -> None:
        self._program = program
        self._like = start
        ends = np.cumsum(sizes)
        self._parts = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        self._firsts = ends - sizes
        self._code: list[Instruction] = []
        self._registers: dict[int, Array] = {}
        self._symbol_kinds: dict[str, Kind] = {}
        self._kinds: dict[int, Kind] = {}
        self.inputs: dict[str, Array] = {
            "w": self._filled(start),
            "g": np.empty_like(start),
            LEARNING_RATE: self._filled(learning_rates),
        }
        self.state: dict[str, Array] = {
            s.name: self._filled(start if isinstance(s.init, str) else s.init)
            for s in program.state
            if s.name in meant.state
        }
        self.update = self._register(meant.result)
        # Copied, where it is a symbol's array, before that moves on.
        self._nexts = [
            (self.state[name], self._copied(term))
            for name, term in meant.state.items()
            if not (term.head == SYMBOL and term.name == name)
        ]
        self.eval_w = None if meant.eval_w is None else self._copied(meant.eval_w)

    def compute(self) -> None:
        for function, args in self._code:
            function(*args)

    def advance(self) -> None:
        for state, value in self._nexts:
            state[:] = value

    def _filled(self, value: Array | float) -> Array:
        array = np.empty_like(self._like)
        array[...] = value
        return array

    def _register(self, term: Term) -> Array:
        """The array of a term; adds the code that fills it at each step."""
        for part in postorder([term], lambda x: x.serial in self._registers):
            if part.serial in self._registers:
                continue
            if part.head == SYMBOL:
                array = self._symbol(part.name)
            elif part.head == CONSTANT:
                array = self._filled(part.value)
            else:
                array = self._call(part)
            self._registers[part.serial] = array
        return self._registers[term.serial]

    def _symbol(self, name: str) -> Array:
        if name in self.state:
            return self.state[name]
        if name not in self.inputs:
            self.inputs[name] = self._filled(INPUTS[name].default or 0.0)
        return self.inputs[name]

    def _call(self, term: Term) -> Array:
        row = PRIMITIVES[term.head]
        if not row.searched:
            raise _NeedsShapes
        args = [self._registers[arg.serial] for arg in term.args]
        array = np.empty_like(self._like)
        if row.scope is Scope.PER_TENSOR:
            function = _REDUCTIONS[row.name]
            for part in self._parts:
                self._code.append((function, (*[x[..., part] for x in args], array[..., part])))
        elif row.scope is Scope.MODEL:
            function = _REDUCTIONS[row.name]
            if self._is_per_tensor(term.args):
                function = self._of_firsts(function)
            self._code.append((function, (*args, array)))
        elif row.name == "lerp":
            x, y, a = args
            self._lerp(term, x, y, a, array)
        else:
            self._code.append((_ELEMENTWISE[row.name], (*args, array)))
        return array

    def _lerp(self, term: Term, x: Array, y: Array, a: Array, out: Array) -> None:
        """(1 - a) * x + a * y, which most rules do most often, without arrays made at each step."""
        one = self._filled(1.0)
        if term.args[2].head == CONSTANT:
            rest = one - a
        else:
            rest = np.empty_like(out)
            self._code.append((np.subtract, (one, a, rest)))
        other = np.empty_like(out)
        self._code += [
            (np.multiply, (rest, x, out)),
            (np.multiply, (a, y, other)),
            (np.add, (out, other, out)),
        ]

    def _copied(self, term: Term) -> Array:
        """The array of a term, or a copy of it where it is one that changes between steps."""
        array = self._register(term)
        if term.head != SYMBOL:
            return array
        copy = np.empty_like(self._like)
        self._code.append((np.positive, (array, copy)))
        return copy

    def _of_firsts(self, function: Callable[..., object]) -> Callable[..., object]:
        """A reduction of numbers per tensor, each of which counts once however often repeated."""
        firsts = self._firsts

        def of_firsts(*args: Array) -> None:
            function(*[x[..., firsts] for x in args[:-1]], args[-1])

        return of_firsts

    def _is_per_tensor(self, terms: Sequence[Term]) -> bool:
        """Whether all are one number per tensor."""
        if not self._symbol_kinds:
            self._symbol_kinds = {name: row.kind for name, row in INPUTS.items()}
            self._symbol_kinds |= kinds_of(self._program).state
        return all(self._kind(term) is Kind.LAYER for term in terms)

    def _kind(self, term: Term) -> Kind:
        kinds = self._kinds
        for part in postorder([term], lambda x: x.serial in kinds):
            if part.serial in kinds:
                continue
            if not part.args:
                kinds[part.serial] = self._symbol_kinds.get(part.name, Kind.SCALAR)
                continue
            row = PRIMITIVES[part.head]
            try:
                kinds[part.serial] = row.kind([kinds[arg.serial] for arg in part.args])
            except ProgramError:
                # Rewriting may have left a reduction with a scalar, as in sum(g**0) = sum(1).
                kinds[part.serial] = Kind.SCALAR if row.scope is Scope.MODEL else Kind.LAYER
        return kinds[term.serial]


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


def _function(row: Primitive, namespace: Any) -> Callable[..., object]:
    """A primitive as a function of its arguments and, last, the array that gets its value."""
    define = row.define
    assert define is not None

    def assign(*args: Array) -> None:
        args[-1][...] = define(namespace, *args[:-1])

    return assign


def _maximum(x: Array, y: Array, out: Array) -> None:
    # These two ufuncs alone do not want their output as a third argument.
    np.maximum(x, y, out=out)


def _minimum(x: Array, y: Array, out: Array) -> None:
    np.minimum(x, y, out=out)


def _elementwise(row: Primitive) -> Callable[..., object]:
    # Most are NumPy's own, of the same name; its `invert` does something else, it inverts bits.
    ufunc = None if row.name == "invert" else getattr(np, row.name, None)
    return ufunc if isinstance(ufunc, np.ufunc) else _function(row, np)


_SEARCHED = [row for row in PRIMITIVES.values() if row.searched and row.define]
_ELEMENTWISE = {row.name: _elementwise(row) for row in _SEARCHED if not row.reduces}
_ELEMENTWISE |= {"maximum": _maximum, "minimum": _minimum}
_REDUCTIONS = {row.name: _function(row, _LastAxis) for row in _SEARCHED if row.reduces}
