"""A problem on which curvature pays."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from ..task import Batch, Params, Problem
from .draws import log_uniform
from .layers import Functions, Normal, initializer


def ill_conditioned() -> Functions:
    """A convex valley in few dimensions, whose curvatures span three to four decades.

    In z, which is w moved to the optimum, rotated and stretched by the roots of the curvatures, the
    loss is the mean of z_i^2 / 2 + s (z_i - z_{i+1})^4 / 4: every direction matters as much as any
    other, no step along single weights fits them, and curvatures change on the way. Every minibatch
    is all there is. So a rule that learns the curvatures is done soon, and a rule that does not is
    as slow as the flattest direction. The problem is the basis, the optimum, the span and s.
    """
    size, shape = 24, (4, 4)

    def draw(key: Array) -> Problem:
        key_basis, key_target, key_numbers = jax.random.split(key, 3)
        basis, _ = jnp.linalg.qr(jax.random.normal(key_basis, (size, size)))
        u = jax.random.uniform(key_numbers, (3,))
        roots = 10 ** ((0.75 + 0.25 * u[0]) * jnp.linspace(1, -1, size))
        return {
            "stretch": roots[:, None] * basis,
            "target": basis.T @ (jax.random.normal(key_target, (size,)) / roots),
            "quartic": log_uniform(u[1], 0.01, 0.1),
            "init_scale": log_uniform(u[2], 0.5, 2),
        }

    def batch(key: Array, problem: Problem) -> Batch:
        return problem

    def loss(params: Params, problem: Problem) -> Array:
        w = jnp.concatenate([params["matrix"].ravel(), params["bias"]])
        z = problem["stretch"] @ (w - problem["target"])
        differences = z[1:] - z[:-1]
        return jnp.mean(z**2) / 2 + problem["quartic"] * jnp.mean(differences**4) / 4

    def score(params: Params, problem: Problem) -> Array:
        """Relative to that of the origin."""
        return loss(params, problem) / loss(jax.tree.map(jnp.zeros_like, params), problem)

    init = initializer({"matrix": Normal(shape, 0.1), "bias": Normal((8,), 0.1)})
    return Functions(draw, init, batch, loss, score)
