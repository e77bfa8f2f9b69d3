"""NumPy references: dual averaging, quasi-Newton, memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..problems import linear_system
from ..settings import reference
from ..trajectories import each_tensor, whole_model

Steps = Iterator[np.ndarray]


@reference("N", {"lr": 1e-1, "mu": 0.9, "eps": 1e-6}, copies=3)
@each_tensor
def madgrad(w: np.ndarray, grads: list[np.ndarray], *, lr: float, mu: float, eps: float) -> Steps:
    """MADGRAD (Defazio & Jelassi 2022, Algorithm 1). [N]

    ``z = w_0 - sum(c g)/(cbrt(sum(c g^2)) + eps), c_t = (lr + eps) sqrt(t)``; w goes to z by 1-mu.
    """
    start = w
    first = second = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        c = (lr + eps) * np.sqrt(t)
        first, second = first + c * g, second + c * g**2
        z = start - first / (second ** (1 / 3) + eps)
        w = mu * w + (1 - mu) * z
        yield w


_A, _B = linear_system()


@reference(
    "N",
    {"lr": 0.3, "a": _A, "b": _B},
    tensors=("vector",),
    note="on the gradients of a quadratic, because those of a fixed sequence have no curvature; lr "
    "is lowered from 1",
    copies=6,
)
@whole_model
def lbfgs(
    w: np.ndarray, grads: list[np.ndarray], *, lr: float, a: np.ndarray, b: np.ndarray
) -> Steps:
    """L-BFGS (Liu & Nocedal 1989, Algorithm 2.1), two pairs, steps of lr, as optax.lbfgs. [N]

    The first direction is ``min(1, 1/||g||) g``, and g is ``a w - b``.
    """
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    last: tuple[np.ndarray, np.ndarray] | None = None
    for step, _ in enumerate(grads):
        g = a @ w - b
        if last is not None:
            pairs = [*pairs, (w - last[0], g - last[1])][-2:]
        last = w, g
        # What has converged to the last digit has no curvature left.
        pairs = [(s, y) for s, y in pairs if s @ y != 0]
        r = g
        alphas = []
        for s, y in reversed(pairs):
            alphas.append(float(s @ r) / float(s @ y))
            r = r - alphas[-1] * y
        if pairs:
            s, y = pairs[-1]
            r = float(s @ y) / float(y @ y) * r
        elif step == 0:
            r = min(1.0, 1 / float(np.linalg.norm(g))) * r
        for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
            r = r + (alpha - float(y @ r) / float(s @ y)) * s
        w = w - lr * r
        yield w


@reference("N", {"lr": 1e-2, "keep": 0.25}, note="one worker", copies=1)
@each_tensor
def mem_sgd(w: np.ndarray, grads: list[np.ndarray], *, lr: float, keep: float) -> Steps:
    """Top-k with memory (Stich et al. 2018, Algorithm 1): ``c = top_k(g + e); e = g + e - c``. [N]

    k is ``keep`` of a tensor's numbers, the next whole number.
    """
    k = int(np.ceil(keep * w.size))
    e = np.zeros(w.size)
    for g in grads:
        x = g.ravel() + e
        largest = np.argsort(-np.abs(x))[:k]
        c = np.zeros_like(x)
        c[largest] = x[largest]
        e = x - c
        w = w - lr * c.reshape(w.shape)
        yield w
