"""Changes of values: of the gradient, of a part of the returned step, or of any other.

A value is replaced by an expression of itself, so what the program has computed is kept. Documented
ideas are of this form: a sign, an orthogonalized momentum, a trust ratio, a cautious mask.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from ....dsl.program import (
    Call,
    Constant,
    Expr,
    Name,
    Program,
    Statement,
    names_in,
    replaced,
    subexpressions,
)
from ..base import (
    KNOWN_AHEAD,
    Draft,
    Mutation,
    Space,
    around,
    call_of,
    changed,
    fresh,
    names_before,
    random_call,
    random_constant,
    random_leaf,
    short,
    text,
    values_in,
    with_value,
)

# How often a value is read by two nested calls, or twice, and not by one call.
_NESTED, _TWICE = 0.15, 0.25
# How often a value of the returned step is chosen, instead of any other.
_OF_STEP = 0.6

Build = Callable[[Expr, list[str], random.Random, Space], Expr | None]


def change_value(program: Program, rng: random.Random, space: Space) -> Draft | None:
    """Replaces a value by a random expression of it."""
    return _with_another_value(program, rng, space, random_expression)


def change_gradient(program: Program, rng: random.Random, space: Space) -> Draft | None:
    """Replaces the gradient, before anything reads it, by a random expression of it."""
    names = ["g", *names_before(program, 0, space)]
    value = random_expression(Name("g"), names, rng, space)
    if value is None:
        return None
    statement = Statement("g", value)
    child = changed(program, value, body=(statement, *program.body))
    return Draft(child, lambda: f"insert {text(statement)}", value)


def mask(program: Program, rng: random.Random, space: Space) -> Draft | None:
    """Zeroes a value where a condition fails: mostly where its sign and another's differ, as in
    cautious optimizers (Liang et al. 2024).
    """

    def masked(value: Expr, names: list[str], rng: random.Random, space: Space) -> Expr | None:
        other = random_leaf(names, rng)
        if rng.random() < 0.7:
            condition = Call("greater", (Call("multiply", (value, other)), Constant(0.0)))
        else:
            left = Call("abs", (value,)) if rng.random() < 0.5 else value
            right = Call("abs", (other,)) if rng.random() < 0.5 else other
            condition = Call("greater", (left, right) if rng.random() < 0.5 else (right, left))
        written = Call("multiply", (value, condition))
        return written if space.draws(written) else None

    return _with_another_value(program, rng, space, masked)


def recombine(program: Program, rng: random.Random, space: Space) -> Draft | None:
    """Gives a value the signs, or the absolute values, of another one."""

    def recombined(value: Expr, names: list[str], rng: random.Random, space: Space) -> Expr | None:
        pair = (value, Name(rng.choice(names)))
        sized, signed = pair if rng.random() < 0.5 else pair[::-1]
        written = Call("multiply", (Call("sign", (signed,)), Call("abs", (sized,))))
        return written if space.draws(written) else None

    return _with_another_value(program, rng, space, recombined)


def random_expression(
    value: Expr, names: list[str], rng: random.Random, space: Space
) -> Expr | None:
    """A random expression that reads a value once or twice."""
    shape = rng.random()
    if shape < _TWICE:
        return _read_twice(value, names, rng, space)
    found = around(value, random_call(names, rng, space), rng)
    if found is None or shape < 1 - _NESTED:
        return found
    return around(found, random_call(names, rng, space), rng)


def schedule(program: Program, rng: random.Random, space: Space) -> Draft | None:
    """Multiplies a value by a function of the step alone, as a warm-up does."""
    times = [name for name in sorted(KNOWN_AHEAD) if name in {*space.inputs, *program.inputs}]

    rows = [row for row in space.drawn_by_arity.get(2, ([], []))[0] if not row.reduces]

    def scheduled(value: Expr, names: list[str], rng: random.Random, space: Space) -> Expr | None:
        # Each primitive as often as any other: what is frequent in rules is so in other places.
        call = call_of(rng.choice(rows), times, rng)
        args = tuple(random_constant(rng) if rng.random() < 0.4 else arg for arg in call.args)
        factor = Call(call.primitive, args)
        written = Call("multiply", (value, factor))
        return written if names_in(factor) and space.draws(written) else None

    return _with_another_value(program, rng, space, scheduled) if times and rows else None


def _read_twice(value: Expr, names: list[str], rng: random.Random, space: Space) -> Expr | None:
    """A call of a value and of another call of it, as in `g - mean(g)` and `u * (u > m)`."""
    by_arity = space.drawn_by_arity
    if 2 not in by_arity:
        return None
    if 1 in by_arity and rng.random() < 0.5:
        # Each as often as any other: what is frequent in rules, as sqrt, is so in other places.
        inner: Expr = Call(rng.choice(by_arity[1][0]).name, (value,))
    else:
        inner = around(value, call_of(space.draw(rng, 2), names, rng), rng) or value
    row = space.draw(rng, 2)
    return Call(row.name, (value, inner) if rng.random() < 0.7 else (inner, value))


def _with_another_value(
    program: Program, rng: random.Random, space: Space, build: Build
) -> Draft | None:
    """The program with a random value replaced by what `build` makes of it.

    A value that is more than a name and is read several times is assigned to a variable first.
    """
    last = len(program.body)
    position = last if rng.random() < _OF_STEP else rng.randint(0, last)
    root = program.expressions()[position]
    places = values_in(root, program)
    if not places:
        return None
    index, node = rng.choice(places)
    names = names_before(program, position, space)
    built = build(node, names, rng, space)
    if built is None or built == node:
        return None
    draft = with_value(program, position, replaced(root, index, built))
    if type(node) is Name or sum(part == node for part in subexpressions(built)) < 2:
        return draft
    # The same with the value computed once, under a name of its own.
    name = fresh(program, "x")
    named = _renamed(built, node, Name(name))
    child = with_value(program, position, replaced(root, index, named)).program
    statement = Statement(name, node)
    body = (*child.body[:position], statement, *child.body[position:])
    return Draft(
        changed(child, built, body=body),
        lambda: f"{short(node)} → {short(built)}",
        built,
    )


def _renamed(expr: Expr, old: Expr, new: Expr) -> Expr:
    """The expression with every occurrence of another one replaced."""
    if expr == old:
        return new
    if type(expr) is Call:
        return Call(expr.primitive, tuple(_renamed(arg, old, new) for arg in expr.args))
    return expr


MUTATIONS = (
    Mutation("change_value", 5, change_value),
    Mutation("change_gradient", 1.5, change_gradient),
    Mutation("mask", 0.4, mask),
    Mutation("recombine", 0.3, recombine),
    Mutation("schedule", 0.6, schedule),
)
