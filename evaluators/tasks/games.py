"""Games of two players on one loss: one minimizes it, the other maximizes it.

The role of a tensor (see `dsl.inputs`) is 1 if it is of the player who minimizes, -1 if of the
other. A rule that does not read roles minimizes for both, and is lost. The scores are 0 only at the
equilibrium, which differs between problems and is never at the origin.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..task import Batch, Params, Problem
from .draws import log_uniform
from .layers import Functions, Normal, initializer, mlp, mlp_weights


def _roles(params: Params, minimizing: str) -> Params:
    """1 for the tensors of one player, -1 for all others; params is a dict by player."""
    return {
        player: jax.tree.map(lambda _, role=1 if player == minimizing else -1: role, of)
        for player, of in params.items()
    }


def bilinear_game() -> Functions:
    """(x - x*)' A (y - y*), x minimizing and y maximizing, with a noisy A and noisy gradients.

    Steps along the gradients turn about the equilibrium and away from it, at any learning rate. The
    problem is A, of singular values from 1 down to a third or less, the equilibrium and the noise.
    """
    size, shape = 24, (4, 6)

    def draw(key: Array) -> Problem:
        key_bases, key_target, key_numbers = jax.random.split(key, 3)
        bases = [jnp.linalg.qr(x)[0] for x in jax.random.normal(key_bases, (2, size, size))]
        u = jax.random.uniform(key_numbers, (3,))
        values = log_uniform(u[0], 0.1, 0.33) ** jnp.linspace(0, 1, size)
        return {
            "matrix": bases[0] @ (values[:, None] * bases[1]),
            "target": jax.random.normal(key_target, (2, size)),
            "noise": log_uniform(u[1], 0.02, 0.1),
            "init_scale": log_uniform(u[2], 0.5, 2),
        }

    def batch(key: Array, problem: Problem) -> Batch:
        noise = problem["noise"] * jax.random.normal(key, (size + 2, size), jnp.float32)
        matrix = problem["matrix"] + noise[:size] / jnp.sqrt(size)
        return matrix, problem["target"], noise[size:]

    def loss(params: Params, batch: Batch) -> Array:
        matrix, (target_x, target_y), (noise_x, noise_y) = batch
        x, y = params["x"].ravel() - target_x, params["y"] - target_y
        return x @ matrix @ y + noise_x @ x + noise_y @ y

    def score(params: Params, problem: Problem) -> Array:
        """The squared distance to the equilibrium, relative to that of the origin."""
        at = jnp.stack([params["x"].ravel(), params["y"]])
        return jnp.sum((at - problem["target"]) ** 2) / jnp.sum(problem["target"] ** 2)

    init = initializer({"x": Normal(shape, 0.1), "y": Normal((size,), 0.1)})
    return Functions(draw, init, batch, loss, score, {"role": partial(_roles, minimizing="x")})


def ring_gan() -> Functions:
    """A generative adversarial network (Goodfellow et al. 2014) in the plane: eight Gaussians on an
    ellipse.

    A 4-32-2 generator minimizes what a 2-32-1 discriminator maximizes, the log-likelihood of real
    and generated points. The score is the energy distance (Szekely & Rizzo 2013) between fixed
    samples of both. The problem is the ellipse, its place and the width of the Gaussians.
    """
    latent, width, size, batch_size = 4, 32, 256, 64
    rng = np.random.default_rng(0)
    fixed = jnp.asarray(rng.normal(size=(size, latent)), jnp.float32)
    fixed_real = jnp.asarray(rng.normal(size=(size, 2)), jnp.float32)
    fixed_modes = jnp.arange(size) % 8

    def draw(key: Array) -> Problem:
        u = jax.random.uniform(key, (5,))
        angle = 2 * jnp.pi * (jnp.arange(8) + u[0]) / 8
        radii = jnp.stack([log_uniform(u[1], 0.7, 1.4), log_uniform(u[2], 0.7, 1.4)])
        ring = radii * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
        return {
            "modes": ring + jnp.stack([u[3], 1 - u[3]]),
            "deviation": log_uniform(u[4], 0.05, 0.15),
        }

    def real(normal: Array, mode: Array, problem: Problem) -> Array:
        return problem["modes"][mode] + problem["deviation"] * normal

    def generate(params: Params, z: Array) -> Array:
        return mlp(params["generator"], z, jax.nn.relu)

    def batch(key: Array, problem: Problem) -> Batch:
        drawn = jax.random.normal(key, (batch_size, latent + 3), jnp.float32)
        # A normal number's place in its distribution is uniform, and so is the mode.
        mode = (8 * jax.scipy.stats.norm.cdf(drawn[:, -1])).astype(jnp.int32) % 8
        return drawn[:, :latent], real(drawn[:, latent:-1], mode, problem)

    def loss(params: Params, batch: Batch) -> Array:
        z, x = batch
        judged = mlp(params["discriminator"], jnp.concatenate([x, generate(params, z)]), _leaky)
        of_real, of_generated = jnp.split(judged[:, 0], 2)
        return -jnp.mean(jax.nn.softplus(-of_real)) - jnp.mean(jax.nn.softplus(of_generated))

    def score(params: Params, problem: Problem) -> Array:
        made, wanted = generate(params, fixed), real(fixed_real, fixed_modes, problem)
        between = _mean_distance(made, wanted)
        return 2 * between - _mean_distance(made, made) - _mean_distance(wanted, wanted)

    model = {
        "generator": mlp_weights(latent, width, 2, gain=2.0),
        "discriminator": mlp_weights(2, width, 1, gain=2.0),
    }
    roles = partial(_roles, minimizing="generator")
    return Functions(draw, initializer(model), batch, loss, score, {"role": roles})


def _leaky(x: Array) -> Array:
    return jax.nn.leaky_relu(x, 0.2)


def _mean_distance(a: Array, b: Array) -> Array:
    """Between all points of two samples [n, 2]."""
    squares = jnp.sum((a[:, None] - b[None]) ** 2, axis=-1)
    return jnp.mean(jnp.sqrt(squares + 1e-12))
