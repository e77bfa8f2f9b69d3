"""Streams of weights, gradients and losses that rules are shown, whatever they do: open loop.

A fixed stream shows the rule itself: two rules that answer the same streams in the same way train
in the same way. Each probe is there for a difference that the others would not show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .descent import WEIGHTS

Array = np.ndarray[Any, Any]

STEPS = 10


@dataclass(frozen=True)
class Probe:
    """One stream.

    Attributes:
      rate: the learning rate.
      gradient: size of the gradients. weight: of the weights. loss: of the loss.
      total: what T is.
      t: what t is at each step; the steps' numbers unless given.
    """

    rate: float = 1e-2
    gradient: float = 1.0
    weight: float = 1.0
    loss: float = 1.0
    total: float = 100.0
    t: tuple[float, ...] = tuple(range(1, STEPS + 1))


# Late steps, for what happens only after a while.
_LATE = (1, 2, 3, 5, 10, 30, 100, 250, 500, 1000)

PLAIN, SLOW, FAST, MIRRORED, SMALL, TINY, LARGE, ZEROS, TURNING = range(9)
PROBES = (
    Probe(),
    # Other learning rates, all else being equal: the ends of the grid that rules are tuned on.
    Probe(rate=1e-4),
    Probe(rate=1.0),
    # All gradients negated.
    Probe(),
    # As in the midst of training.
    Probe(gradient=1e-3, weight=0.1, loss=0.3, total=1000, t=_LATE),
    # Where the constants that keep denominators from zero matter.
    Probe(gradient=1e-5, weight=0.01, loss=0.01),
    # Where what is clipped or saturates shows.
    Probe(gradient=10.0, weight=3.0, loss=5.0, t=_LATE, total=1000),
    # Exact zeros: weights whose gradient is always zero, as those of a pixel that is always black;
    # a tensor that starts at zero, as biases do; a step at which a tensor has no gradient.
    Probe(loss=0.5, total=300),
    # After each gradient one of the other sign and smaller, by factors from 1 to 1,000: which of
    # them turn the sign of an average tells its decay rate.
    Probe(),
)
_DEAD, _VECTOR, _NO_STEP = [1, 7], slice(6, 9), STEPS - 2

LEARNING_RATES = np.array([p.rate for p in PROBES])[:, None]


def _streams() -> tuple[Array, Array, Array]:
    """Weights and gradients, shape (STEPS, probes, WEIGHTS), and losses, (STEPS, probes, 1)."""
    # The generator whose numbers NumPy promises never to change.
    rng = np.random.RandomState(20231205)
    shape = (STEPS, TURNING, WEIGHTS)
    sizes = 10.0 ** rng.uniform(-1.0, 0.5, shape)
    g = sizes * rng.choice([-1.0, 1.0], shape)
    w = rng.choice([-1.0, 1.0], shape[1:]) * 10.0 ** rng.uniform(-1.0, 0.3, shape[1:])
    w[ZEROS, _VECTOR] = 0.0
    moves = 0.1 * rng.uniform(-1.0, 1.0, shape).cumsum(0)
    moves[0] = 0.0
    w = w + moves
    losses = 10.0 ** rng.uniform(-0.5, 0.5, (STEPS, TURNING, 1))
    w, g, losses = (np.concatenate([x, x[:, :1]], axis=1) for x in (w, g, losses))
    for same in (SLOW, FAST, MIRRORED):
        for stream in (w, g, losses):
            stream[:, same] = stream[:, PLAIN]
    g[:, MIRRORED] *= -1.0
    g[:, ZEROS, _DEAD] = 0.0
    g[_NO_STEP, ZEROS, _VECTOR] = 0.0
    factors = 10.0 ** -np.linspace(0.0, 3.0, STEPS // 2 * WEIGHTS).reshape(-1, WEIGHTS)
    g[::2, TURNING] = np.sign(g[::2, TURNING])
    g[1::2, TURNING] = -factors * g[::2, TURNING]
    for index, probe in enumerate(PROBES):
        g[:, index] *= probe.gradient
        w[:, index] *= probe.weight
        losses[:, index] *= probe.loss
    return w, g, losses


W, G, LOSSES = _streams()
TIMES = np.array([p.t for p in PROBES], np.float64).T[:, :, None]
TOTALS = np.array([p.total for p in PROBES])[:, None]
