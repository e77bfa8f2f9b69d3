"""Grafts: a part of another rule in the place of a part of this one.

The part is an expression together with the statements and states that it is computed from.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

from ....dsl.liveness import without_dead_code
from ....dsl.program import (
    EVAL_W,
    Call,
    Constant,
    Expr,
    Name,
    Program,
    State,
    Statement,
    replaced,
    substitute,
)
from ..base import Draft, Mutation, Space, changed, fresh, short, values_in

# How often the graft is combined with what it would replace, by addition or multiplication.
_COMBINED = 0.2


def graft(program: Program, rng: random.Random, space: Space) -> Draft | None:
    """Replaces a value by one that a known rule computes."""
    return _crossed(program, space.donors, rng, space)


def cross(program: Program, rng: random.Random, space: Space) -> Draft | None:
    """Replaces a value by one that another candidate computes."""
    return _crossed(program, space.mates, rng, space)


def _crossed(
    program: Program, donors: Sequence[Program], rng: random.Random, space: Space
) -> Draft | None:
    if not donors:
        return None
    donor = rng.choice(donors)
    if donor.evaluates_elsewhere:
        return None
    sources = [
        (position, node)
        for position, root in enumerate(donor.expressions())
        for _, node in values_in(root, donor)
        if type(node) is Call
    ]
    if not sources:
        return None
    part = _part(donor, *rng.choice(sources))
    if set(part.inputs) - {*space.inputs, *program.inputs, "w", "g"}:
        return None
    grafted = _renamed(_shared(part, program), program)
    position = len(program.body) if rng.random() < 0.5 else rng.randint(0, len(program.body))
    root = program.expressions()[position]
    places = values_in(root, program)
    if not places:
        return None
    index, node = rng.choice(places)
    value = grafted.result
    if rng.random() < _COMBINED:
        value = Call(rng.choice(("add", "multiply")), (node, value))
    if not all(map(space.draws, (*grafted.expressions(), value))):
        return None
    expr = replaced(root, index, value)
    body = [*program.body]
    if position < len(body):
        body[position] = Statement(body[position].target, expr)
    body[position:position] = grafted.body
    # Everything new, so that inputs that it reads join the signature.
    written = Call("graft", (*(s.value for s in grafted.body), value))
    child = changed(
        program,
        written,
        body=tuple(body),
        state=(*program.state, *grafted.state),
        result=expr if position == len(program.body) else None,
    )
    words = f"{short(node)} → {short(value)} of {donor.name}"
    return Draft(child, lambda: words, value)


def _part(donor: Program, position: int, node: Expr) -> Program:
    """The part of a rule that computes an expression before a statement; its numbers are literals.

    What the rule does to a state after the expression is done before it here, if the state is read
    there; the difference is one step of delay.
    """
    defaults: dict[str, Expr] = {name: Constant(x) for name, x in donor.defaults.items()}
    name = fresh(donor, "u")
    body = [Statement(s.target, substitute(s.value, defaults)) for s in donor.body]
    body.insert(position, Statement(name, substitute(node, defaults)))
    kept = tuple(s for s in body if s.target != EVAL_W)
    part = dataclasses.replace(donor, hyperparameters=(), body=kept, result=Name(name))
    part = without_dead_code(part)
    # The expression is in the place of its name if it is computed last.
    if part.body and part.body[-1].target == name:
        return dataclasses.replace(part, body=part.body[:-1], result=part.body[-1].value)
    return part


def _shared(part: Program, program: Program) -> Program:
    """The part without an average that the program has already, which it reads instead.

    Only the common case: a state of the same name, with the same initial value, whose only
    assignment in both has the same form with perhaps other numbers.
    """
    own = {s.name: s for s in program.state}
    defaults: dict[str, Expr] = {name: Constant(x) for name, x in program.defaults.items()}

    def assigned(of: Program, name: str) -> list[Expr]:
        return [substitute(s.value, defaults) for s in of.body if s.target == name]

    common = {
        s.name
        for s in part.state
        if own.get(s.name) == s
        and len(one := assigned(program, s.name)) == 1
        and len(other := assigned(part, s.name)) == 1
        and _form(one[0]) == _form(other[0])
    }
    return dataclasses.replace(
        part,
        state=tuple(s for s in part.state if s.name not in common),
        body=tuple(s for s in part.body if s.target not in common),
    )


def _form(expr: Expr) -> Expr:
    """The expression with every number replaced by 0."""
    if type(expr) is Call:
        return Call(expr.primitive, tuple(map(_form, expr.args)))
    return Constant(0.0) if type(expr) is Constant else expr


def _renamed(part: Program, program: Program) -> Program:
    """The part with names for its variables that the program does not use."""
    taken = program
    env: dict[str, Expr] = {}

    def named(letter: str) -> str:
        nonlocal taken
        name = fresh(taken, letter)
        taken = dataclasses.replace(taken, body=(*taken.body, Statement(name, Constant(0.0))))
        return name

    states = {s.name: named("s") for s in part.state}
    env |= {name: Name(new) for name, new in states.items()}
    body: list[Statement] = []
    for statement in part.body:
        value = substitute(statement.value, env)
        name = states.get(statement.target) or named("x")
        body.append(Statement(name, value))
        env[statement.target] = Name(name)
    return dataclasses.replace(
        part,
        state=tuple(State(states[s.name], s.init) for s in part.state),
        body=tuple(body),
        result=substitute(part.result, env),
    )


MUTATIONS = (Mutation("graft", 0.5, graft), Mutation("cross", 0.5, cross))
