"""What members see in the trial of a program of members: a few of them, no two alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dsl.synthetic_loss import LossAround
from . import descent, probes

Array = np.ndarray[Any, Any]

MEMBERS = 3
SHARES = np.array([0.5, 0.3, 0.2])
MIXING = np.array([[0.6, 0.3, 0.1], [0.3, 0.5, 0.2], [0.1, 0.2, 0.7]])
# How much each member's numbers count where all are to be told by one number.
TOLD_BY = np.array([1.0, 0.83, -0.71])[:, None, None]

# In the problems of `descent` each member's loss is tilted: a slope for each weight, whose mean
# over members is 0, weighted by their shares or not.
_TILT = np.array([-1.0, 3.0, -2.0])[:, None, None] * np.linspace(-0.1, 0.15, descent.WEIGHTS)
# On probes each member's gradients and losses have factors of their own.
_FACTORS = 1.0 + 0.6 * np.cos(1.0 + np.arange(MEMBERS * descent.WEIGHTS))
_FACTORS = _FACTORS.reshape(MEMBERS, 1, descent.WEIGHTS)
_LOSS_FACTORS = np.array([1.0, 0.8, 1.3])[:, None]


def arrived(step: int) -> Array:
    """Who arrives in a step, (M,)."""
    return np.array([(step + i) % MEMBERS != 1 for i in range(MEMBERS)], float)


def gradient(w: Array, g: Array) -> None:
    """Fills g with the gradients of the problems at w; both (M, rows, WEIGHTS)."""
    for own_w, own_g in zip(w, g, strict=True):
        descent.gradient(own_w, own_g)
    np.add(g, _TILT, g)


def loss(w: Array) -> Array:
    """The losses of the problems at w, (M, rows)."""
    return np.stack([descent.loss(own) for own in w]) + np.sum(_TILT * w, -1)


def hessian_times(w: Array, v: Array, product: Array) -> None:
    """Fills the last with the Hessians at w times v; all (M, rows, WEIGHTS)."""
    for own in zip(w, v, product, strict=True):
        descent.hessian_times(*own)


def probe(step: int) -> LossAround:
    """What members see of the probes at a step: weights, gradients and losses, by probe."""
    w, loss = probes.W[step], probes.LOSSES[step, :, 0]
    each = np.broadcast_to(w, (MEMBERS, *w.shape))
    return LossAround(np, each, _FACTORS * probes.G[step], _LOSS_FACTORS * loss)
