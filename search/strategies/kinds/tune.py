"""Evolution that changes nothing but constants: what structure is worth is measured against it."""

from __future__ import annotations

from ...config.settings import Evolution
from ...mutation.base import Space
from ..regularized import RegularizedEvolution


class _Tune(RegularizedEvolution):
    def space(self, settings: Evolution) -> Space:
        return settings.space_of_constants


STRATEGY = _Tune()
