"""What a program asks of others: of the loss (scope LOSS), or of other members (scope MEMBERS)."""

from __future__ import annotations

from .primitive import Primitive, Scope
from .primitives import PRIMITIVES
from .program import Call, Program, subexpressions

ORACLES = tuple(row for row in PRIMITIVES.values() if row.scope is Scope.LOSS)
COMBINATIONS = tuple(row for row in PRIMITIVES.values() if row.scope is Scope.MEMBERS)
_NAMES = frozenset(row.name for row in (*ORACLES, *COMBINATIONS))


def oracles_of(program: Program) -> tuple[Primitive, ...]:
    """The oracles that a program calls, in the order of the table."""
    return _called(program, ORACLES)


def combined_by(program: Program) -> tuple[Primitive, ...]:
    """The primitives by which a program combines what members hold, in the same order."""
    return _called(program, COMBINATIONS)


def _called(program: Program, rows: tuple[Primitive, ...]) -> tuple[Primitive, ...]:
    called = {
        e.primitive
        for root in program.expressions()
        for e in subexpressions(root)
        if type(e) is Call and e.primitive in _NAMES
    }
    return tuple(row for row in rows if row.name in called) if called else ()
