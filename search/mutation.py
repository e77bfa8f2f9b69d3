"""Mutations: one small change of a program, as in the Lion paper's section on search.

Insert a statement, delete one, or modify one; multiply a constant by 2**N(0, 1). A mutation that
breaks the program (an unassigned name, a reduction of a scalar) is drawn again.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from ..dsl.errors import ProgramError
from ..dsl.expressions import MAX_DEPTH, format_expression, format_number
from ..dsl.primitives import PRIMITIVES, Primitive
from ..dsl.program import (
    EVAL_W,
    INPUTS,
    LEARNING_RATE,
    Call,
    Constant,
    Expr,
    Hyperparameter,
    Name,
    Program,
    State,
    Statement,
    subexpressions,
)
from ..dsl.syntax import check

ATTEMPTS = 30

# Training has neither games nor linear systems.
_DRAWN_INPUTS = tuple(name for name in INPUTS if name not in ("role", "A"))
_DRAWN = tuple(row for row in PRIMITIVES.values() if row.searched)
_BY_ARITY: dict[int, tuple[Primitive, ...]] = {
    arity: tuple(row for row in _DRAWN if row.arity == arity)
    for arity in sorted({row.arity for row in _DRAWN})
}


@dataclass(frozen=True, slots=True)
class Mutated:
    """A child program and, in words, what changed."""

    program: Program
    change: str


def mutate(program: Program, rng: random.Random, *, max_state: int = 4) -> Mutated | None:
    """One random mutation that gives a well-formed program; None if none was found.

    Args:
      program: the parent.
      rng: consumed.
      max_state: most state variables in the child.
    """
    for _ in range(ATTEMPTS):
        operator = rng.choices(_OPERATORS, _WEIGHTS)[0]
        mutated = operator(program, rng)
        if mutated is None or len(mutated.program.state) > max_state:
            continue
        try:
            check(mutated.program)
        except ProgramError:
            continue
        if all(_depth(e) <= MAX_DEPTH for e in mutated.program.expressions()):
            return mutated
    return None


def insert(program: Program, rng: random.Random) -> Mutated | None:
    """A new statement: a random primitive of random arguments, at a random place."""
    position = rng.randint(0, len(program.body))
    value = _random_call(program, position, rng)
    targets = [s.target for s in program.body] + [s.name for s in program.state] + ["g"]
    target = rng.choice(targets) if rng.random() < 0.7 else _fresh(program, "x")
    statement = Statement(target, value)
    body = (*program.body[:position], statement, *program.body[position:])
    return Mutated(_declared(program, body=body), f"insert {_text(statement)}")


def delete(program: Program, rng: random.Random) -> Mutated | None:
    """One statement less."""
    if not program.body:
        return None
    position = rng.randrange(len(program.body))
    body = program.body[:position] + program.body[position + 1 :]
    return Mutated(
        dataclasses.replace(program, body=body), f"delete {_text(program.body[position])}"
    )


def modify(program: Program, rng: random.Random) -> Mutated | None:
    """Another primitive or another argument somewhere in one statement."""
    position = rng.randint(0, len(program.body))
    old = program.result if position == len(program.body) else program.body[position].value
    nodes = list(subexpressions(old))
    index = rng.randrange(len(nodes))
    node = nodes[index]
    if isinstance(node, Call) and rng.random() < 0.5:
        replacement = _other_call(node, program, position, rng)
    elif rng.random() < 0.3:
        replacement = _wrapped(node, program, position, rng)
    else:
        replacement = _random_leaf(program, position, rng)
    if replacement is None or replacement == node:
        return None
    return _with_value(program, position, _replaced(old, index, replacement))


def scale_constant(program: Program, rng: random.Random) -> Mutated | None:
    """One literal or hyperparameter times 2**N(0, 1); the learning rate is tuned instead."""
    places: list[tuple[int, int]] = []
    for position, expr in enumerate(program.expressions()):
        for index, node in enumerate(subexpressions(expr)):
            if isinstance(node, Constant) and node.value != 0:
                places.append((position, index))
    names = [h for h in program.hyperparameters if h.name != LEARNING_RATE]
    chosen = rng.randrange(len(places) + len(names)) if places or names else None
    if chosen is None:
        return None
    if chosen >= len(places):
        h = names[chosen - len(places)]
        value = _scaled(h.default, rng)
        if value == h.default:
            return None
        new = tuple(
            Hyperparameter(x.name, value if x is h else x.default) for x in program.hyperparameters
        )
        change = f"{h.name}: {format_number(h.default)} → {format_number(value)}"
        return Mutated(dataclasses.replace(program, hyperparameters=new), change)
    position, index = places[chosen]
    old = list(program.expressions())[position]
    node = list(subexpressions(old))[index]
    assert isinstance(node, Constant)
    replacement = Constant(_scaled(node.value, rng))
    return _with_value(program, position, _replaced(old, index, replacement))


def add_state(program: Program, rng: random.Random) -> Mutated | None:
    """A new running average of something, read in place of it."""
    position = rng.randint(0, len(program.body))
    name = _fresh(program, "s")
    value = _random_leaf(program, position, rng)
    decay = Constant(rng.choice((0.5, 0.9, 0.99, 0.999)))
    if isinstance(value, Constant):
        return None
    statement = Statement(name, Call("lerp", (value, Name(name), decay)))
    body = (*program.body[:position], statement, *program.body[position:])
    state = (*program.state, State(name, 0.0))
    return Mutated(_declared(program, body=body, state=state), f"add state {_text(statement)}")


Operator = Callable[[Program, random.Random], Mutated | None]
_OPERATORS: tuple[Operator, ...] = (insert, delete, modify, scale_constant, add_state)
_WEIGHTS = (3, 2, 4, 3, 0.5)


def _random_call(program: Program, position: int, rng: random.Random) -> Call:
    arity = rng.choices(tuple(_BY_ARITY), [len(rows) for rows in _BY_ARITY.values()])[0]
    row = rng.choice(_BY_ARITY[arity])
    return Call(row.name, tuple(_random_leaf(program, position, rng) for _ in range(arity)))


def _other_call(node: Call, program: Program, position: int, rng: random.Random) -> Expr | None:
    """The same arguments under another primitive, or one of the arguments alone."""
    if node.args and rng.random() < 0.3:
        return rng.choice(node.args)
    row = rng.choice(_BY_ARITY[len(node.args)])
    return Call(row.name, node.args)


def _wrapped(node: Expr, program: Program, position: int, rng: random.Random) -> Expr | None:
    """The node as an argument of a new primitive."""
    call = _random_call(program, position, rng)
    if not call.args:
        return None
    args = list(call.args)
    args[rng.randrange(len(args))] = node
    return Call(call.primitive, tuple(args))


def _random_leaf(program: Program, position: int, rng: random.Random) -> Expr:
    """A variable that has a value before statement `position`, or a constant."""
    if rng.random() < 0.15:
        return Constant(float(f"{rng.choice((1, -1)) * 2 ** rng.gauss(0, 1):.3g}"))
    names = dict.fromkeys(_DRAWN_INPUTS)
    names |= dict.fromkeys(s.name for s in program.state)
    names |= dict.fromkeys(h.name for h in program.hyperparameters)
    names |= dict.fromkeys(s.target for s in program.body[:position] if s.target != EVAL_W)
    return Name(rng.choice(list(names)))


def _declared(program: Program, **changes: object) -> Program:
    """The program with changes, its signature naming every input that is read."""
    changed = dataclasses.replace(program, **changes)  # type: ignore[arg-type]
    read = {e.id for x in changed.expressions() for e in subexpressions(x) if isinstance(e, Name)}
    inputs = tuple(name for name in INPUTS if name in changed.inputs or name in read)
    return dataclasses.replace(changed, inputs=inputs)


def _with_value(program: Program, position: int, value: Expr) -> Mutated:
    """The program with another right-hand side of one statement (or the result)."""
    if position == len(program.body):
        child = _declared(program, result=value)
        old, new = program.result, value
        return Mutated(child, f"return {_short(old)} → {_short(new)}")
    statement = program.body[position]
    new_statement = Statement(statement.target, value)
    body = (*program.body[:position], new_statement, *program.body[position + 1 :])
    change = f"{statement.target} = {_short(statement.value)} → {_short(value)}"
    return Mutated(_declared(program, body=body), change)


def _replaced(expr: Expr, index: int, replacement: Expr) -> Expr:
    """The expression with its index-th subexpression (outermost first) replaced."""
    remaining = index

    def walk(e: Expr) -> Expr:
        nonlocal remaining
        if remaining == 0:
            remaining -= 1
            return replacement
        remaining -= 1
        if isinstance(e, Call):
            args = []
            for arg in e.args:
                args.append(walk(arg) if remaining >= 0 else arg)
            return Call(e.primitive, tuple(args))
        return e

    return walk(expr)


def _scaled(value: float, rng: random.Random) -> float:
    """Times 2**N(0, 1), to three digits. A decay rate near one moves in its distance from one."""
    factor = 2.0 ** rng.gauss(0.0, 1.0)
    scaled = 1 - (1 - value) * factor if 0.5 < value < 1 and rng.random() < 0.5 else value * factor
    if not math.isfinite(scaled) or abs(scaled) > 1e12:
        return value
    return float(f"{scaled:.5g}")


def _fresh(program: Program, letter: str) -> str:
    taken = {s.target for s in program.body} | {s.name for s in program.state}
    taken |= set(program.defaults) | set(INPUTS)
    return next(name for i in range(1, 10_000) if (name := f"{letter}{i}") not in taken)


def _depth(expr: Expr) -> int:
    return 1 + max((_depth(a) for a in expr.args), default=0) if isinstance(expr, Call) else 1


def _text(statement: Statement) -> str:
    return f"{statement.target} = {_short(statement.value)}"


def _short(expr: Expr) -> str:
    text = format_expression(expr)
    return text if len(text) <= 70 else text[:67] + "..."
