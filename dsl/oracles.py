"""What a program asks of others: of the loss (scope LOSS), or of other members (scope MEMBERS)."""

from __future__ import annotations

from .primitive import Primitive, Scope
from .primitives import PRIMITIVES
from .program import Call, Program, subexpressions

ORACLES = tuple(row for row in PRIMITIVES.values() if row.scope is Scope.LOSS)
COMBINATIONS = tuple(row for row in PRIMITIVES.values() if row.scope is Scope.MEMBERS)
_ROWS = (*ORACLES, *COMBINATIONS)
_NAMES = frozenset(row.name for row in _ROWS)


def asked_of_others(program: Program) -> tuple[Primitive, ...]:
    """What a program asks of the loss, then of other members, in the order of the table."""
    called = {
        e.primitive
        for root in program.expressions()
        for e in subexpressions(root)
        if type(e) is Call and e.primitive in _NAMES
    }
    return tuple(row for row in _ROWS if row.name in called) if called else ()


def oracles_of(program: Program) -> tuple[Primitive, ...]:
    """The oracles that a program calls, in the order of the table."""
    return tuple(row for row in asked_of_others(program) if row.scope is Scope.LOSS)


def combined_by(program: Program) -> tuple[Primitive, ...]:
    """The primitives by which a program combines what members hold, in the same order."""
    return tuple(row for row in asked_of_others(program) if row.scope is Scope.MEMBERS)
