"""Random search: children of the start alone, without selection."""

from __future__ import annotations

import random

from ...config.settings import Evolution
from ..regularized import RegularizedEvolution
from ..state import Individual, Population, SearchState
from ..survivors import island_size, rank

# Mutations of a candidate, for each of a child's in an evolution.
STEPS = 3


class _Random(RegularizedEvolution):
    """All that a search can reach from its start in a few steps."""

    def parent(self, state: SearchState, ordinal: int, rng: random.Random) -> Individual:
        return rng.choice(state.starters)

    def mean_mutations(self, settings: Evolution) -> float:
        return STEPS * settings.mutations

    def living(self, population: Population, state: SearchState) -> Population:
        """The fittest distinct candidates, oldest first."""
        distinct = {individual.candidate: individual for individual in population}
        fittest = sorted(distinct.values(), key=rank)[: island_size(state.settings)]
        return tuple(sorted(fittest, key=lambda individual: individual.ordinal))


STRATEGY = _Random()
