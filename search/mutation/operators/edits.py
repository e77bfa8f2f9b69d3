"""Small edits, as in the Lion paper's section on search.

Insert, delete or modify a statement. Not in the paper: add a state.
"""

from __future__ import annotations

import random

from ....dsl.program import (
    Call,
    Constant,
    Expr,
    Name,
    Program,
    State,
    Statement,
    replaced,
    subexpressions,
)
from ..base import (
    SHARES,
    Draft,
    Mutation,
    Space,
    around,
    changed,
    fresh,
    names_before,
    random_call,
    random_leaf,
    text,
    values_in,
    with_value,
)

# How often a new state is a running average, a running maximum, or the value of the step before.
_FOLLOWS = (0.7, 0.1, 0.2)
# How often a new state is combined with what it follows.
_COMBINED = 0.4


def insert(program: Program, rng: random.Random, space: Space) -> Draft | None:
    """Inserts a statement at a random place: a random primitive with random arguments.

    Usually it assigns to an existing variable and also reads it. Without that, the insertion would
    discard what the program has computed, and the child would hardly ever train.
    """
    position = rng.randint(0, len(program.body))
    names = names_before(program, position, space)
    value = random_call(names, rng, space)
    target = fresh(program, "x")
    if rng.random() < 0.7:
        known = dict.fromkeys([s.target for s in program.body] + [s.name for s in program.state])
        target = rng.choice([*known, "g"])
        if target in names and Name(target) not in value.args and rng.random() < 0.9:
            wrapped = around(Name(target), value, rng)
            if wrapped is None:
                return None
            value = wrapped
    statement = Statement(target, value)
    body = (*program.body[:position], statement, *program.body[position:])
    child = changed(program, value, body=body)
    return Draft(child, lambda: f"insert {text(statement)}", value)


def delete(program: Program, rng: random.Random, space: Space) -> Draft | None:
    """Deletes a random statement."""
    if not program.body:
        return None
    position = rng.randrange(len(program.body))
    deleted = program.body[position]
    body = program.body[:position] + program.body[position + 1 :]
    return Draft(changed(program, None, body=body), lambda: f"delete {text(deleted)}")


def modify(program: Program, rng: random.Random, space: Space) -> Draft | None:
    """Replaces a primitive or an argument somewhere in one statement."""
    position = rng.randint(0, len(program.body))
    old = program.result if position == len(program.body) else program.body[position].value
    nodes = subexpressions(old)
    index = rng.randrange(len(nodes))
    node = nodes[index]
    replacement: Expr | None
    if type(node) is Call and rng.random() < 0.5:
        replacement = _other_call(node, rng, space)
    elif rng.random() < 0.3:
        replacement = _wrapped(node, names_before(program, position, space), rng, space)
    else:
        replacement = random_leaf(names_before(program, position, space), rng)
    if replacement is None or replacement == node:
        return None
    return with_value(program, position, replaced(old, index, replacement))


def add_state(program: Program, rng: random.Random, space: Space) -> Draft | None:
    """Adds a state that follows an expression in one statement, which then reads the state.

    Mostly a running average; also a running maximum, or the value of the step before. It is read in
    the place of the expression, or combined with it.
    """
    position = rng.randint(0, len(program.body))
    old = program.result if position == len(program.body) else program.body[position].value
    places = values_in(old, program)
    if not places:
        return None
    index, followed = rng.choice(places)
    name = fresh(program, "s")
    added, reads = _following(program, followed, name, rng)
    if rng.random() < _COMBINED and 2 in space.drawn_by_arity:
        row = space.draw(rng, 2)
        reads = Call(row.name, (followed, reads) if rng.random() < 0.7 else (reads, followed))
    reading = with_value(program, position, replaced(old, index, reads)).program
    written = added[-1].value
    child = changed(
        program,
        written,
        body=(*reading.body[:position], *added, *reading.body[position:]),
        result=reading.result,
        state=(*program.state, State(name, 0.0)),
    )
    return Draft(child, lambda: f"add state {text(added[-1])}", written)


def _following(
    program: Program, followed: Expr, name: str, rng: random.Random
) -> tuple[list[Statement], Expr]:
    """Statements that update a new state from an expression, and what reads it."""
    kind = rng.choices(("average", "maximum", "before"), weights=_FOLLOWS)[0]
    if kind == "average":
        decay = Constant(rng.choice(SHARES))
        return [Statement(name, Call("lerp", (followed, Name(name), decay)))], Name(name)
    if kind == "maximum":
        return [Statement(name, Call("maximum", (followed, Name(name))))], Name(name)
    before = fresh(program, "x")
    return [Statement(before, Name(name)), Statement(name, followed)], Name(before)


def _other_call(node: Call, rng: random.Random, space: Space) -> Expr | None:
    """The same arguments under another primitive, or one of the arguments alone."""
    if node.args and rng.random() < 0.3:
        return rng.choice(node.args)
    if len(node.args) not in space.drawn_by_arity:
        return None
    return Call(space.draw(rng, len(node.args)).name, node.args)


def _wrapped(node: Expr, names: list[str], rng: random.Random, space: Space) -> Expr | None:
    """The node as an argument of a new primitive."""
    return around(node, random_call(names, rng, space), rng)


MUTATIONS = (
    Mutation("insert", 2, insert),
    Mutation("delete", 2, delete),
    Mutation("modify", 3, modify),
    Mutation("add_state", 1.5, add_state),
)
