"""Changes of constants: of one, as in the Lion paper, or of several by smaller factors."""

from __future__ import annotations

import math
import random

from ....dsl.expressions import format_number
from ....dsl.machine.constants import tunable
from ....dsl.program import (
    LEARNING_RATE,
    Constant,
    Hyperparameter,
    Program,
    replaced,
    subexpressions,
)
from ..base import Draft, Mutation, Space, changed, with_value

# Standard deviation, in octaves, where several constants change.
_SMALL = 0.5
# Changes that a description names.
_SHOWN = 4


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


def scale_constants(program: Program, rng: random.Random, space: Space) -> Draft | None:
    """Multiplies each constant that can be tuned, with probability 1/2, by 2**N(0, 1/2).

    Numbers that are structure (0, 1, -1, integer exponents and periods) stay; see
    `dsl.machine.constants`.
    """
    rule = tunable(program)
    changes: dict[str, float] = {}
    for name, value in rule.values.items():
        if rng.random() < 0.5 and (found := _scaled(value, rng, _SMALL)) != value:
            changes[name] = found
    if not changes:
        return None
    shown = [
        f"{name}: {format_number(rule.values[name])} → {format_number(value)}"
        for name, value in [*changes.items()][:_SHOWN]
    ]
    more = len(changes) - len(shown)
    words = "; ".join(shown) + (f" and {more} more" if more else "")
    return Draft(rule.with_values(changes), lambda: words)


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


def _scaled(value: float, rng: random.Random, deviation: float = 1.0) -> float:
    """Multiplies by 2**N(0, deviation) and rounds to five digits.

    For a value between 0.5 and 1, half of the time its distance from 1 is multiplied instead, as
    suits a decay rate.
    """
    factor = 2.0 ** rng.gauss(0.0, deviation)
    scaled = 1 - (1 - value) * factor if 0.5 < value < 1 and rng.random() < 0.5 else value * factor
    if not math.isfinite(scaled) or abs(scaled) > 1e12:
        return value
    return float(f"{scaled:.5g}")


MUTATIONS = (
    Mutation("scale_constant", 3, scale_constant, of_constants=True),
    Mutation("scale_constants", 1, scale_constants, of_constants=True),
)
