"""Whether a rule stays finite where a schedule of the learning rate is 0.

A warm-up often starts at 0 and a decay ends there. A rule that divides by the learning rate, or by
a sum of its squares, is fine at any other rate and not finite from that step on.
"""

from __future__ import annotations

import numpy as np

from ..program import LEARNING_RATE, Program
from .example import STEPS, inputs_of, interpreted

# As fractions of the default: a warm-up from 0, one that rests at 0 for ten steps, a decay to 0.
WARM_UP = np.minimum(np.arange(STEPS) / 3, 1.0)
SCHEDULES = (
    WARM_UP,
    np.concatenate([np.zeros(10), WARM_UP[1:]]),
    np.linspace(1, 0, STEPS),
)


def finite_at_rate_0(program: Program) -> bool:
    """Whether the rule is as finite in float32 under those schedules as at its default rate."""
    if LEARNING_RATE not in program.defaults:
        return True  # the rate scales the result
    default = program.defaults[LEARNING_RATE]
    return not _is_finite(program, np.ones(STEPS) * default) or all(
        _is_finite(program, schedule * default) for schedule in SCHEDULES
    )


def _is_finite(program: Program, rates: np.ndarray) -> bool:
    """Whether all points are finite."""
    inputs = inputs_of(program, len(rates))
    trajectory = interpreted(program, inputs, rates, np.float32)
    return all(np.isfinite(x).all() for p in trajectory for of in p.values() for x in of.values())
