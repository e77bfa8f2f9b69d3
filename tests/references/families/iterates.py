"""NumPy references: rules that keep extra iterates or evaluate elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ..settings import ADAM, ADAMW, ROLES, reference
from ..trajectories import Params, Trajectory, each_tensor, ema

Steps = Iterator[np.ndarray]
TwoPoints = Iterator[tuple[np.ndarray, np.ndarray]]


def _adamw_direction(b1: float, b2: float, eps: float) -> Callable[[np.ndarray], np.ndarray]:
    """Adam's direction as a function with memory: hand it g_t, get m_hat / (sqrt(v_hat) + eps)."""
    m: np.ndarray | float = 0.0
    v: np.ndarray | float = 0.0
    t = 0

    def direction(g: np.ndarray) -> np.ndarray:
        nonlocal m, v, t
        t += 1
        m = ema(m, g, b1)
        v = ema(v, g**2, b2)
        return (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)

    return direction


@reference("N", {"lr": 1e-2, "k": 5, "alpha": 0.5}, copies=1)
@each_tensor
def lookahead_sgd(
    w: np.ndarray, grads: list[np.ndarray], *, lr: float = 1e-2, k: int = 5, alpha: float = 0.5
) -> TwoPoints:
    """Lookahead (Zhang et al. 2019, Algorithm 1) over SGD. [N]

    Every k steps ``phi += alpha * (w - phi); w = phi``. The slow weights phi are to be evaluated.
    """
    phi = w
    for t, g in enumerate(grads, 1):
        w = w - lr * g
        if t % k == 0:
            phi = phi + alpha * (w - phi)
            w = phi
        yield w, phi


@reference("N", {**ADAMW, "k": 5, "alpha": 0.5}, copies=3)
@each_tensor
def lookahead_adamw(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    wd: float = 1e-2,
    k: int = 5,
    alpha: float = 0.5,
) -> TwoPoints:
    """Lookahead over AdamW; the inner optimizer's state is not reset at a synchronization. [N]"""
    direction = _adamw_direction(b1, b2, eps)
    phi = w
    for t, g in enumerate(grads, 1):
        w = w - lr * (direction(g) + wd * w)
        if t % k == 0:
            phi = phi + alpha * (w - phi)
            w = phi
        yield w, phi


@reference("N", {**ADAMW, "k": 5, "outer_lr": 0.7, "mu": 0.9}, copies=4)
@each_tensor
def diloco_adamw(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    wd: float = 1e-2,
    k: int = 5,
    outer_lr: float = 0.7,
    mu: float = 0.9,
) -> Steps:
    """DiLoCo (Douillard et al. 2023) with one worker: AdamW inside, Nesterov SGD outside.

    After k inner steps from the anchor w: ``s = w - w_inner; b = mu*b + s;
    w -= outer_lr * (s + mu*b)``. With mu = 0 this is Lookahead with alpha = outer_lr.
    The composition is [N]; the defaults outer_lr = 0.7, mu = 0.9 are [U].
    """
    direction = _adamw_direction(b1, b2, eps)
    anchor = w
    b = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        w = w - lr * (direction(g) + wd * w)
        if t % k == 0:
            s = anchor - w
            b = mu * b + s
            anchor = anchor - outer_lr * (s + mu * b)
            w = anchor
        yield w


@reference("N", {"lr": 1e-2, "k": 5, "alpha": 0.5, "roles": ROLES}, copies=1)
def lookahead_gda(
    params: Params,
    grads: list[Params],
    *,
    roles: dict[str, float],
    lr: float = 1e-2,
    k: int = 5,
    alpha: float = 0.5,
) -> Trajectory:
    """LA-GDA (Pethick et al. 2023): k descent-ascent steps from z, ``z = (1-alpha) z + alpha w``.

    The paper's lambda is ``alpha`` here; the game field is F_i = roles[i] * g_i. [N]
    """
    w = {name: np.array(x) for name, x in params.items()}
    z = dict(w)
    out, anchors = [], []
    for t, g in enumerate(grads, 1):
        w = {name: w[name] - lr * roles[name] * g[name] for name in w}
        if t % k == 0:
            z = {name: (1 - alpha) * z[name] + alpha * w[name] for name in w}
            w = dict(z)
        out.append(w)
        anchors.append(z)
    return Trajectory(out, anchors)


@reference("N", {"lr": 1e-2, "k": 3, "alpha": 0.9, "roles": ROLES}, copies=1)
def rapp(
    params: Params,
    grads: list[Params],
    *,
    roles: dict[str, float],
    lr: float = 1e-2,
    k: int = 3,
    alpha: float = 0.9,
) -> Trajectory:
    """RAPP (Pethick et al. 2023): the approximate proximal point by k anchored steps. [N]

    k times ``w = z - lr * F(w)``, always from the anchor z; then ``z = (1-alpha) z + alpha w`` and
    ``w = z``. The paper's lambda is ``alpha``; k = 3 and 0.9 are the official README's example.
    """
    w = {name: np.array(x) for name, x in params.items()}
    z = dict(w)
    out, anchors = [], []
    for t, g in enumerate(grads, 1):
        w = {name: z[name] - lr * roles[name] * g[name] for name in w}
        if t % k == 0:
            z = {name: (1 - alpha) * z[name] + alpha * w[name] for name in w}
            w = dict(z)
        out.append(w)
        anchors.append(z)
    return Trajectory(out, anchors)


@reference("C", {"lr": 1e-1, "mu": 0.9}, copies=1, numbers=1)
@each_tensor
def primal_averaging(
    w: np.ndarray, grads: list[np.ndarray], *, lr: float = 1e-2, mu: float = 0.9
) -> TwoPoints:
    """Nesterov's method in its primal-averaging form (arXiv 2512.17131). [C]

    ``y = mu*x + (1-mu)*z``, g taken at y; ``z -= lr*g; x = mu*x + (1-mu)*z``. Evaluate x.
    """
    x = z = w
    for g in grads:
        z = z - lr * g
        x = mu * x + (1 - mu) * z
        yield mu * x + (1 - mu) * z, x


@reference("N", {"lr": 1e-1, "beta": 0.9, "wd": 1e-2}, copies=1, numbers=3)
@each_tensor
def schedule_free_sgd(
    w: np.ndarray, grads: list[np.ndarray], *, lr: float = 1.0, beta: float = 0.9, wd: float = 0.0
) -> TwoPoints:
    """Schedule-Free SGD (Defazio et al. 2024). [N]

    ``y = beta*x + (1-beta)*z``; ``z -= lr * (g + wd*y)``; ``x = (1-c) x + c z`` with
    ``c = lr_max^2 / sum lr_max^2``, which is 1/t at a constant lr. Evaluate x.
    """
    x = z = y = w
    weight_sum = 0.0
    for g in grads:
        z = z - lr * (g + wd * y)
        weight_sum += lr**2
        c = lr**2 / weight_sum
        x = (1 - c) * x + c * z
        y = beta * x + (1 - beta) * z
        yield y, x


@reference(
    "N", {"lr": 1e-1, "beta": 0.9, "b2": 0.999, "eps": 1e-8, "wd": 1e-2}, copies=2, numbers=3
)
@each_tensor
def schedule_free_adamw(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 2.5e-3,
    beta: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    wd: float = 0.0,
) -> TwoPoints:
    """Schedule-Free AdamW (Defazio et al. 2024, Algorithm 1): RMS-scaled g, decay taken at y. [N]

    ``z -= lr * (g / (sqrt(v_hat) + eps) + wd*y)``; x, y and c as in Schedule-Free SGD.
    """
    x = z = y = w
    v = np.zeros_like(w)
    weight_sum = 0.0
    for t, g in enumerate(grads, 1):
        v = ema(v, g**2, b2)
        z = z - lr * (g / (np.sqrt(v / (1 - b2**t)) + eps) + wd * y)
        weight_sum += lr**2
        c = lr**2 / weight_sum
        x = (1 - c) * x + c * z
        y = beta * x + (1 - beta) * z
        yield y, x


@reference(
    "N",
    {**ADAM, "lr": 1e-1, "wd": 0.0, "mu_y": 0.7, "mu_x": 0.9967},
    note="wd = 0: above it the official code is not the equations",
    copies=3,
    numbers=1,
)
@each_tensor
def gpa_adamw(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    wd: float = 0.0,
    mu_y: float = 0.7,
    mu_x: float = 0.9967,
) -> TwoPoints:
    """Generalized primal averaging over AdamW (arXiv 2512.17131). [N] at wd = 0.

    ``y = mu_y*x + (1-mu_y)*z``, Adam's direction d from g at y; ``z = (1 - lr*wd) z - lr*d;
    x = mu_x*x + (1-mu_x)*z``. Evaluate x. With wd > 0 the official code lets y keep part of the
    unshrunk z, which is not this rule.
    """
    direction = _adamw_direction(b1, b2, eps)
    x = z = w
    for g in grads:
        z = (1 - lr * wd) * z - lr * direction(g)
        x = mu_x * x + (1 - mu_x) * z
        yield mu_y * x + (1 - mu_y) * z, x
