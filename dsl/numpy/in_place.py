"""A rule bound to NumPy calls over preallocated arrays: thousands of short runs for little time.

A short run of a rule on few weights costs what Python and NumPy spend around the numbers, not the
numbers. So a rule becomes a list of calls whose arrays are all allocated before the first step, and
every value, be it a number of a tensor or of the model, is held at one full shape: NumPy takes
longer to broadcast than to multiply. Leading axes hold as many independent runs as wanted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from ..algebra.canonical import Meaning, meaning
from ..algebra.rewriting import Level
from ..algebra.terms import CONSTANT, SYMBOL, Term, postorder
from ..errors import ProgramError, UserError
from ..inference import kind_of_scalars, kinds_of
from ..inputs import INPUTS, KINDS, Source, refusal
from ..kinds import Kind
from ..primitive import CORE, Primitive, Scope
from ..primitives import PRIMITIVES
from ..program import LEARNING_RATE, Program
from .functions import GRAMS, Array, Function, Tensors, assigning, columns, combining, filling

Shapes = Sequence[tuple[int, ...]]
# Of arrays (..., N): fills the second with what the loss answers to the first, in each run.
Oracle = Callable[[Array, Array], None]
# A function and all it takes; the last argument is the array that gets the value.
Instruction = tuple[Function, tuple[Array, ...]]


class BoundRule(Protocol):
    """A rule over arrays of shape (..., N): any number of runs of a model of N weights.

        rule = bind_in_place(program, shapes, start, learning_rates)
        for each step:
            fill rule.inputs["g"] and whatever else of rule.inputs changes
            set rule.oracles, if the rule calls any
            rule.compute()
            rule.inputs["w"] -= rule.update          # or anything else: w is the caller's
            rule.advance()

    Attributes:
      inputs: the arrays that the rule reads, by reserved name; always `w`, `g` and `lr`, others
        only where the rule needs them. The caller fills them, in place.
      oracles: by name, those that the rule calls, of this step. The caller sets them.
      state: the arrays of the state variables that matter, which start as the rule says.
      update: what the last `compute` wants subtracted from w. May be one of `inputs` or of `state`,
        so it is to be read before those change.
      eval_w: where the last `compute` wants the model evaluated; None for at the new w.
    """

    inputs: dict[str, Array]
    oracles: dict[str, Oracle]
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
    program: Program,
    shapes: Shapes,
    start: Array,
    learning_rates: Array | float,
    mixing: Array | None = None,
) -> BoundRule:
    """Binds a rule, its hyperparameters other than the learning rate at their defaults.

    Args:
      program: a well-formed program that reads what gates have (see `inputs`).
      shapes: of the parameter tensors.
      start: initial weights, shape (..., N), the tensors side by side; decides the dtype.
        Of a program of members the first axis is that of members.
      learning_rates: broadcasts to the same shape.
      mixing: the mixing matrix, of a program of members.

    Inputs start as their default, or 0. Runs should be stepped under
    `np.errstate(all="ignore")`: what is not finite passes through.
    """
    if refused := refusal(program, Source.GATES):
        raise UserError(f"{program.name} {refused}")
    tensors = Tensors(tuple(shapes))
    try:
        meant = meaning(program, Level.EXACT, bound_hyperparameters=True)
        return _InPlace(program, meant, tensors, start, learning_rates, mixing)
    except _NeedsKinds:
        meant = meaning(program, Level.NONE, bound_hyperparameters=True)
        kinds = kinds_of(program).state
        return _InPlace(program, meant, tensors, start, learning_rates, mixing, kinds)


class _NeedsKinds(Exception):
    """Square matrices are larger or smaller than the weights, so that every kind must be known.

    Exact rewriting forgets some kinds, as in g**0 = 1.
    """


class _InPlace:
    """A `BoundRule`.

    Args:
      state_kinds: of the state, if kinds must be known; then nothing may be rewritten.
      others: as `bind_in_place`.

    Raises:
      _NeedsKinds: if `state_kinds` is missing.
    """

    def __init__(
        self,
        program: Program,
        meant: Meaning,
        tensors: Tensors,
        start: Array,
        learning_rates: Array | float,
        mixing: Array | None,
        state_kinds: Mapping[str, Kind] | None = None,
    ) -> None:
        self._program = program
        self._mixing = mixing
        self._like = start
        self._tensors = tensors
        self._columns = columns(tuple(map(math.prod, tensors.shapes)))
        self._code: list[Instruction] = []
        self._registers: dict[int, Array] = {}
        self._state_kinds = state_kinds
        self._symbol_kinds: dict[str, Kind] = {}
        self._kinds: dict[int, Kind] = {}
        self.inputs: dict[str, Array] = {
            "w": self._filled(start),
            "g": np.empty_like(start),
            LEARNING_RATE: self._filled(learning_rates),
        }
        self.oracles: dict[str, Oracle] = {}
        self.state: dict[str, Array] = {
            s.name: self._filled(start if isinstance(s.init, str) else s.init, self._held(s.name))
            for s in program.state
            if s.name in meant.state
        }
        self.update = self._register(meant.result)
        # Copied, where it is a symbol's array, before that moves on.
        self._nexts = [
            (self.state[name], self._copied(term, self._held(name)))
            for name, term in meant.state.items()
            if not (term.head == SYMBOL and term.name == name)
        ]
        self.eval_w = None if meant.eval_w is None else self._copied(meant.eval_w)

    def _held(self, state: str) -> Kind:
        return Kind.TENSOR if self._state_kinds is None else self._state_kinds[state]

    def compute(self) -> None:
        for function, args in self._code:
            function(*args)

    def advance(self) -> None:
        for state, value in self._nexts:
            state[:] = value

    def _empty(self, kind: Kind = Kind.TENSOR) -> Array:
        if kind in GRAMS:
            return np.empty((*self._like.shape[:-1], self._tensors.width(kind)), self._like.dtype)
        return np.empty_like(self._like)

    def _filled(self, value: Array | float, kind: Kind = Kind.TENSOR) -> Array:
        array = self._empty(kind)
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
        if row.scope is Scope.LOSS:
            return self._asked(term)
        if row.scope is Scope.MEMBERS:
            return self._combined(term, row)
        if row.scope is Scope.PER_TENSOR and (row.grammar != CORE or self._takes_grams(term)):
            return self._call_of_tensors(term, row)
        kind = Kind.TENSOR if self._state_kinds is None else self._kind(term)
        args = [self._held_as(kind, arg) for arg in term.args]
        array = self._empty(kind)
        if row.reduces:
            kinds = [self._kind(arg) for arg in term.args] if row.scope is Scope.MODEL else []
            function = assigning(self._columns.reduction(row, kinds))
            self._code.append((function, (*args, array)))
        elif row.name == "lerp":
            x, y, a = args
            self._lerp(term, x, y, a, array)
        else:
            self._code.append((filling(row.name), (*args, array)))
        return array

    def _asked(self, term: Term) -> Array:
        """What an oracle answers, which is told at each step."""
        array, name = self._empty(), term.head
        args = [self._registers[arg.serial] for arg in term.args]
        self._code.append((lambda *given: self.oracles[name](*given), (*args, array)))
        return array

    def _takes_grams(self, term: Term) -> bool:
        known = self._state_kinds is not None
        return known and any(self._kind(arg) in GRAMS for arg in term.args)

    def _combined(self, term: Term, row: Primitive) -> Array:
        """What members hold together."""
        kind = Kind.TENSOR if self._state_kinds is None else self._kind(term)
        array = self._empty(kind)
        args = [self._held_as(kind, arg) for arg in term.args]
        self._code.append((combining(row, self._mixing), (*args, array)))
        return array

    def _call_of_tensors(self, term: Term, row: Primitive) -> Array:
        """Of what the core grammar does not draw, which is more than sums, means and extremes."""
        kinds = [self._kind(arg) for arg in term.args]
        try:
            kind = row.kind(kinds)
        except ProgramError:
            raise _NeedsKinds from None
        if self._state_kinds is None and not GRAMS.isdisjoint((kind, *kinds)):
            raise _NeedsKinds
        array = self._empty(kind)
        args = [self._registers[arg.serial] for arg in term.args]
        self._code += self._tensors.calls(row, list(zip(args, kinds, strict=True)), array)
        return array

    def _held_as(self, kind: Kind, term: Term) -> Array:
        """The array of a term, spread over the numbers of square matrices if such are asked for."""
        array = self._registers[term.serial]
        if kind not in GRAMS or self._kind(term) in GRAMS:
            return array
        if term.head == CONSTANT:
            return self._filled(term.value, kind)
        wide = self._empty(kind)
        self._code.append((self._tensors.spread(kind), (array, wide)))
        return wide

    def _lerp(self, term: Term, x: Array, y: Array, a: Array, out: Array) -> None:
        """(1 - a) * x + a * y, which most rules do most often, without arrays made at each step."""
        one = np.ones_like(out)
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

    def _copied(self, term: Term, kind: Kind = Kind.TENSOR) -> Array:
        """The array of a term, or a copy of it where it is one that changes between steps."""
        array = self._register(term)
        found = self._held_as(kind, term)
        if term.head != SYMBOL or found is not array:
            return found
        copy = np.empty_like(array)
        self._code.append((np.positive, (array, copy)))
        return copy

    def _kind(self, term: Term) -> Kind:
        kinds = self._kinds
        if not self._symbol_kinds:
            states = self._state_kinds or kinds_of(self._program).state
            self._symbol_kinds = {**KINDS, **states}
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
                kinds[part.serial] = kind_of_scalars(row)
        return kinds[term.serial]
