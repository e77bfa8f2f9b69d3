"""The same rule written otherwise, and rules that differ: for tests of the digest."""

from __future__ import annotations

import dataclasses
from random import Random

from evoptax.dsl.inputs import INPUTS
from evoptax.dsl.primitives import PRIMITIVES
from evoptax.dsl.program import (
    EVAL_W,
    LEARNING_RATE,
    Call,
    Constant,
    Expr,
    Name,
    Program,
    State,
    Statement,
    names_in,
    substitute,
)


def renamed(program: Program, rng: Random) -> Program:
    """Variables, states and hyperparameters under other names, states in another order."""
    own = [s.name for s in program.state] + [s.target for s in program.body]
    own += [h.name for h in program.hyperparameters]
    kept = {*INPUTS, EVAL_W, LEARNING_RATE}
    names = sorted(set(own) - kept)
    fresh = [f"x{i}" for i in rng.sample(range(100), len(names))]
    new = dict(zip(names, fresh, strict=True))
    as_names: dict[str, Expr] = {old: Name(name) for old, name in new.items()}
    state = [dataclasses.replace(s, name=new.get(s.name, s.name)) for s in program.state]
    return dataclasses.replace(
        program,
        name="other",
        state=tuple(rng.sample(state, len(state))),
        hyperparameters=tuple(
            dataclasses.replace(h, name=new.get(h.name, h.name)) for h in program.hyperparameters
        ),
        body=tuple(
            Statement(new.get(s.target, s.target), substitute(s.value, as_names))
            for s in program.body
        ),
        result=substitute(program.result, as_names),
    )


def reordered(program: Program, rng: Random) -> Program:
    """Neighbouring statements exchanged where neither reads or overwrites the other's."""
    body = list(program.body)
    for _ in range(3 * len(body)):
        i = rng.randrange(max(1, len(body) - 1))
        if i + 1 >= len(body):
            break
        a, b = body[i : i + 2]
        reads = names_in(a.value) & {b.target} | names_in(b.value) & {a.target}
        if a.target != b.target and not reads:
            body[i : i + 2] = b, a
    return dataclasses.replace(program, body=tuple(body))


def with_dead_code(program: Program, rng: Random) -> Program:
    """Statements and a state that nothing needs."""
    body = list(program.body)
    for i in range(3):
        value = Call("multiply", (Name("w"), Call("sqrt", (Name(f"dead{i - 1}" if i else "g"),))))
        body.insert(rng.randint(i, len(body)) if not i else len(body), Statement(f"dead{i}", value))
    body.append(Statement("unread", Call("add", (Name("unread"), Name("g")))))
    return dataclasses.replace(
        program, state=(*program.state, State("unread", 0.5)), body=tuple(body)
    )


def commuted(program: Program, rng: Random) -> Program:
    """The arguments of commuting primitives exchanged, here and there."""

    def exchange(expr: Expr) -> Expr:
        if not isinstance(expr, Call):
            return expr
        args = tuple(exchange(a) for a in expr.args)
        if PRIMITIVES[expr.primitive].commutative and rng.randrange(2):
            args = args[::-1]
        return Call(expr.primitive, args)

    return _mapped(program, exchange)


def inlined_hyperparameters(program: Program, rng: Random) -> Program:
    """Hyperparameters that are never assigned, written as the constants they default to."""
    assigned = {s.target for s in program.body} | {LEARNING_RATE}
    values: dict[str, Expr] = {
        h.name: Constant(h.default) for h in program.hyperparameters if h.name not in assigned
    }
    kept = tuple(h for h in program.hyperparameters if h.name not in values)
    return dataclasses.replace(
        _mapped(program, lambda expr: substitute(expr, values)), hyperparameters=kept
    )


def _mapped(program: Program, change) -> Program:
    return dataclasses.replace(
        program,
        body=tuple(Statement(s.target, change(s.value)) for s in program.body),
        result=change(program.result),
    )


SAME_RULE = (renamed, reordered, with_dead_code, commuted, inlined_hyperparameters)
