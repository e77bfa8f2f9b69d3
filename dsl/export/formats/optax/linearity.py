"""Which rules are right for complex weights as they stand: those that are linear in the gradients.

A linear rule does to the real and the imaginary part what it would do to each alone, and a norm is
real whatever it is the norm of. A square, a sign or a maximum means something else for a complex
number than the program says.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from ....inference import kinds_of
from ....interpreter import interpret
from ....kinds import Kind
from ....primitive import Primitive, Scope
from ....program import EVAL_W, Program


class Degree(Enum):
    """How a value depends on weights and gradients. REAL: a real number, whatever they are."""

    REAL = "real"
    LINEAR = "linear"
    OTHER = "other"


_SAME = frozenset({"add", "subtract", "negative"})
_NORMS = frozenset({"norm", "global_norm"})
_OF_SHAPE = frozenset({"size", "ndim", "rows", "columns"})


class _DegreeDomain:
    def constant(self, value: float) -> Degree:
        return Degree.REAL

    def apply(self, primitive: Primitive, args: Sequence[Degree]) -> Degree:
        name = primitive.name
        if primitive.scope is Scope.LOSS:
            return Degree.OTHER
        if name in _OF_SHAPE or all(arg is Degree.REAL for arg in args):
            return Degree.REAL
        if Degree.OTHER in args:
            return Degree.OTHER
        if name in _NORMS:
            return Degree.REAL
        real = [arg is Degree.REAL for arg in args]
        linear = (
            (name in _SAME and not any(real))
            or (name in ("multiply", "matmul") and any(real))
            or (name in ("divide", "lead") and real[1])
            or (name == "solve_lower" and real[0])
            or (name == "where" and real == [True, False, False])
            or (name == "lerp" and real == [False, False, True])
        )
        return Degree.LINEAR if linear else Degree.OTHER


def is_linear(program: Program) -> bool:
    """Whether the update, and the point of evaluation, are linear in weights and gradients."""
    kinds = kinds_of(program).state
    start = {}
    for s in program.state:
        tensor = kinds[s.name] is Kind.TENSOR
        # A tensor that starts at a number other than 0 has no imaginary part of its own.
        scalable = isinstance(s.init, str) or s.init == 0
        start[s.name] = Degree.REAL if not tensor else Degree.LINEAR if scalable else Degree.OTHER
    inputs = dict.fromkeys(program.inputs, Degree.REAL)
    inputs |= {name: Degree.LINEAR for name in ("w", "g") if name in program.inputs}
    outcome = interpret(program, _DegreeDomain(), inputs | start)
    kept = all(outcome.env[name] is degree for name, degree in start.items())
    point = outcome.env.get(EVAL_W, Degree.LINEAR)
    return kept and outcome.result is Degree.LINEAR and point is Degree.LINEAR
