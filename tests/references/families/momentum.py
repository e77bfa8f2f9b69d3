"""NumPy references: gradient descent, momentum, sign and optimistic steps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..settings import ROLES, reference
from ..trajectories import Params, Trajectory, each_tensor, ema

Steps = Iterator[np.ndarray]


@reference("N", {"lr": 1e-2}, copies=0)
@each_tensor
def sgd(w: np.ndarray, grads: list[np.ndarray], *, lr: float = 1e-2) -> Steps:
    """Gradient descent (Robbins & Monro 1951): ``w -= lr * g``. [N]"""
    for g in grads:
        w = w - lr * g
        yield w


@reference("N", {"lr": 1e-2, "mu": 0.9}, copies=1)
@each_tensor
def momentum(w: np.ndarray, grads: list[np.ndarray], *, lr: float = 1e-2, mu: float = 0.9) -> Steps:
    """Heavy ball (Polyak 1964): ``b = mu * b + g`` (so b_1 = g_1); ``w -= lr * b``. [N]"""
    b = np.zeros_like(w)
    for g in grads:
        b = mu * b + g
        w = w - lr * b
        yield w


@reference("N", {"lr": 1e-2, "mu": 0.9}, copies=1)
@each_tensor
def nesterov(w: np.ndarray, grads: list[np.ndarray], *, lr: float = 1e-2, mu: float = 0.9) -> Steps:
    """Nesterov momentum in Sutskever et al.'s (2013) form: ``b = mu*b + g; w -= lr*(g + mu*b)``.

    [N]
    """
    b = np.zeros_like(w)
    for g in grads:
        b = mu * b + g
        w = w - lr * (g + mu * b)
        yield w


@reference("N", {"lr": 1e-2, "b1": 0.9, "b2": 0.99, "wd": 1e-1}, copies=1)
@each_tensor
def lion(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1e-4,
    b1: float = 0.9,
    b2: float = 0.99,
    wd: float = 0.0,
) -> Steps:
    """Lion (Chen et al. 2023, Program 1), weight decay decoupled. [N]

    ``u = sign(b1*m + (1-b1)*g); w = w - lr*(u + wd*w)``; then ``m = b2*m + (1-b2)*g``.
    """
    m = np.zeros_like(w)
    for g in grads:
        u = np.sign(ema(m, g, b1))
        w = (1.0 - lr * wd) * w - lr * u
        m = ema(m, g, b2)
        yield w


@reference("N", {"lr": 1e-2}, copies=1)
@each_tensor
def optimistic_gd(w: np.ndarray, grads: list[np.ndarray], *, lr: float = 1e-2) -> Steps:
    """Optimistic gradient descent (Popov 1980; Daskalakis et al. 2018). [N]

    ``w -= lr * (2 g_t - g_{t-1})`` with ``g_0 := g_1``.
    """
    previous = grads[0]
    for g in grads:
        w = w - lr * (2.0 * g - previous)
        previous = g
        yield w


@reference("N", {"lr": 1e-2, "roles": ROLES}, copies=0)
def gda(
    params: Params, grads: list[Params], *, roles: dict[str, float], lr: float = 1e-2
) -> Trajectory:
    """Simultaneous gradient descent-ascent: ``w_i -= lr * s_i * g_i``. [N]

    ``roles[name]`` is the player's sign s: +1 minimizes, -1 maximizes.
    """
    w = {name: np.array(x) for name, x in params.items()}
    out = []
    for g in grads:
        w = {name: w[name] - lr * roles[name] * g[name] for name in w}
        out.append(w)
    return Trajectory(out)
