"""NumPy references: second moments of few numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..settings import reference
from ..trajectories import each_tensor, ema

Steps = Iterator[np.ndarray]


@reference(
    "N",
    {"lr": 1e-1, "b1": 0.9, "eps": 1e-8},
    tensors=("tall", "wide", "vector", "scalar"),
    note="no kernel: its covers are the last two axes here, and one for each axis in the paper",
)
@each_tensor
def sm3(w: np.ndarray, grads: list[np.ndarray], *, lr: float, b1: float, eps: float) -> Steps:
    """SM3-II (Anil et al. 2019): ``a = min over covers + g^2``; a cover keeps its largest a. [N]"""
    covers = [np.zeros([n if i == j else 1 for j in range(w.ndim)]) for i, n in enumerate(w.shape)]
    covers = covers or [np.zeros(())]
    m = np.zeros_like(w)
    for g in grads:
        a = g * g + np.minimum.reduce(np.broadcast_arrays(*covers, w)[:-1])
        for i, cover in enumerate(covers):
            axes = tuple(j for j in range(w.ndim) if j != i)
            covers[i] = np.max(a, axis=axes, keepdims=True) if w.ndim else a + 0 * cover
        scaled = np.divide(g, np.sqrt(a + eps), out=np.zeros_like(g), where=a > 0)
        m = ema(m, scaled, b1)
        w = w - lr * m
        yield w


@reference(
    "N",
    {"lr": 0.3, "beta": 0.999, "eps": 1e-18},
    tensors=("tall", "wide", "vector", "scalar"),
    note="one v and one d for a tensor; lr is raised; no kernel: columns are its second axis there",
    copies=0,
    numbers=2,
)
@each_tensor
def amos(w: np.ndarray, grads: list[np.ndarray], *, lr: float, beta: float, eps: float) -> Steps:
    """Amos (Tian & Parikh 2022) without momentum, c = d = 1/4, as pytorch_optimizer. [N]"""
    scale = 0.5 if w.ndim < 2 else np.sqrt(2 / w.shape[1])
    v = d = 0.0
    for t, g in enumerate(grads, 1):
        square = float(np.mean(g * g))
        v = ema(v, square, beta)
        inverse = (1 - beta**t) / (v + eps)
        gamma = (1 + np.sqrt(lr) / 4 * d) ** -0.5 * lr**2 * inverse * square
        step = gamma / 2 * w + lr * scale * np.sqrt(inverse) * g
        w = w - step / (1 + np.sqrt(lr * scale) / 4 * d)
        d = d + gamma * (1 + d)
        yield w
