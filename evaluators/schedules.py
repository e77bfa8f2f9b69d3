"""Learning-rate schedules: what the tuned learning rate is multiplied by at each step.

All rules that are compared get the same, so that a search need not discover again that the last
steps should be small, and so that the last weights are not a matter of luck.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SCHEDULES = ("constant", "cosine", "linear")


def multipliers(schedule: str, total: int, steps: int) -> np.ndarray:
    """The multipliers of the first `steps` steps of a run of `total`, float32, shape (steps,).

    "cosine" is that of Loshchilov & Hutter 2017 without restarts, which Lion was found with;
    "linear" falls to zero in a straight line. After the run's end both are zero.
    """
    import numpy as np  # not by who only asks for the names

    done = np.minimum(np.arange(steps) / total, 1.0)
    values = {
        "constant": np.ones_like(done),
        "cosine": (1 + np.cos(np.pi * done)) / 2,
        "linear": 1 - done,
    }
    return values[schedule].astype(np.float32)
