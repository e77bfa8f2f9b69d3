"""Problems whose curvature, optimum and noise are known exactly.

All scores are expected losses above what noise makes inevitable, without sampling: never negative,
and 0 only at the optimum, which differs between problems and is never at the origin.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..task import Batch, Params, Problem
from .draws import log_uniform
from .layers import Functions, Normal, initializer, mlp, mlp_weights

# Tensors of different scales: the same step in w moves the model ten times further through one
# tensor than through another, as in real networks.
SHAPES = {"matrix": (8, 8), "rows": (4, 6), "bias": (8,)}
SCALES = {"matrix": 1.0, "rows": 0.3, "bias": 3.0}


def quadratic() -> Functions:
    """Linear regression on a stream of Gaussian inputs: a ~ N(0, H), y = a.x* + noise.

    H = Q diag(10^-p .. 1) Q' has a random basis Q, so per-coordinate scaling has no
    advantage. The problem is the basis, the condition number (10^2 to 10^4), x*, and the noise.
    """
    dimension, batch_size = 96, 16

    def draw(key: Array) -> Problem:
        key_basis, key_numbers, key_target = jax.random.split(key, 3)
        basis, _ = jnp.linalg.qr(jax.random.normal(key_basis, (dimension, dimension)))
        u = jax.random.uniform(key_numbers, (3,))
        eigenvalues = 10 ** -((2 + 2 * u[0]) * jnp.linspace(0, 1, dimension))
        return {
            "root": jnp.sqrt(eigenvalues)[:, None] * basis,
            # Every eigendirection contributes to the loss at the start, the flat ones less.
            "target": jax.random.normal(key_target, (dimension,)),
            "noise": log_uniform(u[1], 0.1, 0.6),  # standard deviation of the labels
            "init_scale": log_uniform(u[2], 0.5, 2),
        }

    def flatten(params: Params) -> Array:
        return jnp.concatenate([SCALES[name] * params[name].ravel() for name in SHAPES])

    def batch(key: Array, problem: Problem) -> Batch:
        drawn = jax.random.normal(key, (batch_size, dimension + 1), jnp.float32)
        inputs = drawn[:, :-1] @ problem["root"]
        return inputs, inputs @ problem["target"] + problem["noise"] * drawn[:, -1]

    def loss(params: Params, batch: Batch) -> Array:
        inputs, labels = batch
        return 0.5 * jnp.mean((inputs @ flatten(params) - labels) ** 2)

    def score(params: Params, problem: Problem) -> Array:
        """Relative to the origin's, which is about 1 at the start."""
        root, target = problem["root"], problem["target"]
        excess = jnp.sum((root @ (flatten(params) - target)) ** 2)
        return excess / jnp.sum((root @ target) ** 2)

    init = initializer({name: Normal(shape, 0.1) for name, shape in SHAPES.items()})
    return Functions(draw, init, batch, loss, score)


def heavy_tails() -> Functions:
    """Regression on features as rare as words, with labels whose noise has no finite variance.

    Feature i is present with probability about 1 / i^s, so that most minibatches say nothing of
    most weights, and the noise follows Student's t with 1.5 degrees of freedom: now and then one
    label dwarfs all others. The problem is s (0.7 to 1.3), the optimum, and the noise.
    """
    shapes = {"matrix": (12, 8), "bias": (64,)}
    dimension, batch_size, freedom = 160, 32, 1.5

    def draw(key: Array) -> Problem:
        key_numbers, key_target = jax.random.split(key)
        u = jax.random.uniform(key_numbers, (3,))
        rarity = (1 + jnp.arange(dimension)) ** (0.7 + 0.6 * u[0])
        return {
            "frequency": 0.7 / rarity,
            "target": 1 + jax.random.normal(key_target, (dimension,)),
            "noise": log_uniform(u[1], 0.1, 0.5),
            "init_scale": log_uniform(u[2], 0.5, 2),
        }

    def flatten(params: Params) -> Array:
        return jnp.concatenate([params[name].ravel() for name in shapes])

    def batch(key: Array, problem: Problem) -> Batch:
        key_inputs, key_noise = jax.random.split(key)
        present = jax.random.uniform(key_inputs, (batch_size, dimension)) < problem["frequency"]
        inputs = 2.0 * present
        # The inverse of a distribution with a tail like t's: |noise| > x as often as x^-1.5.
        u = jax.random.uniform(key_noise, (batch_size,), minval=-1.0, maxval=1.0)
        noise = jnp.sign(u) * (jnp.maximum(1 - jnp.abs(u), 1e-6) ** (-1 / freedom) - 1)
        return inputs, inputs @ problem["target"] + problem["noise"] * noise

    def loss(params: Params, batch: Batch) -> Array:
        inputs, labels = batch
        return 0.5 * jnp.mean((inputs @ flatten(params) - labels) ** 2)

    def score(params: Params, problem: Problem) -> Array:
        """E (a.(w - w*))^2 over that at the origin, for independent features."""
        p, target = problem["frequency"], problem["target"]

        def expected(difference: Array) -> Array:
            spread = jnp.sum(p * (1 - p) * difference**2)
            return spread + jnp.sum(p * difference) ** 2

        return expected(flatten(params) - target) / expected(target)

    init = initializer({name: Normal(shape, 0.1) for name, shape in shapes.items()})
    return Functions(draw, init, batch, loss, score)


def rosenbrock() -> Functions:
    """A chain of curved valleys (Rosenbrock 1960), seen through noise.

    In u, which is w moved and stretched, the loss is the mean over the chain of
    (1 - u_i)^2 + b (u_{i+1} - u_i^2)^2: the floor of the valley is far flatter than its walls, and
    it bends. The problem is where u = 1 lies, the stretch of every coordinate, b and the noise.
    """
    dimension, shapes = 120, {"matrix": (10, 10), "bias": (20,)}

    def draw(key: Array) -> Problem:
        key_numbers, key_coordinates = jax.random.split(key)
        u = jax.random.uniform(key_numbers, (2,))
        normal = jax.random.normal(key_coordinates, (2, dimension))
        return {
            "target": 2 * normal[0],
            "stretch": 2 ** normal[1],
            "steepness": log_uniform(u[0], 5, 20),
            "noise": log_uniform(u[1], 0.05, 0.2),
        }

    def residuals(params: Params, problem: Problem) -> tuple[Array, Array]:
        w = jnp.concatenate([params[name].ravel() for name in shapes])
        u = 1 + problem["stretch"] * (w - problem["target"])
        return 1 - u[:-1], jnp.sqrt(problem["steepness"]) * (u[1:] - u[:-1] ** 2)

    def init(key: Array, problem: Problem) -> Params:
        """Starts about the middle of the valleys, at u ~ N(0, 1/4)."""
        u = 0.5 * jax.random.normal(key, (dimension,), jnp.float32)
        w = problem["target"] + (u - 1) / problem["stretch"]
        cut = math.prod(shapes["matrix"])
        return {"matrix": w[:cut].reshape(shapes["matrix"]), "bias": w[cut:]}

    def batch(key: Array, problem: Problem) -> Batch:
        noise = problem["noise"] * jax.random.normal(key, (2, dimension - 1), jnp.float32)
        return problem, noise

    def loss(params: Params, batch: Batch) -> Array:
        problem, noise = batch
        along, across = residuals(params, problem)
        return jnp.mean((along + noise[0]) ** 2 + (across + noise[1]) ** 2)

    def score(params: Params, problem: Problem) -> Array:
        along, across = residuals(params, problem)
        return jnp.mean(along**2 + across**2)

    return Functions(draw, init, batch, loss, score)


def teacher_student(wider: int = 1) -> Functions:
    """A 20-32-1 network learns a 20-8-1 one of other weights, from correlated inputs.

    The student has more units than it needs, so that whole directions are flat, and the inputs'
    scales fall over a decade. The problem is the teacher, the scales and the noise.
    """
    inputs, units, batch_size = 20, 8, 32
    fresh = np.random.default_rng(0).normal(size=(256, inputs)).astype(np.float32)

    def draw(key: Array) -> Problem:
        key_numbers, key_weights = jax.random.split(key)
        u = jax.random.uniform(key_numbers, (3,))
        w = jax.random.normal(key_weights, ((inputs + 2) * units,))
        scales = 10 ** -((0.5 + 0.7 * u[0]) * jnp.linspace(0, 1, inputs))
        hidden = w[: inputs * units].reshape(inputs, units)
        mixing = jnp.roll(jnp.eye(inputs), 1, axis=0) + jnp.eye(inputs)
        return {
            "mix": scales[:, None] * mixing,
            "hidden": 1.5 * hidden / jnp.sqrt(jnp.sum((scales[:, None] * hidden) ** 2, axis=0)),
            "bias": w[inputs * units : -units],
            "out": w[-units:] / jnp.sqrt(units),
            "noise": log_uniform(u[1], 0.02, 0.2),
            "init_scale": log_uniform(u[2], 0.7, 1.4),
        }

    def teach(x: Array, problem: Problem) -> Array:
        return jnp.tanh(x @ problem["hidden"] + problem["bias"]) @ problem["out"]

    def batch(key: Array, problem: Problem) -> Batch:
        drawn = jax.random.normal(key, (batch_size, inputs + 1), jnp.float32)
        x = drawn[:, :-1] @ problem["mix"]
        return x, teach(x, problem) + problem["noise"] * drawn[:, -1]

    def loss(params: Params, batch: Batch) -> Array:
        x, y = batch
        return jnp.mean((mlp(params, x, jnp.tanh)[:, 0] - y) ** 2)

    def score(params: Params, problem: Problem) -> Array:
        """The error on fresh inputs, relative to the variance of the teacher's outputs."""
        x = fresh @ problem["mix"]
        y = teach(x, problem)
        return loss(params, (x, y)) / jnp.var(y)

    return Functions(
        draw, initializer(mlp_weights(inputs, 32, 1, gain=1.0, wider=wider)), batch, loss, score
    )
