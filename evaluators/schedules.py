"""Learning-rate schedules: multipliers of the tuned learning rate, by step.

All compared rules get the same schedule. With a decaying one, a search need not rediscover that the
last steps should be small, and the final loss is less noisy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SCHEDULES = ("constant", "cosine", "linear")


def multipliers(schedule: str, total: int, steps: int) -> np.ndarray:
    """The multipliers of the first `steps` steps of a run of `total`, float32, shape (steps,).

    "cosine" is that of Loshchilov & Hutter 2017 without restarts, as in the search for Lion.
    "linear" decays linearly to zero. After the last step both are zero.
    """
    import numpy as np  # here, because most importers need only the names

    done = np.minimum(np.arange(steps) / total, 1.0)
    values = {
        "constant": np.ones_like(done),
        "cosine": (1 + np.cos(np.pi * done)) / 2,
        "linear": 1 - done,
    }
    return values[schedule].astype(np.float32)
