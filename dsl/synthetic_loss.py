"""A loss around given weights, for programs that ask for one where there are only gradients.

Gates, fingerprints and the checks of exports run a rule on fixed gradients. An oracle needs a loss
that has this gradient and this value at the weights:

    loss(x) = loss + <g, d> + sum of h c(d) + c(<u, d>),   d = x - w
    c(d) = cos p - cos(d + p) - d sin p,   so that c(0) = c'(0) = 0

It is no quadratic, so that hvp(v) and grad(w + v) - g differ, and not even around w, so that a
difference of two losses is no slope; u joins all weights, so that hvp(v) * v and hvp(v * v) differ.
It grows no faster than linearly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import Leaves

_PHASE = 0.5


@dataclass(frozen=True)
class LossAround:
    """The loss of a step, over flat weights.

    Attributes:
      xp: the array namespace.
      w: the weights of the step, shape (..., N). g: the gradient at w, of the same shape.
      loss: at w, shape (...).
    """

    xp: Any
    w: Any
    g: Any
    loss: Any

    def value(self, x: Any) -> Any:
        """The loss at x, shape (...)."""
        d = x - self.w
        u = _joint(d.shape[-1])
        each = self.g * d + _curvature(d.shape[-1]) * self._bend(d)
        return self.loss + self.xp.sum(each, -1) + self._bend(self.xp.sum(u * d, -1))

    def gradient(self, x: Any) -> Any:
        """The gradient at x, shape (..., N)."""
        d = x - self.w
        u = _joint(d.shape[-1])
        along = self._slope(self.xp.sum(u * d, -1))[..., None]
        return self.g + _curvature(d.shape[-1]) * self._slope(d) + along * u

    def hessian_times(self, v: Any) -> Any:
        """The Hessian at w times v, shape (..., N)."""
        u = _joint(v.shape[-1])
        along = self.xp.sum(u * v, -1)[..., None]
        return np.cos(_PHASE) * (_curvature(v.shape[-1]) * v + along * u)

    def _bend(self, d: Any) -> Any:
        """c, written so that few digits are lost where d is small."""
        half = d / 2
        return 2 * self.xp.sin(half) * self.xp.sin(half + _PHASE) - d * np.sin(_PHASE)

    def _slope(self, d: Any) -> Any:
        """Its derivative."""
        half = d / 2
        return 2 * self.xp.sin(half) * self.xp.cos(half + _PHASE)


def oracles_around(w: Sequence[Any], g: Sequence[Any], loss: Any) -> dict[str, Callable[..., Any]]:
    """The oracles of `LossAround` in NumPy, as `arrays.Rule` takes them.

    Args:
      w: the weights of the step, one array for each tensor. g: their gradient.
      loss: at w. An array of those of members, if all arrays have a first axis of members.
    """
    value = np.asarray(loss, np.float64)
    around = LossAround(np, flat(np, w, value.shape), flat(np, g, value.shape), value)

    def like_w(vector: Any) -> Leaves:
        ends = np.cumsum([np.size(x) // value.size for x in w])
        parts = zip(np.split(vector, ends[:-1], axis=-1), w, strict=True)
        return Leaves(part.reshape(np.shape(x)) for part, x in parts)

    return {
        "grad": lambda x: like_w(around.gradient(flat(np, x, value.shape))),
        "loss_at": lambda x: around.value(flat(np, x, value.shape)),
        "hvp": lambda v: like_w(around.hessian_times(flat(np, v, value.shape))),
    }


def flat(xp: Any, leaves: Sequence[Any], runs: tuple[int, ...] = ()) -> Any:
    """All numbers of a model as one vector, of each of the runs that are the first axes."""
    return xp.concatenate([xp.reshape(xp.asarray(x), (*runs, -1)) for x in leaves], axis=-1)


def _curvature(size: int) -> Any:
    """h, all positive."""
    return 0.5 + 0.25 * (np.arange(size) % 5)


def _joint(size: int) -> Any:
    """u, of norm about 1."""
    return np.cos(1.0 + np.arange(size)) / max(1, size // 2) ** 0.5
