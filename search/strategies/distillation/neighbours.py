"""Every program that is one small step away: what a search tries where chance finds nothing."""

from __future__ import annotations

from ....dsl.errors import ProgramError
from ....dsl.primitive import CORE, Scope
from ....dsl.primitives import PRIMITIVES
from ....dsl.program import Call, Constant, Expr, Name, Program, replaced, subexpressions
from .drafts import CONDITIONS, Draft
from .shortening import cleaned

# Costlier primitives are left to chance.
_MOST_COST = 5
_CHEAP = [
    row
    for row in PRIMITIVES.values()
    if row.grammar == CORE
    and row.scope is Scope.ELEMENTWISE
    and not row.expansion
    and row.cost <= _MOST_COST
    and row.name not in CONDITIONS
]
_UNARY = [row for row in _CHEAP if row.arity == 1]
_BINARY = [row for row in _CHEAP if row.arity == 2 and row.cost == 1]
_DECAYS = (0.9, 0.999)


def neighbours(program: Program, *, max_size: int, max_state: int) -> list[Program]:
    """Programs in which one part is the argument of one more cheap primitive, or remembered.

    The other argument, where there is one, is a variable or 1, which a fit may change.
    """
    found: dict[Program, None] = {}
    roots = program.expressions()
    for position, root in enumerate(roots):
        names, _ = Draft(program).names(position)
        others: list[Expr] = [*(Name(name) for name in names), Constant(1.0)]
        for index, part in enumerate(subexpressions(root)):
            if type(part) is Constant:
                continue
            wrapped: list[Expr] = [Call(row.name, (part,)) for row in _UNARY]
            for row in _BINARY:
                wrapped += [Call(row.name, (part, other)) for other in others if other != part]
                if not row.commutative:
                    wrapped += [Call(row.name, (other, part)) for other in others if other != part]
            for new in wrapped:
                draft = Draft(program)
                draft.roots[position] = replaced(root, index, new)
                _keep(found, draft)
            for decay in _DECAYS:
                draft = Draft(program)
                name = draft.fresh()
                draft.state[name] = 0.0
                average = Call("lerp", (part, Name(name), Constant(decay)))
                draft.roots[position] = replaced(root, index, Name(name))
                draft.insert(position, name, average)
                _keep(found, draft)
    return [p for p in found if p.size <= max_size and len(p.state) <= max_state]


def _keep(found: dict[Program, None], draft: Draft) -> None:
    try:
        found[cleaned(draft.program())] = None
    except ProgramError:
        return
