"""The space in which constants are tuned: equal steps are equal changes of scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ....dsl.machine.constants import Tunable

# Constants move by at most this factor, and a share keeps at least this distance from 0 and 1.
MOST_FACTOR = 1e4
LEAST_SHARE = 1e-6
# Further digits of a tuned constant say nothing.
DIGITS = 4


@dataclass(frozen=True)
class Coordinate:
    """One constant on a logarithmic scale, 0 where it starts.

    A share (a decay rate, above all) moves on the scale of log(a / (1 − a)): near 1 in its distance
    from 1, near 0 in itself. Any other number keeps its sign and moves by a factor.

    Attributes:
      name: of the hyperparameter.
      start: its value at 0, which is not 0.
      is_share: whether it lies between 0 and 1.
    """

    name: str
    start: float
    is_share: bool

    def value(self, at: float) -> float:
        """The constant at a place, to `DIGITS` digits."""
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
    """A number to some digits; of a share above 1/2, what it lacks to 1: 0.98713 → 0.987.

    >>> rounded(0.98713, 1, is_share=True), rounded(0.98713, 1, is_share=False)
    (0.99, 1.0)
    """
    if is_share and value > 0.5:
        return float(f"{1 - float(f'{1 - value:.{digits}g}'):.12g}")
    return float(f"{value:.{digits}g}")
