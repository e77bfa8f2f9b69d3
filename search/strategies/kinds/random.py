"""Random search: children of the start alone, without selection."""

from __future__ import annotations

import random

from ..regularized import Breeding, RegularizedEvolution
from ..state import Population, SearchState
from ..survivors import island_size, rank

# Mutations of a candidate, for each of a child's in an evolution.
STEPS = 3


class _Random(RegularizedEvolution):
    """All that a search can reach from its start in a few steps."""

    def breeding(self, state: SearchState, ordinal: int, rng: random.Random) -> Breeding:
        settings = state.settings
        return Breeding(rng.choice(state.starters), STEPS * settings.mutations, settings.space)

    def living(self, population: Population, state: SearchState) -> Population:
        """The fittest distinct candidates, oldest first."""
        distinct = {individual.candidate: individual for individual in population}
        fittest = sorted(distinct.values(), key=rank)[: island_size(state.settings)]
        return tuple(sorted(fittest, key=lambda individual: individual.ordinal))


STRATEGY = _Random()
