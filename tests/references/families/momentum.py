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


@reference("N", {"lr": 1e-2, "beta": 0.9, "nu": 0.7}, copies=1)
@each_tensor
def qhm(w: np.ndarray, grads: list[np.ndarray], *, lr: float, beta: float, nu: float) -> Steps:
    """Quasi-hyperbolic momentum (Ma & Yarats 2019): ``w -= lr ((1-nu) g + nu EMA(m, g))``. [N]"""
    m = np.zeros_like(w)
    for g in grads:
        m = ema(m, g, beta)
        w = w - lr * (1 - nu) * g - lr * nu * m
        yield w


@reference(
    "N", {"lr": 1e-2, "b1": 0.3, "b2": 0.9, "b3": 0.99}, copies=3, note="b1 is raised from 0"
)
@each_tensor
def aggmo(
    w: np.ndarray, grads: list[np.ndarray], *, lr: float, b1: float, b2: float, b3: float
) -> Steps:
    """Aggregated momentum (Lucas et al. 2019): ``w -= lr/3 (m_1 + m_2 + m_3), m_i = b_i m_i + g``.

    [N]
    """
    betas = np.array([b1, b2, b3]).reshape(3, *[1] * w.ndim)
    momenta = np.zeros((3, *w.shape))
    for g in grads:
        momenta = betas * momenta + g
        w = w - lr * momenta.mean(axis=0)
        yield w


@reference("N", {"lr": 1e-2}, copies=0)
@each_tensor
def signsgd(w: np.ndarray, grads: list[np.ndarray], *, lr: float) -> Steps:
    """signSGD (Bernstein et al. 2018, Algorithm 1): ``w -= lr sign(g)``. [N]"""
    for g in grads:
        w = np.where(g > 0, w - lr, np.where(g < 0, w + lr, w))
        yield w


@reference("N", {"lr": 1e-2, "beta": 0.9}, copies=1)
@each_tensor
def signum(w: np.ndarray, grads: list[np.ndarray], *, lr: float, beta: float) -> Steps:
    """Signum (Bernstein et al. 2018, Algorithm 2): ``w -= lr sign(EMA(m, g))``. [N]"""
    m = np.zeros_like(w)
    for g in grads:
        m = ema(m, g, beta)
        w = w - lr * np.sign(m)
        yield w


@reference("N", {"lr": 1e-2, "beta": 0.965, "wd": 1e-1}, copies=1)
@each_tensor
def tiger(w: np.ndarray, grads: list[np.ndarray], *, lr: float, beta: float, wd: float) -> Steps:
    """Tiger (Su 2023): ``w = (1 - lr wd) w - lr sign(EMA(m, g))``. [N]"""
    m = np.zeros_like(w)
    for g in grads:
        m = ema(m, g, beta)
        w = (1 - lr * wd) * w - lr * np.sign(m)
        yield w


@reference("U", {"lr": 1e-2, "beta": 0.9}, copies=1)
@each_tensor
def powersign(w: np.ndarray, grads: list[np.ndarray], *, lr: float, beta: float) -> Steps:
    """PowerSign-ld (Bello et al. 2017): ``w -= lr e^(f sign(g) sign(m)) g, f = 1 - t/T``. [U]"""
    m = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m = ema(m, g, beta)
        w = w - lr * np.e ** ((1 - t / len(grads)) * np.sign(g * m)) * g
        yield w


@reference("U", {"lr": 1e-2, "beta": 0.9}, copies=1)
@each_tensor
def addsign(w: np.ndarray, grads: list[np.ndarray], *, lr: float, beta: float) -> Steps:
    """AddSign-ld (Bello et al. 2017): ``w -= lr (1 + f sign(g) sign(m)) g, f = 1 - t/T``. [U]"""
    m = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m = ema(m, g, beta)
        w = w - lr * g - lr * (1 - t / len(grads)) * np.sign(m) * np.abs(g)
        yield w


@reference(
    "N",
    {"lr": 1e-2, "eta_minus": 0.5, "eta_plus": 1.2, "d_min": 2e-3, "d_max": 3e-2},
    copies=2,
    note="d_min is raised from 1e-6 and d_max lowered from 50, so that both are reached",
)
@each_tensor
def rprop(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    eta_minus: float,
    eta_plus: float,
    d_min: float,
    d_max: float,
) -> Steps:
    """Rprop (Riedmiller & Braun 1993) as torch.optim.Rprop states it. [N]

    d grows by eta_plus where g has the sign of the step before and shrinks by eta_minus where it
    has the other, which is then forgotten: there is no step, and d stays at the next one.
    """
    d = np.full_like(w, lr)
    before = np.zeros_like(w)
    for g in grads:
        agreement = np.sign(g) * np.sign(before)
        factor = np.ones_like(w)
        factor[agreement > 0] = eta_plus
        factor[agreement < 0] = eta_minus
        d = np.clip(d * factor, d_min, d_max)
        before = np.where(agreement < 0, 0, g)
        w = w - d * np.sign(before)
        yield w
