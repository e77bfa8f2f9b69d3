"""Variation: how one program becomes another, in a search that fits literals by itself.

The edits are of expressions: a part is replaced, wrapped, unwrapped, or remembered from step to
step. What costs less to compute is drawn more often. `mutation` edits statements instead and draws
all primitives alike, which suits rules that are trained; here hundreds of programs a second are
scored, and programs grow from nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import accumulate

from ....dsl.errors import ProgramError
from ....dsl.expressions import MAX_DEPTH
from ....dsl.program import Call, Constant, Expr, Name, Program, names_in, replaced, subexpressions
from .drafts import SAME_ARITY, SAME_ARITY_WEIGHTS, Draft, graft, grown, literal
from .shortening import cleaned

ATTEMPTS = 20


def _depth(rng: random.Random) -> int:
    return rng.choice((1, 1, 2, 2, 3))


def _node(draft: Draft, rng: random.Random) -> tuple[int, int, Expr]:
    """A root, a part of it by number, and the part."""
    position = rng.randrange(len(draft.roots)) if rng.random() < 0.6 else len(draft.roots) - 1
    parts = subexpressions(draft.roots[position])
    index = rng.randrange(len(parts))
    return position, index, parts[index]


def _put(draft: Draft, position: int, index: int, new: Expr) -> None:
    draft.roots[position] = replaced(draft.roots[position], index, new)


def _replace(draft: Draft, rng: random.Random, donors: Sequence[Program]) -> None:
    """A part becomes a random expression."""
    position, index, _ = _node(draft, rng)
    new, position = grown(draft, position, rng.choice((0, 0, 1, 2, 3)), rng)
    _put(draft, position, index, new)


def _wrap(draft: Draft, rng: random.Random, donors: Sequence[Program]) -> None:
    """A part goes inside a random expression."""
    position, index, part = _node(draft, rng)
    new, position = grown(draft, position, _depth(rng), rng, part)
    _put(draft, position, index, new)


def _shift(draft: Draft, rng: random.Random, donors: Sequence[Program]) -> None:
    """A literal is added to a part."""
    position, index, part = _node(draft, rng)
    _put(draft, position, index, Call("add", (part, literal(rng))))


def _hoist(draft: Draft, rng: random.Random, donors: Sequence[Program]) -> None:
    """A call becomes one of its arguments."""
    position, index, part = _node(draft, rng)
    if type(part) is Call:
        _put(draft, position, index, rng.choice(part.args))


def _rename(draft: Draft, rng: random.Random, donors: Sequence[Program]) -> None:
    """A call gets another primitive."""
    position, index, part = _node(draft, rng)
    if type(part) is Call:
        arity = len(part.args)
        row = rng.choices(SAME_ARITY[arity], cum_weights=SAME_ARITY_WEIGHTS[arity])[0]
        args = part.args if rng.random() < 0.8 else part.args[::-1]
        _put(draft, position, index, Call(row.name, args))


def _remember(draft: Draft, rng: random.Random, donors: Sequence[Program]) -> None:
    """A part is read from a new state that follows it."""
    position, index, part = _node(draft, rng)
    new, position = draft.remember(position, part, rng)
    _put(draft, position, index, new)


def _forget(draft: Draft, rng: random.Random, donors: Sequence[Program]) -> None:
    """Where a state is read, what it follows is read instead."""
    position, index, part = _node(draft, rng)
    if type(part) is Name and part.id in draft.targets:
        following = draft.roots[draft.targets.index(part.id)]
        followed = [e for e in subexpressions(following)[1:] if part.id not in names_in(e)]
        if followed:
            _put(draft, position, index, rng.choice(followed))


def _change_literal(draft: Draft, rng: random.Random, donors: Sequence[Program]) -> None:
    """A literal is drawn anew, or moves by a factor, or in its distance from one."""
    places = [
        (position, index, part)
        for position, root in enumerate(draft.roots)
        for index, part in enumerate(subexpressions(root))
        if type(part) is Constant
    ]
    if not places:
        return _replace(draft, rng, donors)
    position, index, part = rng.choice(places)
    assert isinstance(part, Constant)
    drawn, factor = rng.random(), 2.0 ** rng.gauss(0.0, 2.0)
    if drawn < 0.3:
        new = literal(rng)
    elif drawn < 0.65:
        new = Constant(part.value * factor)
    else:
        new = Constant(1 - (1 - part.value) * factor)
    return _put(draft, position, index, new)


def _graft(draft: Draft, rng: random.Random, donors: Sequence[Program]) -> None:
    """A part of another program replaces a part or joins it."""
    donor = rng.choice(donors)
    roots = donor.expressions()
    scion = rng.choice(subexpressions(rng.choice((roots[-1], rng.choice(roots)))))
    position, index, part = _node(draft, rng)
    grafted = graft(draft, donor, scion, position)
    if grafted is None:
        return
    new, position = grafted
    if rng.random() < 0.6:
        row = rng.choices(SAME_ARITY[2], cum_weights=SAME_ARITY_WEIGHTS[2])[0]
        new = Call(row.name, (part, new) if rng.random() < 0.5 else (new, part))
    _put(draft, position, index, new)


Edit = Callable[[Draft, random.Random, Sequence[Program]], None]
_EDITS: tuple[Edit, ...] = (
    _replace,
    _wrap,
    _shift,
    _hoist,
    _rename,
    _remember,
    _forget,
    _change_literal,
    _graft,
)
_EDIT_WEIGHTS = tuple(accumulate((3, 4, 1, 1.5, 1.5, 2, 0.7, 1, 2)))


def vary(
    program: Program,
    donors: Sequence[Program],
    rng: random.Random,
    *,
    max_size: int,
    max_state: int,
) -> Program | None:
    """A child: one edit, often more; None if no well-formed one was found.

    Args:
      program: the parent.
      donors: programs whose parts may be taken.
      rng: consumed.
      max_size: most primitive calls in the child. max_state: most state variables.
    """
    for _ in range(ATTEMPTS):
        draft = Draft(program)
        while True:
            edit = rng.choices(_EDITS, cum_weights=_EDIT_WEIGHTS)[0]
            edit(draft, rng, donors)
            if rng.random() < 0.6:
                break
        try:
            child = cleaned(draft.program())
        except ProgramError:
            continue
        if child.size > max_size or len(child.state) > max_state or child == program:
            continue
        if any(_height(root) > MAX_DEPTH for root in child.expressions()):
            continue
        return child
    return None


def _height(expr: Expr) -> int:
    return 1 + max((_height(a) for a in expr.args), default=0) if type(expr) is Call else 1
