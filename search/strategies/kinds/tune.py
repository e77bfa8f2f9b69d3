"""Evolution that changes nothing but constants: what structure is worth is measured against it."""

from __future__ import annotations

import random
from dataclasses import replace

from ..regularized import Breeding, RegularizedEvolution
from ..state import SearchState


class _Tune(RegularizedEvolution):
    def breeding(self, state: SearchState, ordinal: int, rng: random.Random) -> Breeding:
        found = super().breeding(state, ordinal, rng)
        return replace(found, space=state.settings.space_of_constants)


STRATEGY = _Tune()
