"""NumPy references: clipping, a linear solver and optimistic mirror descent."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..problems import linear_system
from ..settings import MODEL, NOT_OFFICIAL, reference
from ..trajectories import Params, Trajectory, each_tensor, model_norm, norm

Steps = Iterator[np.ndarray]
_A, _B = linear_system()


@reference(
    "S",
    {"lr": 1e-2, "mu": 0.9, "p": 0.1},
    tensors=MODEL,
    note=f"{NOT_OFFICIAL}; quantile within each tensor, linearly interpolated; on heavy ball",
    copies=1,
)
@each_tensor
def coordinate_clipping(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1e-2,
    mu: float = 0.9,
    p: float = 0.1,
) -> Steps:
    """Coordinate-wise clipping (Pan & Li 2023) of heavy-ball momentum at its own quantile.

    ``b = mu*b + g; tau = (1-p)-quantile of |b|`` within the tensor, linearly interpolated;
    ``w -= lr * sign(b) * min(|b|, tau)``. [S], p [U]: derived from the equations, not official (no
    code was found).
    """
    b = np.zeros_like(w)
    for g in grads:
        b = mu * b + g
        tau = np.quantile(np.abs(b), 1.0 - p)
        w = w - lr * np.sign(b) * np.minimum(np.abs(b), tau)
        yield w


@reference("C", {"lr": 1e-2, "clip": 30.0}, note="on SGD; C = 30 clips half of the steps", copies=0)
def global_norm_clipping(
    params: Params, grads: list[Params], *, lr: float = 1e-2, clip: float = 5.0
) -> Trajectory:
    """Gradient clipping by the model's norm (Pascanu et al. 2013), SGD as base step.

    ``w -= lr * g * min(1, C/||g||)``. C = 5 is the value in the big-batch training code (Hoffer
    et al. 2017). [C]
    """
    w = {name: np.array(x) for name, x in params.items()}
    out = []
    for g in grads:
        total = model_norm(g)
        factor = clip / total if total > clip else 1.0
        w = {name: w[name] - lr * factor * g[name] for name in w}
        out.append(w)
    return Trajectory(out)


@reference(
    "C",
    {"lr": 1e-2, "clip": 30.0, "split": "uniform"},
    tensors=MODEL,
    note="on SGD; C = 30 clips half of the steps",
    copies=0,
)
def layerwise_clipping(
    params: Params,
    grads: list[Params],
    *,
    lr: float = 1e-2,
    clip: float = 5.0,
    split: str = "uniform",
) -> Trajectory:
    """Per-layer clipping (McMahan et al. 2018; Pelikan et al. 2023 for speech), SGD as base step.

    Where the model's norm ``||g|| >= C``, every tensor h is rescaled *to* its share of C:
    ``g_h * C_h / ||g_h||`` with ``C_h = C / sqrt(L)`` (``split="uniform"``, L tensors) or
    ``C * sqrt(size_h / size)`` (``split="dimension"``). Otherwise g stays as it is. [C]
    """
    if split not in ("uniform", "dimension"):
        raise ValueError(f"split is {split!r}; it can be 'uniform' or 'dimension'")
    w = {name: np.array(x) for name, x in params.items()}
    size = sum(x.size for x in w.values())
    share = {
        name: clip * np.sqrt(1 / len(w) if split == "uniform" else x.size / size)
        for name, x in w.items()
    }
    out = []
    for g in grads:
        if model_norm(g) >= clip:
            g = {name: share[name] * x / norm(x) for name, x in g.items()}
        w = {name: w[name] - lr * g[name] for name in w}
        out.append(w)
    return Trajectory(out)


@reference(
    "C",
    {"a": _A, "b": _B, "omega": 1.5},
    tensors=("vector",),
    note="one sweep per step; a and b are problem data, the gradients are not read",
    copies=0,
)
def sor(
    params: Params,
    grads: list[Params],
    *,
    a: np.ndarray,
    b: np.ndarray,
    omega: float = 1.5,
) -> Trajectory:
    """Successive over-relaxation (Young 1954): ``x += (D/omega + L)^-1 (b - A x)``. [C]

    Solves A x = b; ``params`` is ``{"x": vector}``, A and b are problem data. One sweep per entry
    of ``grads``, whose contents are not read. D and L: A's diagonal and strictly lower part.
    """
    (name,) = params
    x = np.array(params[name])
    splitting = np.diag(np.diag(a)) / omega + np.tril(a, -1)
    out = []
    for _ in grads:
        x = x + np.linalg.solve(splitting, b - a @ x)
        out.append({name: x})
    return Trajectory(out)


def _into_ball(model: Params, radius: float) -> Params:
    size = model_norm(model)
    return model if size <= radius else {name: x * (radius / size) for name, x in model.items()}


@reference(
    "S",
    {"diameter": 10.0, "radius": 5.0, "lipschitz": 1.0, "delta": 1.0},
    tensors=MODEL,
    note=NOT_OFFICIAL,
    copies=2,
    numbers=1,
)
def optimistic_omd(
    params: Params,
    grads: list[Params],
    *,
    diameter: float = 10.0,
    radius: float = 5.0,
    lipschitz: float = 1.0,
    delta: float = 1.0,
) -> Trajectory:
    """Optimistic online mirror descent, Euclidean (Chen et al. 2023), hints M_t = g_{t-1}, M_1 = 0.

    Played: ``x_t = P(xhat_t - eta_t M_t)``; then ``xhat_{t+1} = P(xhat_t - eta_t g_t)``;
    ``eta_t = D / sqrt(delta + 4 G^2 + sum_{s<t} ||g_s - M_s||^2)``. Norms are over the model; P
    projects on the ball of ``radius`` about the origin (infinity: no projection), whose diameter
    is D. The trajectory holds x_{t+1}, where the next gradient is taken; ``eval_w`` holds
    xhat_{t+1}. eta is [S], the steps [U]: derived from the equations, not official.
    """
    anchor = _into_ball({name: np.array(x) for name, x in params.items()}, radius)
    hint = {name: np.zeros_like(x) for name, x in anchor.items()}
    surprise = 0.0
    out, anchors = [], []
    for g in grads:
        eta = diameter / np.sqrt(delta + 4 * lipschitz**2 + surprise)
        anchor = _into_ball({n: anchor[n] - eta * g[n] for n in anchor}, radius)
        surprise += model_norm({n: g[n] - hint[n] for n in g}) ** 2
        hint = g
        eta = diameter / np.sqrt(delta + 4 * lipschitz**2 + surprise)
        out.append(_into_ball({n: anchor[n] - eta * hint[n] for n in anchor}, radius))
        anchors.append(anchor)
    return Trajectory(out, anchors)
