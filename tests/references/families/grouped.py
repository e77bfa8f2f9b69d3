"""NumPy references: rules that tell hidden layers from embeddings and the layer of the outputs."""

from __future__ import annotations

import numpy as np

from ..settings import GROUPS, reference
from ..trajectories import Params, Trajectory, ema
from .matrix import newton_schulz


def _orthogonal(u: np.ndarray) -> np.ndarray:
    return newton_schulz(u.reshape(u.shape[0], -1)).reshape(u.shape)


@reference(
    "C",
    {
        **{"lr": 1e-2, "beta": 0.95, "eps": 1e-8, "wd": 1e-1, "b1": 0.9, "b2": 0.95},
        "groups": GROUPS,
    },
)
def muon_with_adamw(
    params: Params,
    grads: list[Params],
    *,
    lr: float,
    beta: float,
    eps: float,
    wd: float,
    b1: float,
    b2: float,
    groups: dict[str, float],
) -> Trajectory:
    """Muon for hidden matrices, AdamW for all else (Liu et al. 2025, examples/toy_train.py). [C]

    The two rules are those of muon_moonlight; the code gives parameters whose name has
    "embed_tokens" or "lm_head" to AdamW.
    """
    out: list[Params] = []
    w, m, v = dict(params), {}, {}
    for name, x in params.items():
        m[name], v[name] = np.zeros_like(x), np.zeros_like(x)
    for t, g in enumerate(grads, 1):
        for n, x in w.items():
            if x.ndim >= 2 and groups[n] == 0:
                m[n] = beta * m[n] + g[n]
                rows, columns = x.shape[0], x.size // x.shape[0]
                step = 0.2 * np.sqrt(max(rows, columns)) * _orthogonal(g[n] + beta * m[n])
            else:
                m[n], v[n] = ema(m[n], g[n], b1), ema(v[n], g[n] ** 2, b2)
                step = (m[n] / (1 - b1**t)) / (np.sqrt(v[n] / (1 - b2**t)) + eps)
            w = {**w, n: (1 - lr * wd) * x - lr * step}
        out.append(w)
    return Trajectory(out)


@reference(
    "S",
    {
        **{"lr": 2e-4, "alpha": 0.1, "radius": 50.0, "radius_out": 3000.0, "eps": 1e-7},
        "groups": GROUPS,
    },
    copies=1,
)
def scion_grouped(
    params: Params,
    grads: list[Params],
    *,
    lr: float,
    alpha: float,
    radius: float,
    radius_out: float,
    eps: float,
    groups: dict[str, float],
) -> Trajectory:
    """Unconstrained Scion (Pethick et al. 2025, Algorithm 1), spectral norm for hidden matrices and
    signs for all else. [S]
    """
    out: list[Params] = []
    w = dict(params)
    m = {name: np.zeros_like(x) for name, x in params.items()}
    for g in grads:
        for n, x in w.items():
            m[n] = (1 - alpha) * m[n] + alpha * g[n]
            step = np.sign(m[n])
            if x.ndim >= 2 and groups[n] == 0:
                matrix = m[n].reshape(x.shape[0], -1)
                step = np.sqrt(matrix.shape[0] / matrix.shape[1]) * newton_schulz(matrix, eps=eps)
            r = radius if groups[n] == 0 else radius_out
            w = {**w, n: x - lr * r * step.reshape(x.shape)}
        out.append(w)
    return Trajectory(out)
