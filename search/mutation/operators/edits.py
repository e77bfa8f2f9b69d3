"""Small edits, as in the Lion paper's section on search.

Insert, delete or modify a statement; multiply a constant by 2**N(0, 1). Not in the paper: add a
running average.
"""

from __future__ import annotations

import math
import random

from ....dsl.expressions import format_number
from ....dsl.inputs import INPUTS
from ....dsl.program import (
    LEARNING_RATE,
    Call,
    Constant,
    Expr,
    Hyperparameter,
    Name,
    Program,
    State,
    Statement,
    replaced,
    subexpressions,
)
from ..base import (
    READABLE,
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
    with_value,
)

# Inputs whose values are known in advance; a running average of them is pointless.
_KNOWN_AHEAD = {name for name in READABLE if INPUTS[name].known_ahead}


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


def scale_constant(program: Program, rng: random.Random, space: Space) -> Draft | None:
    """Multiplies a literal or hyperparameter by 2**N(0, 1); never lr, which is tuned instead."""
    places = [
        (position, index, node)
        for position, expr in enumerate(program.expressions())
        for index, node in enumerate(subexpressions(expr))
        if type(node) is Constant and node.value != 0
    ]
    names = [h for h in program.hyperparameters if h.name != LEARNING_RATE]
    if not places and not names:
        return None
    chosen = rng.randrange(len(places) + len(names))
    if chosen >= len(places):
        return _with_default(program, names[chosen - len(places)], rng)
    position, index, node = places[chosen]
    old = program.expressions()[position]
    replacement = Constant(_scaled(node.value, rng))
    return with_value(program, position, replaced(old, index, replacement))


def add_state(program: Program, rng: random.Random, space: Space) -> Draft | None:
    """Adds a running average of an expression in one statement, which then reads the average."""
    position = rng.randint(0, len(program.body))
    old = program.result if position == len(program.body) else program.body[position].value
    unaveraged = {h.name for h in program.hyperparameters} | _KNOWN_AHEAD
    places = [
        (index, node)
        for index, node in enumerate(subexpressions(old))
        if type(node) is Call or (type(node) is Name and node.id not in unaveraged)
    ]
    if not places:
        return None
    index, averaged = rng.choice(places)
    name = fresh(program, "s")
    decay = Constant(rng.choice(SHARES))
    average = Call("lerp", (averaged, Name(name), decay))
    statement = Statement(name, average)
    reading = with_value(program, position, replaced(old, index, Name(name))).program
    child = changed(
        program,
        average,
        body=(*reading.body[:position], statement, *reading.body[position:]),
        result=reading.result,
        state=(*program.state, State(name, 0.0)),
    )
    return Draft(child, lambda: f"add state {text(statement)}", average)


def _other_call(node: Call, rng: random.Random, space: Space) -> Expr | None:
    """The same arguments under another primitive, or one of the arguments alone."""
    if node.args and rng.random() < 0.3:
        return rng.choice(node.args)
    if len(node.args) not in space.drawn_by_arity:
        return None
    rows, weights = space.drawn_by_arity[len(node.args)]
    (row,) = rng.choices(rows, cum_weights=weights)
    return Call(row.name, node.args)


def _wrapped(node: Expr, names: list[str], rng: random.Random, space: Space) -> Expr | None:
    """The node as an argument of a new primitive."""
    return around(node, random_call(names, rng, space), rng)


def _with_default(
    program: Program, hyperparameter: Hyperparameter, rng: random.Random
) -> Draft | None:
    """The program with another default of a hyperparameter."""
    name, old = hyperparameter.name, hyperparameter.default
    value = _scaled(old, rng)
    if value == old:
        return None
    hyperparameters = tuple(
        [Hyperparameter(name, value) if h is hyperparameter else h for h in program.hyperparameters]
    )
    return Draft(
        changed(program, None, hyperparameters=hyperparameters),
        lambda: f"{name}: {format_number(old)} → {format_number(value)}",
    )


def _scaled(value: float, rng: random.Random) -> float:
    """Multiplies by 2**N(0, 1) and rounds to five digits. For a value between 0.5 and 1, half of
    the time its distance from 1 is multiplied instead, as suits a decay rate.
    """
    factor = 2.0 ** rng.gauss(0.0, 1.0)
    scaled = 1 - (1 - value) * factor if 0.5 < value < 1 and rng.random() < 0.5 else value * factor
    if not math.isfinite(scaled) or abs(scaled) > 1e12:
        return value
    return float(f"{scaled:.5g}")


MUTATIONS = (
    Mutation("insert", 2, insert),
    Mutation("delete", 2, delete),
    Mutation("modify", 3, modify),
    Mutation("scale_constant", 5, scale_constant),
    Mutation("add_state", 0.5, add_state),
)
