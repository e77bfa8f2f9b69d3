"""What oracles are asked about, a loss for each step that has its gradient at the weights; noise.

    loss(x) = loss + <g, d> + sum of h c(d) + c(<u, d>),   d = x - w
    c(d) = cos p - cos(d + p) - d sin p,   p = 0.5

A fixed sequence of gradients has no loss of its own. This one is as good as any: it is no
quadratic, and its Hessian is not diagonal. All functions take vectors, which may be complex: a
derivative is the imaginary part of what a step in that direction changes (Squire & Trapp 1998).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .trajectories import Params

_TINY = 1e-100


def flatten(model: Params) -> np.ndarray:
    """All numbers of a model as one vector."""
    return np.concatenate([np.ravel(np.asarray(x, np.float64)) for x in model.values()])


def unflatten(vector: np.ndarray, like: Params) -> Params:
    """A vector as the tensors of a model."""
    ends = np.cumsum([np.size(x) for x in like.values()])
    pieces = zip(like.items(), np.split(vector, ends[:-1]), strict=True)
    return {name: piece.reshape(np.shape(x)) for (name, x), piece in pieces}


@dataclass(frozen=True)
class Loss:
    """The loss of a step.

    Attributes:
        w: the weights of the step, (N,). g: the gradient there. loss: the value there.
    """

    w: np.ndarray
    g: np.ndarray
    loss: float

    def value(self, x: np.ndarray) -> np.ndarray:
        """The loss at x."""
        d = x - self.w
        return (
            self.loss + np.sum(self.g * d) + np.sum(self._h * _bent(d)) + _bent(np.sum(self._u * d))
        )

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """The gradient at x."""
        d = x - self.w
        along = np.sin(np.sum(self._u * d) + 0.5) - np.sin(0.5)
        return self.g + self._h * (np.sin(d + 0.5) - np.sin(0.5)) + along * self._u

    def hessian_times(self, v: np.ndarray) -> np.ndarray:
        """The Hessian at w times v."""
        return np.cos(0.5) * (self._h * v + np.sum(self._u * v) * self._u)

    @property
    def _h(self) -> np.ndarray:
        return 0.5 + 0.25 * (np.arange(len(self.w)) % 5)

    @property
    def _u(self) -> np.ndarray:
        return np.cos(1.0 + np.arange(len(self.w))) / np.sqrt(max(1, len(self.w) // 2))


def _bent(d: np.ndarray) -> np.ndarray:
    return np.cos(0.5) - np.cos(d + 0.5) - d * np.sin(0.5)


def slope(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The derivative of a function at x in direction v, by a complex step."""
    return np.imag(function(x + 1j * _TINY * v)) / _TINY


def gradient_by_slopes(loss: Loss, x: np.ndarray) -> np.ndarray:
    """The gradient at x from values of the loss alone."""
    return np.array([slope(loss.value, x, direction) for direction in np.eye(len(x))])


def noise(kind: str, step: int, like: Params) -> Params:
    """Noise of a step, from 0, for each tensor: the input's name is its kind."""

    def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
        rng = np.random.default_rng([step, zlib.crc32(f"{kind} {name}".encode())])
        if kind in ("normal", "own_normal"):
            return np.asarray(rng.standard_normal(shape))
        uniform = np.asarray(rng.uniform(size=shape))
        return uniform if kind == "uniform" else np.where(uniform < 0.5, -1.0, 1.0)

    return {name: draw(name, np.shape(x)) for name, x in like.items()}
