"""The coordinates in which constants are tuned: logarithmic, or logit for decay rates.

Neither has an end within reach, so that no optimum lies at the edge of a range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ....dsl.machine.constants import Tunable
from ....evaluators.protocol import PREFIX

# Constants change by at most this factor; shares keep at least this distance from 0 and 1.
MOST_FACTOR = 1e4
LEAST_SHARE = 1e-6
# What a constant that starts at 0 is measured in: at coordinate x > 0 it is this × (10^x − 1).
SMALL = 1e-3
# Significant digits of a tuned constant; further ones are noise.
DIGITS = 4


@dataclass(frozen=True)
class Coordinate:
    """One constant; its coordinate is 0 at the initial value.

    A share (mostly a decay rate) uses the logit log(a / (1 − a)), so that near 1 its distance from
    1 changes by a factor. A constant that starts at 0, as a weight decay that is switched off,
    stays 0 at negative coordinates and rises exponentially at positive ones. Any other number
    keeps its sign and changes by a factor.

    Attributes:
      name: of the hyperparameter, or of a setting of the protocol.
      start: the initial value.
      is_share: whether it stays between 0 and 1.
      most: the largest value of a constant that starts at 0.
      is_inverse: whether this is the coordinate of 1 / constant, which is infinite at the start.
    """

    name: str
    start: float
    is_share: bool
    most: float = MOST_FACTOR * SMALL
    is_inverse: bool = False

    def value(self, at: float) -> float:
        """The constant at a coordinate, to `DIGITS` digits."""
        if self.is_inverse:
            inverse = self._above_0(at)
            return rounded(1 / inverse, DIGITS, is_share=False) if inverse else math.inf
        if self.is_share:
            place = math.log(self.start) - math.log1p(-self.start) + at
            most = math.log1p(-LEAST_SHARE) - math.log(LEAST_SHARE)
            found = 1 / (1 + math.exp(-min(max(place, -most), most)))
        elif self.start == 0:
            found = self._above_0(at)
        else:
            most = math.log(MOST_FACTOR)
            found = self.start * math.exp(min(max(at, -most), most))
        return rounded(found, DIGITS, is_share=self.is_share)

    def _above_0(self, at: float) -> float:
        return min(SMALL * (10 ** min(max(at, 0.0), 20.0) - 1), self.most)


def coordinates_of(rule: Tunable) -> tuple[Coordinate, ...]:
    """A coordinate for each constant that can be tuned."""
    found = []
    for name, start in rule.values.items():
        is_share = 0 < start < 1 and (start > 0.5 or name in rule.shares)
        found.append(Coordinate(name, start, is_share))
    return tuple(found)


# The settings of the protocol, which start from the usual one: no warm-up, decay to 0, no clipping.
PROTOCOL = (
    Coordinate(f"{PREFIX}warmup", 0.0, is_share=False, most=0.5),
    Coordinate(f"{PREFIX}final_rate", 0.0, is_share=False, most=1.0),
    Coordinate(f"{PREFIX}clip", math.inf, is_share=False, is_inverse=True),
)


def rounded(value: float, digits: int, *, is_share: bool) -> float:
    """Rounds to some significant digits; for a share above 1/2, those of its distance from 1.

    >>> rounded(0.98713, 1, is_share=True), rounded(0.98713, 1, is_share=False)
    (0.99, 1.0)
    """
    if is_share and value > 0.5:
        return float(f"{1 - float(f'{1 - value:.{digits}g}'):.12g}")
    return float(f"{value:.{digits}g}")
