"""Learning-rate schedules: multipliers of the tuned learning rate, by step.

All compared rules get the same schedule. With a decaying one, a search need not rediscover that the
last steps should be small, and the final loss is less noisy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SCHEDULES = ("constant", "cosine", "linear")


def multipliers(
    schedule: str,
    total: int,
    steps: int,
    warmup: np.ndarray | float = 0.0,
    final_rate: np.ndarray | float = 0.0,
) -> np.ndarray:
    """The multipliers of the first `steps` steps of a run of `total`, float32.

    "cosine" is that of Loshchilov & Hutter 2017 without restarts, as in the search for Lion.
    "linear" decays linearly. Both start after the warm-up and end at the final rate.

    Args:
      schedule: its name. total, steps: numbers of steps.
      warmup: the part of the run over which the rate rises linearly; a number, or (R,).
      final_rate: where decay ends, relative to the peak; as `warmup`. Without effect on a constant
        schedule.

    Returns:
      (steps,), or (steps, R).
    """
    import numpy as np  # here, because most importers need only the names

    at = np.arange(steps, dtype=np.float64)
    if np.ndim(warmup) or np.ndim(final_rate):
        at = at[:, None]
    rising = np.asarray(warmup, np.float64) * total
    done = np.clip((at - rising) / np.maximum(total - rising, 1e-9), 0.0, 1.0)
    decays = {
        "constant": np.ones_like(done),
        "cosine": (1 + np.cos(np.pi * done)) / 2,
        "linear": 1 - done,
    }
    value = decays[schedule]
    if schedule != "constant":
        value = final_rate + (1 - np.asarray(final_rate)) * value
    return (value * np.minimum((at + 1) / np.maximum(rising, 1.0), 1.0)).astype(np.float32)
