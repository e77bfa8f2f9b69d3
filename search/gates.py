"""Gates: cheap reasons to reject a candidate before any training."""

from __future__ import annotations

import numpy as np

from ..dsl.arrays import Leaves, bind
from ..dsl.bytecode import TooLarge, assemble
from ..dsl.dependencies import update_depends_on
from ..dsl.program import LEARNING_RATE, Program

# A small quadratic, ½ Σ h w², over a matrix and a vector, from ones.
_CURVATURE = Leaves((np.array([[1.0, 0.3, 0.1], [0.5, 1.0, 0.2]]), np.array([1.0, 0.5, 2.0])))
_START = Leaves((np.ones((2, 3)), np.array([1.0, -1.0, 0.5])))
_STEPS = 6
# From the middle out: most rules pass at the first.
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
        assemble(program)
    except TooLarge:
        return "too large for the machine"
    outcomes = []
    for learning_rate in _LEARNING_RATES:
        outcomes.append(_descent(program, learning_rate))
        if outcomes[-1] < 1.0:
            return None
    return "non-finite" if not np.isfinite(outcomes).any() else "does not descend"


def _descent(program: Program, learning_rate: float) -> float:
    """Final loss over initial loss after a few steps on the quadratic; NaN if not finite."""
    rule = bind(program, np, np.float64)
    w = _START
    start = _loss(w)
    with np.errstate(all="ignore"):
        state = rule.init(w)
        for t in range(1, _STEPS + 1):
            g = Leaves(h * x for h, x in zip(_CURVATURE, w, strict=True))
            w, state, at = rule.step(
                w, g, state, t=t, T=_STEPS, loss=_loss(w), hyper={LEARNING_RATE: learning_rate}
            )
        ratio = _loss(at) / start
    finite = all(np.all(np.isfinite(x)) for x in (*w, *at))
    return ratio if finite and np.isfinite(ratio) else float("nan")


def _loss(w: Leaves) -> float:
    return float(sum(0.5 * np.sum(h * x * x) for h, x in zip(_CURVATURE, w, strict=True)))
