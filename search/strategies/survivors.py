"""Survivors of a round, and how much harder the next round is, measured on them."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from collections.abc import Mapping

from ..config.settings import Evolution
from ..store.records import Status
from .state import Batch, Individual, Population, SearchState

# Fewest candidates that have survived twice to measure a round's difficulty on them alone.
_FEWEST_SURVIVORS = 5
# Largest change of difficulty from one round to the next, as a log-ratio.
_LARGEST_CHANGE = 0.1


def rank(individual: Individual) -> tuple[float, int]:
    """The fittest first, of equals the youngest."""
    return individual.fitness, -individual.ordinal


def island_size(settings: Evolution) -> int:
    """Number of individuals that live on one island."""
    return max(2, settings.population // settings.islands)


def survivors_of(population: Population, settings: Evolution) -> Population:
    """The fittest distinct candidates, at most as many as survive a round."""
    found: dict[int, Individual] = {}
    for individual in sorted(population, key=rank):
        found.setdefault(individual.candidate, individual)
    return tuple(found.values())[: max(1, int(island_size(settings) * settings.survivors))]


def survivor_count(population: Population, state: SearchState) -> int:
    """How many of a population survived the round before; they come first."""
    return bisect_left(population, state.first_newborn, key=lambda individual: individual.ordinal)


def change_in_difficulty(
    state: SearchState, survivors: Batch, fitness: Mapping[int, float]
) -> float:
    """How much higher the survivors' fitness is on this round's problems than it was, a log-ratio.

    The median over those that had survived before: the others were chosen for luck in part, and
    their fitness would rise were the problems no harder. At most `_LARGEST_CHANGE` either way, so
    that survivors that fail are not excused by a round that seems harder.
    """
    moved = [
        (fitness[p.ordinal] - state.fitness(p.candidate), state.history.is_proven(p.candidate))
        for p in survivors
        if p.status is Status.AGAIN and p.candidate is not None
    ]
    finite = [(x, proven) for x, proven in moved if math.isfinite(x)]
    chosen = [x for x, proven in finite if proven]
    if len(chosen) < _FEWEST_SURVIVORS:
        chosen = [x for x, _ in finite]
    found = statistics.median(chosen) if chosen else 0.0
    return max(-_LARGEST_CHANGE, min(_LARGEST_CHANGE, found))
