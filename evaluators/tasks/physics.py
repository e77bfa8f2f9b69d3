"""Networks that solve differential equations (Raissi et al. 2019), each with a known solution.

The loss is the equation's residual at random points, so that its gradient goes through the
network's own derivatives: an ill-conditioned problem even for a tiny network. The score is the
distance from the solution, relative to its size: 1 for predicting zero.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..task import Batch, Params, Problem
from .draws import log_uniform
from .layers import Functions, dense, initializer, mlp_weights


def derivatives(params: list[Params], x: Array) -> tuple[Array, Array, Array]:
    """A tanh network of one output with its derivatives, carried through the layers.

    Nested automatic differentiation is equivalent but takes several times as long to compile.

    Args:
      params: the layers.
      x: points, [n, d].

    Returns:
      u [n], du/dx_i [d, n] and d2u/dx_i^2 [d, n].
    """
    n, d = x.shape
    h = x
    first = jnp.broadcast_to(jnp.eye(d)[:, None], (d, n, d))
    second = jnp.zeros((d, n, d))
    for layer in params[:-1]:
        h = jnp.tanh(dense(layer, h))
        first, second = first @ layer["w"], second @ layer["w"]
        slope = 1 - h**2
        second = slope * (second - 2 * h * first**2)
        first = slope * first
    last = params[-1]
    return dense(last, h)[:, 0], (first @ last["w"])[..., 0], (second @ last["w"])[..., 0]


def poisson_pinn(wider: int = 1) -> Functions:
    """-u'' = f on 0..1 with u = 0 at both ends, by a 1-32-32-1 network.

    u is a sum of four sines; the problem is their amplitudes. The network is multiplied by
    x (1 - x), which is 0 at the ends, so that only the residual is minimized.
    """
    waves = math.pi * jnp.arange(1, 5)
    grid = jnp.linspace(0, 1, 128)[:, None]

    def draw(key: Array) -> Problem:
        key_waves, key_scale = jax.random.split(key)
        amplitude = jax.random.normal(key_waves, (4,)) / jnp.arange(1, 5)
        return {
            "amplitude": amplitude / jnp.linalg.norm(amplitude),
            "init_scale": log_uniform(jax.random.uniform(key_scale), 0.7, 1.4),
        }

    def solution(x: Array, problem: Problem) -> Array:
        return jnp.sin(x * waves) @ problem["amplitude"]

    def batch(key: Array, problem: Problem) -> Batch:
        """Points [32, 1] and f there, in units of its root mean square."""
        x = jax.random.uniform(key, (32, 1))
        curvature = waves**2 * problem["amplitude"]
        unit = jnp.sqrt(0.5) * jnp.linalg.norm(curvature)
        return x, jnp.sin(x * waves) @ curvature / unit, unit

    def loss(params: Params, batch: Batch) -> Array:
        x, f, unit = batch
        u, (du,), (d2u,) = derivatives(params, x)
        x = x[:, 0]
        bent = x * (1 - x) * d2u + 2 * (1 - 2 * x) * du - 2 * u
        return jnp.mean((bent / unit + f) ** 2)

    def score(params: Params, problem: Problem) -> Array:
        x, expected = grid[:, 0], solution(grid, problem)
        u = x * (1 - x) * derivatives(params, grid)[0]
        return jnp.linalg.norm(u - expected) / jnp.linalg.norm(expected)

    init = initializer(mlp_weights(1, 32, 32, 1, gain=2.0, wider=wider))
    return Functions(draw, init, batch, loss, score)


def burgers_pinn(wider: int = 1) -> Functions:
    """u_t + u u_x = nu u_xx, a shock that travels, by a 2-32-32-32-1 network.

    The solution is c - a tanh(a (x - x0 - c t) / (2 nu)). Its values where x is -1 or 1 or t is 0
    are given, and the loss adds the error there to the residual's: two terms of different
    curvature, for one step size. The problem is c, a, nu and x0.
    """
    rng = np.random.default_rng(0)
    grid = jnp.asarray(rng.uniform((-1, 0), (1, 1), (256, 2)), jnp.float32)

    def draw(key: Array) -> Problem:
        u = jax.random.uniform(key, (5,))
        return {
            "speed": 0.2 + 0.6 * u[0],
            "height": 0.5 + 0.5 * u[1],
            "viscosity": log_uniform(u[2], 0.05, 0.15),
            "place": -0.6 + 0.6 * u[3],
            "init_scale": log_uniform(u[4], 0.7, 1.4),
        }

    def solution(points: Array, problem: Problem) -> Array:
        x, t = points[:, 0], points[:, 1]
        a, c = problem["height"], problem["speed"]
        return c - a * jnp.tanh(a * (x - problem["place"] - c * t) / (2 * problem["viscosity"]))

    def batch(key: Array, problem: Problem) -> Batch:
        """64 points inside, and 16 on the edges with the solution there."""
        u = jax.random.uniform(key, (80, 2))
        inside = u[:64] * jnp.array([2.0, 1.0]) - jnp.array([1.0, 0.0])
        s = u[64:, 0]
        side = jnp.arange(16) % 4  # two of four points at the start, one on either side
        x = jnp.where(side < 2, 2 * s - 1, jnp.where(side == 2, -1.0, 1.0))
        edge = jnp.stack([x, jnp.where(side < 2, 0.0, s)], axis=1)
        return inside, problem["viscosity"], edge, solution(edge, problem)

    def loss(params: Params, batch: Batch) -> Array:
        inside, viscosity, edge, given = batch
        u, (u_x, u_t), (u_xx, _) = derivatives(params, inside)
        residual = jnp.mean((u_t + u * u_x - viscosity * u_xx) ** 2)
        return residual + 10 * jnp.mean((derivatives(params, edge)[0] - given) ** 2)

    def score(params: Params, problem: Problem) -> Array:
        expected = solution(grid, problem)
        return jnp.linalg.norm(derivatives(params, grid)[0] - expected) / jnp.linalg.norm(expected)

    init = initializer(mlp_weights(2, 32, 32, 32, 1, gain=1.0, wider=wider))
    return Functions(draw, init, batch, loss, score)


def helmholtz_pinn(wider: int = 1) -> Functions:
    """u_xx + u_yy + k^2 u = f on the unit square with u = 0 on its edge, by a 2-48-48-48-1 network.

    u is a sum of products of sines, three waves in each direction; the problem is their amplitudes
    and k. As for Poisson's equation, a factor makes the network 0 on the edge.
    """
    waves = math.pi * jnp.arange(1, 4)
    rng = np.random.default_rng(0)
    grid = jnp.asarray(rng.uniform(size=(512, 2)), jnp.float32)
    squared = waves[:, None] ** 2 + waves**2

    def draw(key: Array) -> Problem:
        key_waves, key_numbers = jax.random.split(key)
        u = jax.random.uniform(key_numbers, (2,))
        amplitude = jax.random.normal(key_waves, (3, 3)) * 2 * math.pi**2 / squared
        return {
            "amplitude": amplitude / jnp.linalg.norm(amplitude),
            "wave_number": 1 + 2 * u[0],
            "init_scale": log_uniform(u[1], 0.7, 1.4),
        }

    def sines(points: Array, amplitude: Array) -> Array:
        x, y = points[:, :1], points[:, 1:]
        return jnp.sum(jnp.sin(x * waves) @ amplitude * jnp.sin(y * waves), axis=1)

    def batch(key: Array, problem: Problem) -> Batch:
        """64 points, f there in units of its root mean square, that unit, and k."""
        points = jax.random.uniform(key, (64, 2))
        k = problem["wave_number"]
        amplitude = (k**2 - squared) * problem["amplitude"]
        unit = 0.5 * jnp.linalg.norm(amplitude)
        return points, sines(points, amplitude) / unit, unit, k

    def held(params: Params, points: Array) -> tuple[Array, Array]:
        """u and its Laplacian, of the network n times the factor p(x) p(y), p(x) = 4 x (1 - x)."""
        n, first, second = derivatives(params, points)
        p = (4 * points * (1 - points)).T  # [2, points]
        slope = (4 - 8 * points).T
        across = p[::-1]
        bent = across * (p * second + 2 * slope * first - 8 * n)
        return p[0] * p[1] * n, jnp.sum(bent, axis=0)

    def loss(params: Params, batch: Batch) -> Array:
        points, f, unit, k = batch
        u, laplacian = held(params, points)
        return jnp.mean(((laplacian + k**2 * u) / unit - f) ** 2)

    def score(params: Params, problem: Problem) -> Array:
        expected = sines(grid, problem["amplitude"])
        return jnp.linalg.norm(held(params, grid)[0] - expected) / jnp.linalg.norm(expected)

    init = initializer(mlp_weights(2, 48, 48, 48, 1, gain=2.0, wider=wider))
    return Functions(draw, init, batch, loss, score)
