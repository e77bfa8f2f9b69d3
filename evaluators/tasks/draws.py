"""Functions that draws share: scales, and the part of the data that a problem trains on.

A problem is a dict of arrays. Few random numbers are drawn at once and shared out, because JAX's
generator is slow to compile. The names that several tasks use:

  first: where the problem's part of the training data begins.
  init_scale: multiplies the initial weights (see `layers.initializer`).
  gain: multiplies the inputs.
  flips: the probability that a label is replaced.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..task import Problem

KEPT = 0.7  # of the training examples, in one problem


def log_uniform(u: Array, low: float, high: float) -> Array:
    """Maps a uniform number in 0..1 to a log-uniform one between low and high."""
    return low * (high / low) ** u


def data_draw(
    examples: int, *, flips: float = 0.0, gain: float = 2.0
) -> Callable[[Array], Problem]:
    """Returns key -> problem: seven tenths of the examples, scales of inputs and weights, flips.

    Args:
      examples: of the training data; they are in random order already, so that the part beginning
        at a random one, and going on at the start after the last, is a random part.
      flips: the highest probability that a label is replaced; every problem has at least a fifth
        of it.
      gain: inputs are multiplied by between 1 / gain and gain.
    """

    def draw(key: Array) -> Problem:
        u = jax.random.uniform(key, (4,))
        return {
            "first": (u[0] * examples).astype(jnp.int32),
            "init_scale": log_uniform(u[1], 0.7, 1.4),
            "gain": log_uniform(u[2], 1 / gain, gain),
            "flips": flips * (0.2 + 0.8 * u[3]),
        }

    return draw


def minibatch(size: int, *arrays: np.ndarray) -> Callable[[Array, Problem], tuple[Array, ...]]:
    """Returns (key, problem) -> the same `size` rows of every array, drawn with replacement.

    The rows are from the problem's part of the data, by its `first`.
    """
    data = tuple(jnp.asarray(array) for array in arrays)
    examples = len(data[0])

    def batch(key: Array, problem: Problem) -> tuple[Array, ...]:
        rows = jax.random.randint(key, (size,), 0, int(KEPT * examples))
        rows = (problem["first"] + rows) % examples
        return tuple(array[rows] for array in data)

    return batch


def flipped(key: Array, labels: Array, classes: int, flips: Array) -> Array:
    """Labels [n], each replaced with probability `flips` by one of the other classes."""
    u = jax.random.uniform(key, labels.shape)
    # Given u < flips, u / flips is uniform again and selects the class.
    other = 1 + (u / flips * (classes - 1)).astype(jnp.int32) % (classes - 1)
    return jnp.where(u < flips, (labels + other) % classes, labels)
