"""When a difference is sure: the one place that decides it.

Without NumPy, so that what reads a stored comparison decides as what made it.
"""

from __future__ import annotations

import math

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
