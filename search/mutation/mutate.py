"""Mutations: one small change of a program, as in the Lion paper's section on search.

Insert a statement, delete one, or modify one; multiply a constant by 2**N(0, 1). A mutation that
breaks the program (an unassigned name, a reduction of a scalar) is drawn again.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate

from ...dsl.errors import ProgramError
from ...dsl.expressions import MAX_DEPTH, format_expression, format_number
from ...dsl.primitives import PRIMITIVES, Primitive
from ...dsl.program import (
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
    replaced,
    subexpressions,
)
from ...dsl.syntax import check
from ...known_algorithms.catalogue import KNOWN
from ..config.settings import READABLE

ATTEMPTS = 30

_DRAWN = tuple(row for row in PRIMITIVES.values() if row.searched)
# By primitive, how many documented rules use it.
_USED = Counter(
    name
    for rule in KNOWN.values()
    for name in {
        part.primitive
        for expr in rule.program.expressions()
        for part in subexpressions(expr)
        if type(part) is Call
    }
)


def _cumulative_weights(rows: Iterable[Primitive]) -> tuple[int, ...]:
    """How often each is drawn: once, and once more for each documented rule that uses it.

    Drawn alike, two in three of all calls would be of functions that no optimizer is made of, and
    those that are would hardly ever meet.
    """
    return tuple(accumulate(1 + _USED[row.name] for row in rows))


_DRAWN_WEIGHTS = _cumulative_weights(_DRAWN)
_BY_ARITY = {
    arity: (rows, _cumulative_weights(rows))
    for arity in sorted({row.arity for row in _DRAWN})
    for rows in [tuple(row for row in _DRAWN if row.arity == arity)]
}
# How often a variable is drawn that holds what the rule computes or carries on, or the gradient,
# for once that others are: weights, hyperparameters and what is the same for all weights.
_OFTEN = 3
# What a random interpolation starts from.
_SHARES = (0.1, 0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True)
class Space:
    """What mutations may reach.

    Attributes:
      max_state: most state variables in a program.
      inputs: those that may be read; a program's own may be read in any case.
      constants_alone: whether nothing but constants and hyperparameters changes.
    """

    max_state: int = 4
    inputs: tuple[str, ...] = READABLE
    constants_alone: bool = False


@dataclass(frozen=True, slots=True)
class Mutated:
    """A child program and, in words, what changed."""

    program: Program
    change: str


@dataclass(frozen=True, slots=True)
class _Draft:
    """A child that may not be well formed.

    Attributes:
      program: the child.
      describe: what changed, in words; asked only of a child that is kept.
      written: the expression that the parent does not have, if there is one.
    """

    program: Program
    describe: Callable[[], str]
    written: Expr | None = None


def mutate(program: Program, rng: random.Random, space: Space = Space()) -> Mutated | None:
    """One random mutation that gives a well-formed program; None if none was found.

    Args:
      program: the parent, which is well formed.
      rng: consumed.
      space: what may be reached.
    """
    for _ in range(ATTEMPTS):
        if space.constants_alone:
            draft = scale_constant(program, rng, space)
        else:
            draft = rng.choices(_OPERATORS, cum_weights=_WEIGHTS)[0](program, rng, space)
        if draft is None or len(draft.program.state) > space.max_state:
            continue
        if draft.written is not None and _depth(draft.written) > MAX_DEPTH:
            continue
        try:
            check(draft.program)
        except ProgramError:
            continue
        return Mutated(draft.program, draft.describe())
    return None


def insert(program: Program, rng: random.Random, space: Space) -> _Draft | None:
    """A new statement at a random place: a random primitive of random arguments.

    Mostly it changes a variable, and reads what that was: one that only overwrites it throws away
    what the program has computed, and hardly ever trains.
    """
    position = rng.randint(0, len(program.body))
    names = _names_before(program, position, space)
    value = _random_call(names, rng)
    target = _fresh(program, "x")
    if rng.random() < 0.7:
        known = dict.fromkeys([s.target for s in program.body] + [s.name for s in program.state])
        target = rng.choice([*known, "g"])
        if target in names and Name(target) not in value.args and rng.random() < 0.9:
            wrapped = _around(Name(target), value, rng)
            if wrapped is None:
                return None
            value = wrapped
    statement = Statement(target, value)
    body = (*program.body[:position], statement, *program.body[position:])
    child = _child(program, value, body=body)
    return _Draft(child, lambda: f"insert {_text(statement)}", value)


def delete(program: Program, rng: random.Random, space: Space) -> _Draft | None:
    """One statement less."""
    if not program.body:
        return None
    position = rng.randrange(len(program.body))
    deleted = program.body[position]
    body = program.body[:position] + program.body[position + 1 :]
    return _Draft(_child(program, None, body=body), lambda: f"delete {_text(deleted)}")


def modify(program: Program, rng: random.Random, space: Space) -> _Draft | None:
    """Another primitive or another argument somewhere in one statement."""
    position = rng.randint(0, len(program.body))
    old = program.result if position == len(program.body) else program.body[position].value
    nodes = subexpressions(old)
    index = rng.randrange(len(nodes))
    node = nodes[index]
    replacement: Expr | None
    if type(node) is Call and rng.random() < 0.5:
        replacement = _other_call(node, rng)
    elif rng.random() < 0.3:
        replacement = _wrapped(node, _names_before(program, position, space), rng)
    else:
        replacement = _random_leaf(_names_before(program, position, space), rng)
    if replacement is None or replacement == node:
        return None
    return _with_value(program, position, replaced(old, index, replacement))


def scale_constant(program: Program, rng: random.Random, space: Space) -> _Draft | None:
    """One literal or hyperparameter times 2**N(0, 1); the learning rate is tuned instead."""
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
    return _with_value(program, position, replaced(old, index, replacement))


def add_state(program: Program, rng: random.Random, space: Space) -> _Draft | None:
    """A new running average of something, read in place of it in one statement."""
    position = rng.randint(0, len(program.body))
    old = program.result if position == len(program.body) else program.body[position].value
    unaveraged = {h.name for h in program.hyperparameters} | {"t", "T"}
    places = [
        (index, node)
        for index, node in enumerate(subexpressions(old))
        if type(node) is Call or (type(node) is Name and node.id not in unaveraged)
    ]
    if not places:
        return None
    index, averaged = rng.choice(places)
    name = _fresh(program, "s")
    decay = Constant(rng.choice(_SHARES))
    average = Call("lerp", (averaged, Name(name), decay))
    statement = Statement(name, average)
    reading = _with_value(program, position, replaced(old, index, Name(name))).program
    child = _child(
        program,
        average,
        body=(*reading.body[:position], statement, *reading.body[position:]),
        result=reading.result,
        state=(*program.state, State(name, 0.0)),
    )
    return _Draft(child, lambda: f"add state {_text(statement)}", average)


Operator = Callable[[Program, random.Random, Space], _Draft | None]
_OPERATORS: tuple[Operator, ...] = (insert, delete, modify, scale_constant, add_state)
_WEIGHTS = tuple(accumulate((2, 2, 3, 5, 0.5)))


def _random_call(names: list[str], rng: random.Random) -> Call:
    (row,) = rng.choices(_DRAWN, cum_weights=_DRAWN_WEIGHTS)
    args = [_random_leaf(names, rng) for _ in range(row.arity)]
    if row.name == "lerp" and rng.random() < 0.7:
        args[2] = Constant(rng.choice(_SHARES))
    return Call(row.name, tuple(args))


def _other_call(node: Call, rng: random.Random) -> Expr:
    """The same arguments under another primitive, or one of the arguments alone."""
    if node.args and rng.random() < 0.3:
        return rng.choice(node.args)
    rows, weights = _BY_ARITY[len(node.args)]
    (row,) = rng.choices(rows, cum_weights=weights)
    return Call(row.name, node.args)


def _wrapped(node: Expr, names: list[str], rng: random.Random) -> Expr | None:
    """The node as an argument of a new primitive."""
    return _around(node, _random_call(names, rng), rng)


def _around(node: Expr, call: Call, rng: random.Random) -> Call | None:
    """The call with the node as one of its arguments; None if it has none."""
    if not call.args:
        return None
    args = list(call.args)
    args[rng.randrange(2 if call.primitive == "lerp" else len(args))] = node
    return Call(call.primitive, tuple(args))


def _random_leaf(names: list[str], rng: random.Random) -> Expr:
    """One of some variables, or a constant."""
    if rng.random() < 0.15:
        return Constant(float(f"{rng.choice((1, -1)) * 2 ** rng.gauss(0, 1):.3g}"))
    return Name(rng.choice(names))


def _names_before(program: Program, position: int, space: Space) -> list[str]:
    """The variables that have a value before statement `position`, each as often as it is drawn."""
    others = dict.fromkeys((*space.inputs, *program.inputs))
    others |= dict.fromkeys([h.name for h in program.hyperparameters])
    often = dict.fromkeys(["g"] if "g" in others else [])
    often |= dict.fromkeys([s.name for s in program.state])
    often |= dict.fromkeys([s.target for s in program.body[:position] if s.target != EVAL_W])
    return [*(name for name in others if name not in often), *_OFTEN * list(often)]


def _child(
    program: Program,
    written: Expr | None,
    *,
    state: tuple[State, ...] | None = None,
    hyperparameters: tuple[Hyperparameter, ...] | None = None,
    body: tuple[Statement, ...] | None = None,
    result: Expr | None = None,
) -> Program:
    """The program with changes, its signature naming every input that what was written reads."""
    inputs = program.inputs
    parts = [] if written is None else subexpressions(written)
    read = {e.id for e in parts if type(e) is Name and e.id in INPUTS and e.id not in inputs}
    if read:
        inputs = tuple(name for name in INPUTS if name in inputs or name in read)
    return Program(
        program.name,
        inputs,
        program.state if state is None else state,
        program.hyperparameters if hyperparameters is None else hyperparameters,
        program.body if body is None else body,
        program.result if result is None else result,
        program.doc,
    )


def _with_value(program: Program, position: int, value: Expr) -> _Draft:
    """The program with another right-hand side of one statement (or the result)."""
    if position == len(program.body):
        old = program.result
        child = _child(program, value, result=value)
        return _Draft(child, lambda: f"return {_short(old)} → {_short(value)}", value)
    statement = program.body[position]
    body = (
        *program.body[:position],
        Statement(statement.target, value),
        *program.body[position + 1 :],
    )
    return _Draft(
        _child(program, value, body=body),
        lambda: f"{statement.target} = {_short(statement.value)} → {_short(value)}",
        value,
    )


def _with_default(
    program: Program, hyperparameter: Hyperparameter, rng: random.Random
) -> _Draft | None:
    """The program with another default of a hyperparameter."""
    name, old = hyperparameter.name, hyperparameter.default
    value = _scaled(old, rng)
    if value == old:
        return None
    hyperparameters = tuple(
        [Hyperparameter(name, value) if h is hyperparameter else h for h in program.hyperparameters]
    )
    return _Draft(
        _child(program, None, hyperparameters=hyperparameters),
        lambda: f"{name}: {format_number(old)} → {format_number(value)}",
    )


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
