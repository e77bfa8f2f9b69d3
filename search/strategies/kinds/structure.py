"""Evolution of structures, each with constants of its own that are tuned as it lives.

A structure is a program up to its constants. The population has one individual of each, the fittest
setting of constants found for it. A proposal either tries another setting of a living structure, or
mutates one into another structure, which inherits the constants. So constants crowd no structure
out, and a family of equal structures takes one place.

New structures begin with constants that were tuned for their parent. So half of the places are for
the youngest, whatever their fitness. In each round, whose survivors are trained on fresh problems,
the count of settings starts from 1: the best of many settings is partly luck.
"""

from __future__ import annotations

import random
from dataclasses import replace

from ....dsl.algebra.canonical import structure_digest
from ..regularized import Breeding, RegularizedEvolution, crossing, fittest_of
from ..state import Individual, Population, SearchState
from ..survivors import island_size, rank

# The part of proposals that try other constants for a living structure.
TUNING = 0.5
# Settings that a structure is tried with in a round, at most; AdamW's gain is found in some fifty,
# and most structures are worse than their parents by more than tuning gives.
MOST_SETTINGS = 24
# Settings that a structure was tried with before it has children, if there are enough of those.
FEWEST_SETTINGS = 3


class _Structure(RegularizedEvolution):
    def breeding(self, state: SearchState, ordinal: int, rng: random.Random) -> Breeding:
        settings = state.settings
        population = state.islands[ordinal % len(state.islands)]
        untuned = [i for i in population if i.settings < MOST_SETTINGS]
        if untuned and rng.random() < TUNING:
            parent = fittest_of(untuned, settings.tournament, rng)
            return Breeding(parent, 1.0, settings.space_of_constants)
        tuned = [i for i in population if i.settings >= FEWEST_SETTINGS]
        breeding = tuned if len(tuned) >= settings.tournament else population
        parent = fittest_of(breeding, settings.tournament, rng)
        space = crossing(settings.space_of_structures, population)
        return Breeding(parent, settings.mutations, space)

    def living(self, population: Population, state: SearchState) -> Population:
        """One individual of each structure: the fittest, and as many of the youngest."""
        best: dict[str, Individual] = {}
        tried: dict[str, int] = {}
        for individual in population:
            structure = individual.structure or structure_digest(individual.program)
            known = best.get(structure)
            tried[structure] = tried.get(structure, 0) + individual.settings
            if known is None or rank(individual) < rank(known):
                best[structure] = individual
        found = [
            replace(individual, structure=structure, settings=tried[structure])
            for structure, individual in best.items()
        ]
        size = island_size(state.settings)
        if len(found) > size:
            found.sort(key=rank)
            fittest, others = found[: size - size // 2], found[size - size // 2 :]
            others.sort(key=lambda individual: individual.ordinal)
            found = [*fittest, *others[-(size // 2) :]]
        return tuple(sorted(found, key=lambda individual: individual.ordinal))


STRATEGY = _Structure()
