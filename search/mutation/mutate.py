"""Draws a random mutation of a program, again if the child is ill-formed.

Ill-formed is, for example, a read before assignment or a reduction of a scalar.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from ...dsl.errors import ProgramError
from ...dsl.expressions import MAX_DEPTH, extent
from ...dsl.program import Program
from ...dsl.syntax import check
from .base import Space

ATTEMPTS = 30
_USUAL = Space()


@dataclass(frozen=True, slots=True)
class Mutated:
    """A child program and, in words, what changed."""

    program: Program
    change: str


def mutate_often(
    program: Program, mean: float, rng: random.Random, space: Space
) -> tuple[Program, list[str]]:
    """A geometric number of mutations with a mean of at least 1, fewer if none is found.

    Returns:
      The child, and each change in words.
    """
    changes: list[str] = []
    while not changes or rng.random() < 1 - 1 / mean:
        mutated = mutate(program, rng, space)
        if mutated is None:
            break
        program = mutated.program
        changes.append(mutated.change)
    return program, changes


def mutate(program: Program, rng: random.Random, space: Space = _USUAL) -> Mutated | None:
    """One random mutation that gives a well-formed program; None if none was found.

    Args:
      program: the parent, well-formed.
      rng: consumed.
      space: the programs that may be reached.
    """
    drawn, weights = space.drawn_mutations
    for _ in range(ATTEMPTS):
        mutation = drawn[0] if len(drawn) == 1 else rng.choices(drawn, cum_weights=weights)[0]
        draft = mutation.apply(program, rng, space)
        if draft is None or len(draft.program.state) > space.max_state:
            continue
        if draft.written is not None and extent([draft.written])[0] >= MAX_DEPTH:
            continue
        try:
            check(draft.program)
        except ProgramError:
            continue
        return Mutated(draft.program, draft.describe())
    return None
