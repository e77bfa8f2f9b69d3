"""Kind inference: whether each value of a program is a scalar, a number per tensor, a tensor, …"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .errors import ProgramError
from .inputs import KINDS
from .interpreter import Outcome, interpret
from .kinds import Kind, join
from .primitive import Primitive, Scope
from .program import EVAL_W, Program


class KindDomain:
    """Elementwise operations broadcast; other primitives have kind functions of their own.

    There are few combinations of a primitive and kinds, so each is looked up after its first time.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Kind] = {}

    def constant(self, value: float) -> Kind:
        if not math.isfinite(value):
            raise ProgramError(f"constants must be finite, not {value}")
        return Kind.SCALAR

    def apply(self, primitive: Primitive, args: Sequence[Kind]) -> Kind:
        key = (primitive.name, *args)
        kind = self._known.get(key)
        if kind is None:
            kind = self._known[key] = self._kind(primitive, args)
        return kind

    def _kind(self, primitive: Primitive, args: Sequence[Kind]) -> Kind:
        try:
            return primitive.kind(args)
        except ProgramError as error:
            raise ProgramError(f"{primitive.name} {error.reason}") from None


KIND_DOMAIN = KindDomain()


@dataclass(frozen=True, slots=True)
class ProgramKinds:
    """The kinds of a whole program.

    Attributes:
      state: the kind of each state variable.
      final: the kind of what every variable holds at the end of a step.
      result: the kind of the update.
    """

    state: Mapping[str, Kind]
    final: Mapping[str, Kind]
    result: Kind


def kinds_of(program: Program) -> ProgramKinds:
    """Infers all kinds.

    A state starts as its initial value's kind and grows to what the program assigns to it, until
    nothing changes: kinds only grow, so this takes at most two rounds per state.

    Raises:
      ProgramError: for a name used before it is assigned, a constant that is not finite, or a
        primitive given a wrong kind.
    """
    state = {
        s.name: KINDS[s.init] if isinstance(s.init, str) else Kind.SCALAR for s in program.state
    }
    inputs = {name: KINDS[name] for name in program.inputs}
    while True:
        try:
            outcome = interpret(program, KIND_DOMAIN, inputs | state)
        except ProgramError:
            # A reduction of a state that is still thought a scalar is no error until kinds settle.
            outcome = interpret(program, _SETTLING, inputs | state)
            if _grown(state, outcome) == state:
                raise
        grown = _grown(state, outcome)
        if grown == state:
            break
        state = grown
    if EVAL_W in outcome.env and outcome.env[EVAL_W] is not Kind.TENSOR:
        raise ProgramError(
            f"{EVAL_W} is the point where the model is evaluated and must be a tensor,"
            f" but it is a {outcome.env[EVAL_W]}",
            node=next(s.value for s in reversed(program.body) if s.target == EVAL_W),
        )
    try:
        join((outcome.result, Kind.TENSOR))
    except ProgramError:
        raise ProgramError(
            f"the update is subtracted from w, but it is a {outcome.result}", node=program.result
        ) from None
    return ProgramKinds(state, dict(outcome.env), outcome.result)


def _grown(state: Mapping[str, Kind], outcome: Outcome[Kind]) -> dict[str, Kind]:
    return {name: join((kind, outcome.env[name])) for name, kind in state.items()}


class _Settling(KindDomain):
    def _kind(self, primitive: Primitive, args: Sequence[Kind]) -> Kind:
        try:
            return primitive.kind(args)
        except ProgramError:
            # Some state is still thought smaller than it is; whatever it grows into decides.
            return kind_of_scalars(primitive)


def kind_of_scalars(primitive: Primitive) -> Kind:
    """The least kind of what a primitive gives, were it given scalars, which it refuses."""
    if primitive.whole:
        return primitive.kind([Kind.TENSOR, *[Kind.SCALAR] * (primitive.arity - 1)])
    return Kind.LAYER if primitive.scope is Scope.PER_TENSOR else Kind.SCALAR


_SETTLING = _Settling()
