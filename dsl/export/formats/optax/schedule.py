"""A program that reads neither weights nor gradients, as an Optax schedule.

Its value multiplies a learning rate. Programs call it like a rule; Optax takes it wherever it takes
an `optax.Schedule`, the steps taken so far to a number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ....errors import ProgramError
from ....expressions import format_number
from ....inputs import INPUTS, arguments
from ....kinds import Kind
from ....program import Program
from ....syntax import format_program
from ...base import Inputs, Points, Tree
from .jax_text import Text, as_float
from .names import rule_name
from .naming import FreshNames, comment, docstring_text, indented, paragraph, wrapped

# What the file uses itself.
_RESERVED = ("jax", "jnp", "optax", "count", "schedule")
_WIDTH = 88


def to_schedule(program: Program) -> str:
    """The source of a Python file that defines `rule(…) -> optax.Schedule`.

    Raises:
      ProgramError: it reads what differs from tensor to tensor, or is not known before a step.
    """
    for row in (INPUTS[name] for name in program.inputs):
        if not row.known_ahead or row.kind is not Kind.SCALAR:
            raise ProgramError(
                f"{program.name} {row.lack('schedules, which have no w, do not have')}"
            )
    return "\n".join(_lines(program)) + "\n"


def run_schedule(
    program: Program, schedule: Callable[..., Callable[[int], Any]], inputs: Inputs
) -> np.ndarray:
    """The value of an exported schedule at each step, in float64.

    Args:
      program: the schedule. schedule: the function in its file. inputs: what it is given.
    """
    multiplier = schedule(**{a.name: inputs.fixed[row.name] for row, a in arguments(program)})
    return np.array([float(multiplier(count)) for count in range(len(inputs.gradients))])


def subtracted(values: np.ndarray, starts: list[Tree]) -> list[Points]:
    """What a schedule is as a rule, which subtracts its value from every weight."""
    return [
        {"weights": {name: w - value for name, w in start.items()}}
        for value, start in zip(values, starts, strict=True)
    ]


def _lines(program: Program) -> Iterator[str]:
    rule, given = rule_name(program), arguments(program)
    fresh = FreshNames([*_RESERVED, rule, *(a.name for _, a in given)])
    variables = [*program.inputs, *program.defaults, *(s.target for s in program.body)]
    names = {name: fresh.safe(name) for name in dict.fromkeys(variables)}
    doc = program.doc.strip() or f"The schedule {program.name}."
    example = ", ".join(f"{a.name}={a.example}" for _, a in given)
    yield from f'"""{docstring_text(doc)}'.split("\n")
    yield from ["", "To train with it:", ""]
    yield f"    schedule = {rule}({example})"
    yield "    optimizer = optax.adamw(lambda count: 1e-3 * schedule(count))"
    yield '"""'
    text = format_program(program).rstrip("\n")
    about = f"Written by evoptax from this program, which multiplies a learning rate:\n\n{text}"
    yield from ["", *comment(about), "", "import jax", "import jax.numpy as jnp", "import optax"]
    yield from ["", "", f"def {rule}("]
    yield from (f"    {a.name}: {a.type}," for _, a in given)
    yield from ["    *,"] if program.defaults else []
    for h in program.hyperparameters:
        yield f"    {names[h.name]}: jax.typing.ArrayLike = {format_number(h.default)},"
    yield ") -> optax.Schedule:"
    yield f'    """{docstring_text(doc.split(chr(10))[0])}'
    if given:
        yield from ["", "    Args:"]
        for _, argument in given:
            yield from paragraph(f"  {argument.name}: {argument.meaning}")
    yield from ['    """', "", "    def schedule(count: jax.typing.ArrayLike) -> jax.Array:"]
    yield from indented(8, _body(program, names, fresh))
    yield from ["", "    return schedule"]


def _body(program: Program, names: dict[str, str], fresh: FreshNames) -> Iterator[str]:
    """Arrays all, so that nothing is a whole number."""
    sources = {"t": "count + 1"}
    for row, argument in arguments(program):
        sources[row.name] = argument.name
    for name in program.inputs:
        yield f"{names[name]} = jnp.asarray({sources[name]}, float)"
    texts = {name: Text(names[name]) for name in (*program.inputs, *program.defaults)}
    for statement in program.body:
        # A name of its own for each value: what is assigned is no argument of the function around.
        name = names[statement.target]
        name = fresh.numbered(name) if statement.target in texts else name
        yield from wrapped(f"{name} = ", as_float(statement.value, texts).text, "", _WIDTH)
        texts[statement.target] = Text(name)
    value = as_float(program.result, texts).text
    yield from wrapped("return ", f"jnp.asarray({value}, float)", "", _WIDTH)
