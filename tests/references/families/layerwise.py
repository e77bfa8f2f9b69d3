"""NumPy references: rules with norms of a tensor or of its rows and columns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..settings import ADAMW, MODEL, NOT_OFFICIAL, reference
from ..trajectories import Params, Trajectory, each_tensor, ema, model_norm, norm

Steps = Iterator[np.ndarray]


@reference(
    "U", {"lr": 1.0, "b0_squared": 1e-2, "scope": "model"}, note=NOT_OFFICIAL, copies=0, numbers=1
)
def adagrad_norm(
    params: Params,
    grads: list[Params],
    *,
    lr: float = 1.0,
    b0_squared: float = 1e-2,
    scope: str = "model",
) -> Trajectory:
    """AdaGrad-Norm (Ward et al. 2019, Algorithm 1): ``b^2 += ||g||^2; w -= lr * g / b``.

    One scalar b for the model, or one per tensor with ``scope="tensor"``. [U]: derived from the
    equations, not official (the code in circulation is row-wise; it agrees where a tensor is one
    row). The default b_0^2 = 0.01 and lr = 1 are that code's.
    """
    if scope not in ("model", "tensor"):
        raise ValueError(f"scope is {scope!r}; it can be 'model' or 'tensor'")
    w = {name: np.array(x) for name, x in params.items()}
    b2 = dict.fromkeys(w, b0_squared)
    out = []
    for g in grads:
        for name in w:
            b2[name] += (model_norm(g) if scope == "model" else norm(g[name])) ** 2
        w = {name: w[name] - lr * g[name] / np.sqrt(b2[name]) for name in w}
        out.append(w)
    return Trajectory(out)


@reference(
    "N",
    {"lr": 0.3, "d": 1.0, "eps2": 1e-3},
    note="lr = 0.3 so that min(lr, t^-1/2) takes both of its values",
)
@each_tensor
def adafactor(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1e-2,
    d: float = 1.0,
    eps2: float = 1e-3,
    decay_power: float = 0.8,
) -> Steps:
    """Adafactor (Shazeer & Stern 2018, Algorithms 4-6) as torch states it. [N]

    ``rho = min(lr, t^-1/2); alpha = max(eps2, rms(w)) * rho; beta = 1 - t^-0.8``; R and C are the
    EMAs of the row and column means of g^2 over the last two axes, ``V = R C / mean(R)``;
    ``u = g / sqrt(V); w -= alpha * u / max(1, rms(u)/d)``. Tensors of fewer than two axes keep V
    whole. An entry of V that is zero counts as the smallest positive number: its g is zero too.
    """
    row: np.ndarray | float = 0.0
    column: np.ndarray | float = 0.0
    whole: np.ndarray | float = 0.0
    for t, g in enumerate(grads, 1):
        beta = 1.0 - t**-decay_power
        alpha = max(eps2, norm(w) / np.sqrt(w.size)) * min(lr, t**-0.5)
        if w.ndim > 1:
            row = ema(row, np.mean(g**2, axis=-1, keepdims=True), beta)
            column = ema(column, np.mean(g**2, axis=-2, keepdims=True), beta)
            v = row * column / np.mean(row, axis=-2, keepdims=True)
        else:
            v = whole = ema(whole, g**2, beta)
        u = g / np.sqrt(np.maximum(v, np.finfo(np.float64).tiny))
        w = w - alpha * u / max(1.0, norm(u) / np.sqrt(u.size) / d)
        yield w


@reference("N", {"lr": 1.0, "mu": 0.9, "wd": 1e-2, "trust": 1e-2}, copies=1)
@each_tensor
def lars(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1.0,
    mu: float = 0.9,
    wd: float = 0.0,
    trust: float = 1e-3,
) -> Steps:
    """LARS (You et al. 2017, Algorithm 1). [N]

    ``r = trust * ||w|| / (||g|| + wd*||w||); b = mu*b + r*(g + wd*w); w -= lr*b``; r = 1 where
    w or what r is divided by is zero.
    """
    b = np.zeros_like(w)
    for g in grads:
        size = norm(w)
        below = norm(g) + wd * size
        r = trust * size / below if size > 0 and below > 0 else 1.0
        b = mu * b + r * (g + wd * w)
        w = w - lr * b
        yield w


@reference("N", {"lr": 1.0, "mu": 0.9, "wd": 1e-2, "trust": 1e-2}, copies=1)
@each_tensor
def lars_optax(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1.0,
    mu: float = 0.9,
    wd: float = 0.0,
    trust: float = 1e-3,
) -> Steps:
    """LARS as Optax states it: the norm of g + wd*w below, lr inside the momentum. [N]

    ``r = trust * ||w|| / ||g + wd*w||; b = mu*b + lr*r*(g + wd*w); w -= b``.
    """
    b = np.zeros_like(w)
    for g in grads:
        u = g + wd * w
        r = trust * norm(w) / norm(u) if norm(w) > 0 and norm(u) > 0 else 1.0
        b = mu * b + lr * r * u
        w = w - b
        yield w


@reference("N", {**ADAMW, "eps": 1e-6}, copies=2)
@each_tensor
def lamb(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    wd: float = 0.0,
) -> Steps:
    """LAMB (You et al. 2020, Algorithm 2), identity scaling function. [N]

    ``u = m_hat / (sqrt(v_hat) + eps) + wd*w; w -= lr * ||w||/||u|| * u``; the ratio is 1 where
    either norm is zero.
    """
    m = np.zeros_like(w)
    v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m = ema(m, g, b1)
        v = ema(v, g**2, b2)
        u = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps) + wd * w
        ratio = norm(w) / norm(u) if norm(w) > 0 and norm(u) > 0 else 1.0
        w = w - lr * ratio * u
        yield w


@reference(
    "N",
    {"lr": 1e-2, "mu": 0.9, "eps": 1e-8, "wd": 1e-1},
    tensors=MODEL,
    note="no scalar: the standard deviation of one number is undefined",
    copies=1,
    numbers=1,
)
@each_tensor
def sgd_sai(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1e-2,
    mu: float = 0.9,
    eps: float = 1e-8,
    wd: float = 1e-2,
) -> Steps:
    """SGD-SaI (Xu et al. 2024): the first gradient's signal-to-noise ratio scales all steps.

    At t = 1 ``kappa = ||g|| / (std(g) + eps)`` (n-1 in the std) and m = g, afterwards
    ``m = EMA(m, g)``; ``w = (1 - lr*wd) w - lr*kappa*m``. [N]
    """
    first = grads[0]
    kappa = norm(first) / (float(np.std(first, ddof=1)) + eps)
    m = first
    for t, g in enumerate(grads, 1):
        if t > 1:
            m = ema(m, g, mu)
        w = (1.0 - lr * wd) * w - lr * kappa * m
        yield w


@reference("N", {"lr": 1e-2, "b1": 0.9, "b2": 0.25, "eps": 1e-6, "wd": 1e-1}, copies=1, numbers=1)
@each_tensor
def novograd(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    wd: float,
) -> Steps:
    """NovoGrad (Ginsburg et al. 2019, Algorithm 1). [N]

    ``v = EMA(v, ||g||^2), v_1 = ||g_1||^2; m = b1 m + (g/(sqrt(v) + eps) + wd w); w -= lr m``.
    """
    v = norm(grads[0]) ** 2
    m = np.zeros_like(w)
    for g in grads:
        v = ema(v, norm(g) ** 2, b2)  # of the first with itself
        m = b1 * m + (g / (np.sqrt(v) + eps) + wd * w)
        w = w - lr * m
        yield w


@reference("N", {"lr": 1e-1, "min_norm": 2.0}, copies=0, note="min_norm is raised from 1e-6")
@each_tensor
def fromage(w: np.ndarray, grads: list[np.ndarray], *, lr: float, min_norm: float) -> Steps:
    """Fromage (Bernstein et al. 2020, Algorithm 1): ``w = (w - lr ||w||/||g|| g)/sqrt(1 + lr^2)``.

    [N]
    """
    for g in grads:
        ratio = max(norm(w), min_norm) / max(norm(g), min_norm)
        w = (w - lr * ratio * g) / np.hypot(1.0, lr)
        yield w


@reference("S", ADAMW)
@each_tensor
def adam_mini(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    wd: float,
) -> Steps:
    """Adam-mini (Zhang et al. 2025): v is an EMA of rows' mean squares, a vector's of all. [S]"""
    m = np.zeros_like(w)
    axis = -1 if w.ndim > 1 else None
    v: np.ndarray | float = 0.0
    for t, g in enumerate(grads, 1):
        m = ema(m, g, b1)
        v = ema(v, np.mean(g**2, axis=axis, keepdims=w.ndim > 1), b2)
        direction = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        w = (1 - lr * wd) * w - lr * direction
        yield w


@reference(
    "N",
    {
        "lr": 1e-2,
        "b1": 0.9,
        "b2": 0.99,
        "b3": 0.9,
        "eps1": 1e-10,
        "eps2": 1e-8,
        "d": 1.0,
        "wd": 1e-1,
    },
    note="eps1 and eps2 are raised from 1e-30 and 1e-16, b3 is lowered from 0.9999",
)
@each_tensor
def came(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    b3: float,
    eps1: float,
    eps2: float,
    d: float,
    wd: float,
) -> Steps:
    """CAME (Luo et al. 2023, Algorithm 2). [N]

    ``u = g/sqrt(V)``, V being factored as Adafactor's, clipped to rms d; ``m = EMA(m, u)``; the
    step is ``m/sqrt(S)`` with S the factored EMA of ``(u - m)^2 + eps2``. Tensors of fewer than two
    axes keep V whole and step by m.
    """

    def factored(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return rows * columns / rows.mean(axis=-2, keepdims=True)

    m = np.zeros_like(w)
    moments: list[np.ndarray | float] = [0.0] * 4
    for g in grads:
        square = g**2 + eps1
        if w.ndim > 1:
            moments[0] = ema(moments[0], square.mean(-1, keepdims=True), b2)
            moments[1] = ema(moments[1], square.mean(-2, keepdims=True), b2)
            u = g / np.sqrt(factored(moments[0], moments[1]))
        else:
            moments[0] = ema(moments[0], square, b2)
            u = g / np.sqrt(moments[0])
        u = u / max(1.0, norm(u) / np.sqrt(u.size) / d)
        m = ema(m, u, b1)
        step = m
        if w.ndim > 1:
            distance = (u - m) ** 2 + eps2
            moments[2] = ema(moments[2], distance.mean(-1, keepdims=True), b3)
            moments[3] = ema(moments[3], distance.mean(-2, keepdims=True), b3)
            step = m / np.sqrt(factored(moments[2], moments[3]))
        w = (1 - lr * wd) * w - lr * step
        yield w
