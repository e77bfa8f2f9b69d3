"""A second derivation of rules that no library checks, by another route, under the rule's name.

They share no line with the first references: closed forms, flattened models, component sweeps.
"""

from __future__ import annotations

import numpy as np

from .trajectories import Params, Trajectory


def _flatten(model: Params) -> np.ndarray:
    return np.concatenate([np.ravel(x) for x in model.values()])


def _unflatten(flat: np.ndarray, like: Params) -> Params:
    ends = np.cumsum([x.size for x in like.values()])
    pieces = np.split(flat, ends[:-1])
    return {name: p.reshape(x.shape) for (name, x), p in zip(like.items(), pieces, strict=True)}


def adagrad_norm(
    params: Params, grads: list[Params], *, lr: float, b0_squared: float, scope: str
) -> Trajectory:
    """``w_t = w_0 - lr * sum_s g_s / sqrt(b_0^2 + sum_{r<=s} ||g_r||^2)``, model scope only."""
    if scope != "model":
        raise ValueError(f"scope is {scope!r}; the closed form is written for 'model'")
    g = np.stack([_flatten(x) for x in grads])
    b = np.sqrt(b0_squared + np.cumsum(np.sum(g * g, axis=1)))
    flat = _flatten(params) - lr * np.cumsum(g / b[:, None], axis=0)
    return Trajectory([_unflatten(row, params) for row in flat])


def _adam_directions(g: np.ndarray, b1: float, b2: float, eps: float) -> np.ndarray:
    """Adam's directions of a whole sequence at once, (steps, weights), as weighted sums."""
    t = np.arange(1, len(g) + 1)
    ages = t[:, None] - t[None, :]
    first = np.where(ages >= 0, (1 - b1) * b1 ** np.maximum(ages, 0), 0.0)
    second = np.where(ages >= 0, (1 - b2) * b2 ** np.maximum(ages, 0), 0.0)
    m = first @ g / (1 - b1**t)[:, None]
    v = second @ (g * g) / (1 - b2**t)[:, None]
    return m / (np.sqrt(v) + eps)


def gpa_adamw(
    params: Params,
    grads: list[Params],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    wd: float,
    mu_y: float,
    mu_x: float,
) -> Trajectory:
    """GPA keeping y and z alone: x is recovered as (y - (1-mu_y) z)/mu_y before it moves."""
    directions = _adam_directions(np.stack([_flatten(x) for x in grads]), b1, b2, eps)
    y = z = _flatten(params)
    ys, xs = [], []
    for d in directions:
        x = (y - (1 - mu_y) * z) / mu_y
        z = z - lr * (d + wd * z)
        x = z + mu_x * (x - z)
        y = z + mu_y * (x - z)
        ys.append(_unflatten(y, params))
        xs.append(_unflatten(x, params))
    return Trajectory(ys, xs)


def sor(
    params: Params, grads: list[Params], *, a: np.ndarray, b: np.ndarray, omega: float
) -> Trajectory:
    """The textbook form: ``x_i += omega * ((b_i - sum_j a_ij x_j) / a_ii)``, one i at a time."""
    (name,) = params
    x = params[name].copy()
    out = []
    for _ in grads:
        for i in range(len(x)):
            x[i] += omega * (b[i] - float(np.dot(a[i], x))) / a[i, i]
        out.append({name: x.copy()})
    return Trajectory(out)


def optimistic_omd(
    params: Params,
    grads: list[Params],
    *,
    diameter: float,
    radius: float,
    lipschitz: float,
    delta: float,
) -> Trajectory:
    """Optimistic mirror descent on the concatenated model, every step size computed beforehand."""
    g = np.stack([_flatten(x) for x in grads])
    hints = np.vstack([np.zeros_like(g[:1]), g])
    seen = np.concatenate([[0.0], np.cumsum(np.sum((g - hints[:-1]) ** 2, axis=1))])
    eta = diameter / np.sqrt(delta + 4 * lipschitz**2 + seen)

    def project(x: np.ndarray) -> np.ndarray:
        return x / max(1.0, float(np.linalg.norm(x)) / radius)

    anchor = project(_flatten(params))
    out, anchors = [], []
    for t in range(len(g)):
        anchor = project(anchor - eta[t] * g[t])
        out.append(_unflatten(project(anchor - eta[t + 1] * hints[t + 1]), params))
        anchors.append(_unflatten(anchor, params))
    return Trajectory(out, anchors)


def rapp(
    params: Params,
    grads: list[Params],
    *,
    roles: dict[str, float],
    lr: float,
    k: int,
    alpha: float,
) -> Trajectory:
    """RAPP on a fixed sequence: only each k-th gradient outlives its round, scaled by alpha."""
    signs = _flatten({name: np.full(x.shape, roles[name]) for name, x in params.items()})
    z = _flatten(params)
    out, anchors = [], []
    for t, g in enumerate(grads, 1):
        ends = t % k == 0
        w = z - (alpha if ends else 1.0) * lr * signs * _flatten(g)
        z = w if ends else z
        out.append(_unflatten(w, params))
        anchors.append(_unflatten(z, params))
    return Trajectory(out, anchors)


def layerwise_clipping(
    params: Params, grads: list[Params], *, lr: float, clip: float, split: str
) -> Trajectory:
    """Per-layer clipping as one diagonal scaling of the concatenated gradient."""
    sizes = np.array([x.size for x in params.values()])
    owner = np.repeat(np.arange(len(sizes)), sizes)
    weight = np.ones(len(sizes)) / len(sizes) if split == "uniform" else sizes / sizes.sum()
    flat = _flatten(params)
    out = []
    for g in map(_flatten, grads):
        layer_squares = np.bincount(owner, g * g)
        if layer_squares.sum() >= clip**2:
            g = g * (clip * np.sqrt(weight / layer_squares))[owner]
        flat = flat - lr * g
        out.append(_unflatten(flat, params))
    return Trajectory(out)
