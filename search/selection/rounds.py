"""What happens between rounds: the best go to validation, and a search that is stuck starts afresh.

Pure, as the evolution is: who trains is told what to validate, and tells what came out.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from ..strategies.state import Individual, Population, SearchState


@dataclass(frozen=True, slots=True)
class Standing:
    """What validation has said so far.

    Attributes:
      seen: candidates that were validated.
      best, value: the best of them, and its mean log-ratio to the baseline.
      values: of each round since the population last started afresh, its best value.
      restarts: how often the population has started afresh.
    """

    seen: frozenset[int] = frozenset()
    best: Individual | None = None
    value: float = math.inf
    values: tuple[float, ...] = ()
    restarts: int = 0


def champions(state: SearchState, standing: Standing, most: int) -> Population:
    """The fittest candidates that are alive and were not validated yet.

    Those that were tried more than once come first.
    """
    found: dict[int, Individual] = {}

    def rank(individual: Individual) -> tuple[bool, float, int]:
        is_lucky = not state.history.is_proven(individual.candidate)
        return is_lucky, individual.fitness, individual.ordinal

    for individual in sorted(state.population, key=rank):
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
    for individual, found in validated:
        if found < value:
            best, value = individual, found
    of_round = min((found for _, found in validated if not math.isnan(found)), default=math.inf)
    values = (*standing.values, of_round)
    seen = standing.seen | {individual.candidate for individual, _ in validated}
    after = dataclasses.replace(standing, seen=seen, best=best, value=value, values=values)
    if not _is_stuck(values, state.settings.patience):
        return after, ()
    restarts = standing.restarts + 1
    fresh = state.starters if restarts % 2 or best is None else (best,)
    return dataclasses.replace(after, values=(), restarts=restarts), fresh


def _is_stuck(values: Sequence[float], patience: int) -> bool:
    """Whether so many rounds did no better than as many before, by the median.

    By the best, a search would seem stuck for long after a round that was lucky.
    """
    if not patience or len(values) < 2 * patience or len(values) % patience:
        return False
    return median(values[-patience:]) >= median(values[-2 * patience : -patience])
