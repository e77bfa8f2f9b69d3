"""Gates: cheap reasons to reject a candidate before any training."""

from __future__ import annotations

import numpy as np

from ..dsl.bytecode import TooLarge, check_fits
from ..dsl.dependencies import update_depends_on
from ..dsl.program import LEARNING_RATE, Program
from .descent import descend

# A rule must descend at one of them.
_LEARNING_RATES = (1e-2, 1e-3, 1e-1)


def rejection(program: Program, *, max_size: int) -> str | None:
    """Why a candidate is not worth training, or None.

    Args:
      program: a well-formed program.
      max_size: most primitive calls.
    """
    if program.size > max_size:
        return "too large"
    depends = update_depends_on(program)
    if "g" not in depends:
        return "ignores the gradient"
    if LEARNING_RATE not in depends:
        return "ignores the learning rate"
    try:
        check_fits(program)
    except TooLarge:
        return "too large for the machine"
    outcomes = descend(program, _LEARNING_RATES)
    if np.any(outcomes < 1.0):
        return None
    return "non-finite" if np.isnan(outcomes).all() else "does not descend"
