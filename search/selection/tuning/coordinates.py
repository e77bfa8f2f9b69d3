"""The coordinates in which constants are tuned: logarithmic, or logit for decay rates."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ....dsl.machine.constants import Tunable

# Constants change by at most this factor; shares keep at least this distance from 0 and 1.
MOST_FACTOR = 1e4
LEAST_SHARE = 1e-6
# Significant digits of a tuned constant; further ones are noise.
DIGITS = 4


@dataclass(frozen=True)
class Coordinate:
    """One constant; its coordinate is 0 at the initial value.

    A share (mostly a decay rate) uses the logit log(a / (1 − a)), so that near 1 its distance from
    1 changes by a factor. Any other number keeps its sign and changes by a factor.

    Attributes:
      name: of the hyperparameter.
      start: the initial value, not 0.
      is_share: whether it stays between 0 and 1.
    """

    name: str
    start: float
    is_share: bool

    def value(self, at: float) -> float:
        """The constant at a coordinate, to `DIGITS` digits."""
        if self.is_share:
            place = math.log(self.start) - math.log1p(-self.start) + at
            most = math.log1p(-LEAST_SHARE) - math.log(LEAST_SHARE)
            found = 1 / (1 + math.exp(-min(max(place, -most), most)))
        else:
            most = math.log(MOST_FACTOR)
            found = self.start * math.exp(min(max(at, -most), most))
        return rounded(found, DIGITS, is_share=self.is_share)


def coordinates_of(rule: Tunable) -> tuple[Coordinate, ...]:
    """A coordinate for each constant that can be tuned."""
    found = []
    for name, start in rule.values.items():
        is_share = 0 < start < 1 and (start > 0.5 or name in rule.shares)
        found.append(Coordinate(name, start, is_share))
    return tuple(found)


def rounded(value: float, digits: int, *, is_share: bool) -> float:
    """Rounds to some significant digits; for a share above 1/2, those of its distance from 1.

    >>> rounded(0.98713, 1, is_share=True), rounded(0.98713, 1, is_share=False)
    (0.99, 1.0)
    """
    if is_share and value > 0.5:
        return float(f"{1 - float(f'{1 - value:.{digits}g}'):.12g}")
    return float(f"{value:.{digits}g}")
