"""What happens between rounds: the best go to validation, and a search that is stuck starts afresh.

Pure, as the evolution is: who trains is told what to validate, and tells what came out.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from .state import Individual, Population, SearchState


@dataclass(frozen=True, slots=True)
class Standing:
    """What validation has said so far.

    Attributes:
      seen: candidates that were validated.
      best, value: the best of them, and its mean log-ratio to the baseline.
      since: the best value since the population last started afresh.
      stale: rounds in a row that did not better it.
      restarts: how often the population has started afresh.
    """

    seen: frozenset[int] = frozenset()
    best: Individual | None = None
    value: float = math.inf
    since: float = math.inf
    stale: int = 0
    restarts: int = 0


def champions(state: SearchState, standing: Standing, most: int) -> Population:
    """The fittest candidates that are alive and were not validated yet."""
    found: dict[int, Individual] = {}
    for individual in sorted(state.population, key=lambda i: (i.fitness, i.ordinal)):
        unseen = individual.candidate not in standing.seen
        if unseen and math.isfinite(individual.fitness):
            found.setdefault(individual.candidate, individual)
        if len(found) == most:
            break
    return tuple(found.values())


def after_validation(
    state: SearchState, standing: Standing, validated: Sequence[tuple[Individual, float]]
) -> tuple[Standing, Population]:
    """What follows from a round's validation.

    Args:
      state: at the end of the round.
      standing: before it.
      validated: champions with their mean log-ratio to the baseline on the validation tasks.

    Returns:
      The standing after it, and what the population starts from afresh: the start or the best, by
      turns; empty where it goes on.
    """
    best, value = standing.best, standing.value
    since, stale = standing.since, standing.stale + 1
    for individual, found in validated:
        if found < value:
            best, value = individual, found
        if found < since:
            since, stale = found, 0
    seen = standing.seen | {individual.candidate for individual, _ in validated}
    after = dataclasses.replace(
        standing, seen=seen, best=best, value=value, since=since, stale=stale
    )
    patience = state.settings.patience
    if not patience or stale < patience:
        return after, ()
    restarts = standing.restarts + 1
    fresh = state.starters if restarts % 2 or best is None else (best,)
    return dataclasses.replace(after, since=math.inf, stale=0, restarts=restarts), fresh
