"""When a difference is sure: the one place that decides it.

Without NumPy, so that what reads a stored comparison decides as what made it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

CONFIDENCE = 0.95
# A difference whose p-value is above this is open.
LEVEL = 0.05


def side(mean: float, low: float | None, high: float | None, p: float | None = None) -> int:
    """−1 where a rule is surely better than another, 1 where surely worse, 0 where that is open.

    Surely means that the interval does not hold zero and that the test says so too: where seeds are
    few, the two may differ.

    Args:
      mean: of log-ratios, below 0 where it is better; inf where it diverged.
      low, high: its 95 % interval; None or infinite where there is none.
      p: of a paired test; None where none was made, NaN where none could be.
    """
    if mean == math.inf:
        return 1
    if low is None or high is None or (p is not None and not p <= LEVEL):
        return 0
    return -1 if high < 0 else int(low > 0)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's correction (1979): the chance of any false claim among them stays below the level.

    A p-value that is NaN belongs to no test: it stays, and does not count.

    >>> [round(p, 6) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    adjusted = [math.nan] * len(p_values)
    tests = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    largest = 0.0
    for rank, (p, place) in enumerate(tests):
        largest = max(largest, min(1.0, (len(tests) - rank) * p))
        adjusted[place] = largest
    return tuple(adjusted)
