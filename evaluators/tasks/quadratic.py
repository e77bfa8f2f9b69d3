"""A stochastic quadratic whose curvature, optimum and noise are known exactly."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..task import Batch, Params
from .layers import Functions, Normal, initializer

# Tensors of different scales: the same step in w moves the model ten times further through one
# tensor than through another, as in real networks.
SHAPES = {"matrix": (8, 8), "rows": (4, 6), "bias": (8,)}
SCALES = {"matrix": 1.0, "rows": 0.3, "bias": 3.0}
DIMENSION = 96
NOISE = 0.3  # standard deviation of the labels
BATCH = 16


def quadratic() -> Functions:
    """Linear regression on a stream of Gaussian inputs: a ~ N(0, H), y = a.x* + noise.

    H = Q diag(1e-3 .. 1) Q' has a random basis Q, so no rule can win by treating coordinates one
    by one; the optimum x* is not the origin, so no rule can win by decaying weights.
    """
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(DIMENSION, DIMENSION)))
    eigenvalues = np.logspace(-3, 0, DIMENSION)
    # Every eigendirection contributes to the loss at the start, the flat ones less.
    optimum = basis @ rng.normal(size=DIMENSION)
    start = 0.5 * float(optimum @ (basis * eigenvalues) @ (basis.T @ optimum))

    root = jnp.asarray(np.sqrt(eigenvalues)[:, None] * basis.T, jnp.float32)
    target = jnp.asarray(optimum, jnp.float32)

    def flatten(params: Params) -> Array:
        return jnp.concatenate([SCALES[name] * params[name].ravel() for name in SHAPES])

    def batch(key: Array) -> Batch:
        drawn = jax.random.normal(key, (BATCH, DIMENSION + 1), jnp.float32)
        inputs = drawn[:, :-1] @ root
        return inputs, inputs @ target + NOISE * drawn[:, -1]

    def loss(params: Params, batch: Batch) -> Array:
        inputs, labels = batch
        return 0.5 * jnp.mean((inputs @ flatten(params) - labels) ** 2)

    def score(params: Params) -> Array:
        # The expected loss above the noise, in closed form, relative to the origin's: 1 at the
        # start, 0 at the optimum, and never negative.
        return 0.5 * jnp.sum((root @ (flatten(params) - target)) ** 2) / start

    init = initializer({name: Normal(shape, 0.1) for name, shape in SHAPES.items()})
    return init, batch, loss, score
