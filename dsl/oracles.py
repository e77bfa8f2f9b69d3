"""Which oracles a program asks: the rows of scope LOSS in the table of primitives."""

from __future__ import annotations

from .primitive import Primitive, Scope
from .primitives import PRIMITIVES
from .program import Call, Program, subexpressions

ORACLES = tuple(row for row in PRIMITIVES.values() if row.scope is Scope.LOSS)
_NAMES = frozenset(row.name for row in ORACLES)


def oracles_of(program: Program) -> tuple[Primitive, ...]:
    """The oracles that a program calls, in the order of the table."""
    called = {
        e.primitive
        for root in program.expressions()
        for e in subexpressions(root)
        if type(e) is Call and e.primitive in _NAMES
    }
    return tuple(row for row in ORACLES if row.name in called) if called else ()
