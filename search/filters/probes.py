"""Probes: fixed streams of weights, gradients and losses, whatever the rule answers (open loop).

Two rules with the same updates on all streams train in the same way. Each probe reveals a
difference that the others do not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...dsl.inputs import INPUTS, LABELS, labels_for
from ...dsl.synthetic_loss import LossAround
from .descent import SHAPES, WEIGHTS

Array = np.ndarray[Any, Any]

STEPS = 10


@dataclass(frozen=True)
class Probe:
    """One stream.

    Attributes:
      rate: the learning rate.
      gradient, weight, loss: the scale of each.
      total: the value of T.
      t: the value of t at each step; by default 1, 2, 3, …
    """

    rate: float = 1e-2
    gradient: float = 1.0
    weight: float = 1.0
    loss: float = 1.0
    total: float = 100.0
    t: tuple[float, ...] = tuple(range(1, STEPS + 1))


# Late steps, for effects that appear only after a while.
_LATE = (1, 2, 3, 5, 10, 30, 100, 250, 500, 1000)

PLAIN, SLOW, FAST, MIRRORED, SMALL, TINY, LARGE, ZEROS, TURNING = range(9)
# Streams in which everything varies over decades; see `_varied`.
VARIED = range(9, 9 + 8)
PROBES = (
    Probe(),
    # Other learning rates, all else equal: the ends of the grid that rules are tuned on.
    Probe(rate=1e-4),
    Probe(rate=1.0),
    # All gradients negated.
    Probe(),
    # As in the middle of training.
    Probe(gradient=1e-3, weight=0.1, loss=0.3, total=1000, t=_LATE),
    # Tiny gradients, where the epsilons of denominators matter.
    Probe(gradient=1e-5, weight=0.01, loss=0.01),
    # Large gradients, where clipping and saturation show.
    Probe(gradient=10.0, weight=3.0, loss=5.0, t=_LATE, total=1000),
    # Exact zeros: weights whose gradient is always zero, as for a pixel that is always black; a
    # tensor that starts at zero, as biases do; a step at which a whole tensor has zero gradient.
    Probe(loss=0.5, total=300),
    # Each gradient is followed by one of opposite sign, smaller by a factor from 1 to 1,000. Which
    # of them flip the sign of an average reveals its decay rate.
    Probe(),
    # What thresholds and signs hide elsewhere: rules whose updates take few values, such as Lion's,
    # differ in few of them. Large weights show where these are clipped.
    *(
        Probe(rate=rate, weight=weight, total=total, t=t)
        for rate, weight in ((1e-2, 1.0), (1.0, 300.0))
        for total in (40.0, 300.0)
        for t in (tuple(range(1, STEPS + 1)), _LATE)
    ),
)
_DEAD, _VECTOR, _NO_STEP = [1, 4, 7], slice(6, 9), STEPS - 2

LEARNING_RATES = np.array([p.rate for p in PROBES])[:, None]


def _streams() -> tuple[Array, Array, Array]:
    """Weights and gradients, shape (STEPS, probes, WEIGHTS), and losses, (STEPS, probes, 1)."""
    # NumPy guarantees that this generator's stream never changes.
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
    varied = _varied(np.random.RandomState(20231206))
    w, g, losses = (
        np.concatenate(pair, axis=1) for pair in zip((w, g, losses), varied, strict=True)
    )
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


def _varied(rng: np.random.RandomState) -> tuple[Array, Array, Array]:
    """Streams in which the size of the gradients varies from step to step and from weight to
    weight, weights change their signs, and losses vary too. In half of them all gradients are zero
    in the last step; in the others some always are, and in one step those of one tensor.
    """
    shape = (STEPS, len(VARIED), WEIGHTS)
    step_sizes = 10.0 ** rng.uniform(-2.5, 0.5, (*shape[:2], 1))
    g = step_sizes * 10.0 ** rng.uniform(-1.0, 0.0, shape) * rng.choice([-1.0, 1.0], shape)
    # A direction that stays, so that averages differ from their last gradient.
    g += 10.0 ** rng.uniform(-2.0, 0.0, shape[1:]) * rng.choice([-1.0, 1.0], shape[1:])
    w = 10.0 ** rng.uniform(-1.5, 0.0, shape[1:]) * rng.choice([-1.0, 1.0], shape[1:])
    w = w + 0.3 * rng.uniform(-1.0, 1.0, shape).cumsum(0)
    losses = 10.0 ** rng.uniform(-2.0, 1.0, (*shape[:2], 1))
    g[-1, ::2] = 0.0
    g[STEPS // 2, 1::2, _VECTOR] = 0.0
    g[:, 1::2, _DEAD] = 0.0
    return w, g, losses


W, G, LOSSES = _streams()


def loss_around(step: int, probes: slice | int = slice(None)) -> LossAround:
    """The loss that oracles are asked about at a step, of some probes."""
    w, g, loss = W[step, probes], G[step, probes], LOSSES[step, probes, 0]
    return LossAround(np, w, g, loss)


# Noise by input and step, the same for all probes.
NOISE = {
    name: row.noise.numpy(np.random.RandomState(20261128), (STEPS, WEIGHTS))
    for name, row in INPUTS.items()
    if row.noise is not None
}


def _labelled(name: str) -> Array:
    """A label for each weight of each probe: other ones than the default where all else varies."""
    found = np.full((len(PROBES), WEIGHTS), INPUTS[name].default)
    for probe in VARIED:
        labels = labels_for(name, len(SHAPES), first=probe)
        found[probe] = np.repeat(labels, [math.prod(shape) for shape in SHAPES])
    return found


LABELLED = {name: _labelled(name) for name in LABELS}
TIMES = np.array([p.t for p in PROBES], np.float64).T[:, :, None]
TOTALS = np.array([p.total for p in PROBES])[:, None]
