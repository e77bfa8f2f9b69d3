"""NumPy references: steps that stay on a surface."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..settings import ADAMW, ROLES, reference
from ..trajectories import Params, Trajectory, each_tensor, ema, model_norm

Steps = Iterator[np.ndarray]
NO_KERNEL = ("tall", "wide", "vector", "scalar")


@reference(
    "N",
    {**ADAMW, "delta": 1.0, "wd_ratio": 0.1},
    tensors=NO_KERNEL,
    note="delta is raised from 0.1, so that both projections happen; no kernel: its rows are the "
    "first axis there",
    copies=2,
)
@each_tensor
def adamp(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    wd: float,
    delta: float,
    wd_ratio: float,
) -> Steps:
    """AdamP (Heo et al. 2021, Algorithm 3), official code without nesterov. [N]

    If every row's ``|cos(g, w)| < delta / sqrt(columns)``, ``u -= <w/|w|, u> w/|w|`` row by row;
    otherwise if the whole's is below ``delta / sqrt(size)``, the same as a whole.
    """
    m = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m, v = ema(m, g, b1), ema(v, g * g, b2)
        u = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        ratio = 1.0
        if w.ndim >= 2:
            for axis in (1, None):
                lengths = [
                    np.sqrt(np.sum(x * x, axis=axis, keepdims=True)) + 0 * w[:, :1] for x in (g, w)
                ]
                along = np.abs(np.sum(g * w, axis=axis, keepdims=True))
                cosine = along / np.maximum(lengths[0] * lengths[1], eps)
                count = w.shape[1] if axis == 1 else w.size
                if cosine.max() < delta / np.sqrt(count):
                    unit = w / (lengths[1] + eps)
                    u = u - np.sum(unit * u, axis=axis, keepdims=True) * unit
                    ratio = wd_ratio
                    break
        w = w - lr * (u + ratio * wd * w)
        yield w


@reference(
    "N",
    {"lr": 1e-2, "beta": 0.999, "eps": 1e-8},
    tensors=NO_KERNEL,
    note="no kernel: its rows are the first axis there",
)
@each_tensor
def nero(w: np.ndarray, grads: list[np.ndarray], *, lr: float, beta: float, eps: float) -> Steps:
    """Nero (Liu et al. 2021, Algorithm 1); each number of a vector is a row, unconstrained. [N]"""

    def length(x: np.ndarray) -> np.ndarray:
        return np.abs(x) if x.ndim < 2 else np.sqrt(np.sum(x * x, axis=1, keepdims=True))

    def constrained(x: np.ndarray) -> np.ndarray:
        if x.ndim < 2:
            return x
        centred = x - x.mean(axis=1, keepdims=True)
        return np.asarray(centred / (length(centred) + eps))

    w = constrained(w)
    scale = float(np.mean(length(w))) or 0.01
    v = np.zeros_like(length(w))
    for t, g in enumerate(grads, 1):
        v = ema(v, length(g) ** 2, beta)
        w = constrained(w - lr * scale * g / (np.sqrt(v / (1 - beta**t)) + eps))
        yield w


@reference("S", {"lr": 1e-2, "radius": 3.0, "roles": ROLES}, copies=0)
def projected_euler(
    params: Params, grads: list[Params], *, lr: float, radius: float, roles: dict[str, float]
) -> Trajectory:
    """``w = P(w - lr F)``, P the projection on the ball of the model's norm."""
    out = []
    w = {name: np.array(x, np.float64) for name, x in params.items()}
    for g in grads:
        w = {name: w[name] - lr * roles[name] * g[name] for name in w}
        shrink = min(1.0, radius / model_norm(w))
        w = {name: shrink * x for name, x in w.items()}
        out.append(w)
    return Trajectory(out)
