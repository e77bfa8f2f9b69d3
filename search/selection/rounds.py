"""Between rounds: which candidates are validated, and whether the search restarts.

Pure functions: the caller trains the champions and passes their validation scores back.
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
    """The results of validation so far.

    Attributes:
      seen: candidates that were validated.
      best, value: the best of them, and its mean log-ratio to the baseline.
      values: the best value of each round since the last restart.
      restarts: the number of restarts.
    """

    seen: frozenset[int] = frozenset()
    best: Individual | None = None
    value: float = math.inf
    values: tuple[float, ...] = ()
    restarts: int = 0


def champions(state: SearchState, standing: Standing, most: int) -> Population:
    """The fittest living candidates that were not validated yet.

    Those trained in more than one round come first, because a fitness from a single trial is more
    often overestimated (winner's curse).
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
    """Updates the standing with a round's validation, and restarts a search that is stuck.

    Args:
      state: at the end of the round.
      standing: before the round's validation.
      validated: champions with their mean log-ratio to the baseline on the validation tasks.

    Returns:
      The new standing, and the population to restart from: alternately the initial rules and the
      best validated candidate; empty if the search goes on.
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
    """Whether the last `patience` rounds have no lower median than the `patience` before them.

    The median, because after one lucky round the minimum would not improve for long.
    """
    if not patience or len(values) < 2 * patience or len(values) % patience:
        return False
    return median(values[-patience:]) >= median(values[-2 * patience : -patience])
