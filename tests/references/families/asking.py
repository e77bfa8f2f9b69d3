"""NumPy references: rules that ask for the loss or its derivatives elsewhere, or read noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ..losses import Loss, flatten, noise, unflatten
from ..problems import losses
from ..settings import ROLES, reference
from ..trajectories import Params, Trajectory, ema, model_norm

Ask = Callable[[Params], Params]


def _steps(params: Params, grads: list[Params]) -> Iterator[tuple[Params, Params, int]]:
    """Yields the weights of a step, which the rule changes in place, its gradients and number."""
    w = {name: np.array(x, np.float64) for name, x in params.items()}
    for t, g in enumerate(grads, 1):
        yield w, g, t


def _loss(w: Params, g: Params, t: int) -> Loss:
    return Loss(flatten(w), flatten(g), losses(t)[-1])


def _gradient(w: Params, g: Params, t: int) -> Ask:
    """The gradient of the step's loss elsewhere."""
    loss = _loss(w, g, t)
    return lambda x: unflatten(loss.gradient(flatten(x)), w)


def _plus(w: Params, factor: float, direction: Params) -> Params:
    return {name: w[name] + factor * direction[name] for name in w}


def _copied(w: Params) -> Params:
    return {name: x.copy() for name, x in w.items()}


@reference("N", {"lr": 1e-2, "rho": 0.05}, note="on SGD, the gradient of the same batch", copies=0)
def sam(params: Params, grads: list[Params], *, lr: float, rho: float) -> Trajectory:
    """SAM (Foret et al. 2021): ``w -= lr * grad L(w + rho * g / (||g|| + 1e-12))``, model norm."""
    out = []
    for w, g, t in _steps(params, grads):
        asked = _gradient(w, g, t)(_plus(w, rho / (model_norm(g) + 1e-12), g))
        for name in w:
            w[name] = w[name] - lr * asked[name]
        out.append(_copied(w))
    return Trajectory(out)


@reference(
    "N", {"lr": 1e-2, "roles": ROLES}, note="the second gradient is of the same batch", copies=0
)
def extragradient(
    params: Params, grads: list[Params], *, lr: float, roles: dict[str, float]
) -> Trajectory:
    """Extragradient (Korpelevich 1976): ``w -= lr * F(w - lr * F(w))``."""
    out = []
    for w, g, t in _steps(params, grads):
        half = {name: w[name] - lr * roles[name] * g[name] for name in w}
        asked = _gradient(w, g, t)(half)
        for name in w:
            w[name] = w[name] - lr * roles[name] * asked[name]
        out.append(_copied(w))
    return Trajectory(out)


@reference(
    "N",
    {"lr": 1e-2, "roles": ROLES},
    note="four gradients of one batch",
    copies=0,
)
def rk4_flow(
    params: Params, grads: list[Params], *, lr: float, roles: dict[str, float]
) -> Trajectory:
    """The classical Runge-Kutta step of ``w' = -F(w)``."""
    out = []
    for w, g, t in _steps(params, grads):
        ask = _gradient(w, g, t)
        field: Ask = lambda x, ask=ask: {n: roles[n] * y for n, y in ask(x).items()}  # noqa: E731
        first = {name: roles[name] * g[name] for name in w}
        second = field(_plus(w, -lr / 2, first))
        third = field(_plus(w, -lr / 2, second))
        fourth = field(_plus(w, -lr, third))
        for n in w:
            w[n] = w[n] - lr / 6 * (first[n] + 2 * second[n] + 2 * third[n] + fourth[n])
        out.append(_copied(w))
    return Trajectory(out)


@reference(
    "N", {"lr": 1e-2, "a": 0.1}, note="the old point's gradient is of the new batch", copies=2
)
def storm(params: Params, grads: list[Params], *, lr: float, a: float) -> Trajectory:
    """STORM (Cutkosky & Orabona 2019): ``d = g + (1-a) * (d - grad L(w_old))``, ``d_1 = g_1``."""
    out = []
    d: Params = {}
    old: Params = {}
    for w, g, t in _steps(params, grads):
        if t == 1:
            d = dict(g)
        else:
            there = _gradient(w, g, t)(old)
            d = {name: g[name] + (1 - a) * (d[name] - there[name]) for name in w}
        old = _copied(w)
        for name in w:
            w[name] = w[name] - lr * d[name]
        out.append(_copied(w))
    return Trajectory(out)


@reference(
    "N",
    {"lr": 1e-2, "b1": 0.9, "b2": 0.999, "eps": 1e-4, "wd": 1e-1},
    note="Rademacher vectors as given; k = 1",
    copies=2,
    numbers=2,
)
def adahessian(
    params: Params,
    grads: list[Params],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    wd: float,
) -> Trajectory:
    """AdaHessian (Yao et al. 2021): Adam with ``|z * Hz|``, averaged over a kernel's matrix."""
    m = {name: np.zeros_like(x) for name, x in params.items()}
    v = {name: np.zeros_like(x) for name, x in params.items()}
    out = []
    for w, g, t in _steps(params, grads):
        z = noise("rademacher", t - 1, w)
        product = unflatten(_loss(w, g, t).hessian_times(flatten(z)), w)
        for name in w:
            diagonal = np.abs(product[name] * z[name])
            if diagonal.ndim > 2:
                diagonal = diagonal.mean(axis=(-2, -1), keepdims=True)
            m[name] = ema(m[name], g[name], b1)
            v[name] = ema(v[name], diagonal**2, b2)
            root = np.sqrt(v[name] / (1 - b2**t))
            w[name] = w[name] - lr * (m[name] / (1 - b1**t) / (root + eps) + wd * w[name])
        out.append(_copied(w))
    return Trajectory(out)


@reference(
    "C",
    {"lr": 1e-2, "b1": 0.965, "b2": 0.99, "rho": 0.01, "eps": 1e-8, "k": 3, "wd": 1e-1},
    note="Hutchinson's estimator; Rademacher vectors as given",
    copies=2,
    numbers=2,
)
def sophia(
    params: Params,
    grads: list[Params],
    *,
    lr: float,
    b1: float,
    b2: float,
    rho: float,
    eps: float,
    k: int,
    wd: float,
) -> Trajectory:
    """Sophia-H (Liu et al. 2024) in Optax's order: h is used before it is renewed."""
    m = {name: np.zeros_like(x) for name, x in params.items()}
    h = {name: np.zeros_like(x) for name, x in params.items()}
    out = []
    for w, g, t in _steps(params, grads):
        z = noise("rademacher", t - 1, w)
        product = unflatten(_loss(w, g, t).hessian_times(flatten(z)), w)
        for name in w:
            m[name] = ema(m[name], g[name], b1)
            step = m[name] / (1 - b1**t) / np.maximum(rho * h[name], eps)
            if (t - 1) % k == 0:
                h[name] = ema(h[name], product[name] * z[name], b2)
            w[name] = w[name] - lr * (np.clip(step, -1, 1) + wd * w[name])
        out.append(_copied(w))
    return Trajectory(out)


@reference("N", {"lr": 1e-3, "sigma": 0.1}, note="normal vectors as given", copies=0, numbers=2)
def spsa(params: Params, grads: list[Params], *, lr: float, sigma: float) -> Trajectory:
    """Two losses, w + sigma z and w - sigma z, give the slope along z (MeZO's form of SPSA)."""
    out = []
    for w, g, t in _steps(params, grads):
        z = noise("normal", t - 1, w)
        loss = _loss(w, g, t)
        above, below = (loss.value(flatten(_plus(w, s * sigma, z))) for s in (1.0, -1.0))
        for name in w:
            w[name] = w[name] - lr * (above - below) / (2 * sigma) * z[name]
        out.append(_copied(w))
    return Trajectory(out)


@reference("N", {"lr": 1e-2, "beta": 20.0}, note="normal vectors as given", copies=0, numbers=2)
def sgld(params: Params, grads: list[Params], *, lr: float, beta: float) -> Trajectory:
    """Langevin dynamics (Welling & Teh 2011): ``w += -lr * g + sqrt(2 * lr / beta) * xi``."""
    out = []
    for w, g, t in _steps(params, grads):
        xi = noise("normal", t - 1, w)
        for name in w:
            w[name] = w[name] - lr * g[name] + np.sqrt(2 * lr / beta) * xi[name]
        out.append(_copied(w))
    return Trajectory(out)
