"""NumPy references: steps, or weight decay, where two signs agree."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..settings import ADAMW, reference
from ..trajectories import each_tensor, ema

Steps = Iterator[np.ndarray]


def _share(agree: np.ndarray) -> float:
    """What the authors' code divides the mask by."""
    return max(np.count_nonzero(agree) / agree.size, 1e-3)


@reference("C", ADAMW, copies=2)
@each_tensor
def cautious_adamw(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    wd: float,
) -> Steps:
    """Cautious AdamW (Liang et al. 2024) as kyleliang919/C-Optim codes it. [C]

    AdamW's step where m g > 0, divided by the mean of that condition (at least 1e-3).
    """
    m = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m, v = ema(m, g, b1), ema(v, g * g, b2)
        agree = np.asarray(np.sign(m) * np.sign(g) > 0)
        step = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        w = (1 - lr * wd) * w - lr * np.where(agree, step, 0) / _share(agree)
        yield w


@reference("C", {"lr": 1e-2, "b1": 0.9, "b2": 0.99, "wd": 1e-1}, copies=1)
@each_tensor
def cautious_lion(
    w: np.ndarray, grads: list[np.ndarray], *, lr: float, b1: float, b2: float, wd: float
) -> Steps:
    """Cautious Lion (Liang et al. 2024) as kyleliang919/C-Optim codes it. [C]"""
    m = np.zeros_like(w)
    for g in grads:
        u = np.sign(ema(m, g, b1))
        agree = np.asarray(u == np.sign(g)) & (g != 0)
        w = (1 - lr * wd) * w - lr * np.where(agree, u, 0) / _share(agree)
        m = ema(m, g, b2)
        yield w


@reference("S", ADAMW, copies=2)
@each_tensor
def cautious_weight_decay_adamw(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    wd: float,
) -> Steps:
    """AdamW with cautious weight decay (Chen et al. 2025): wd w but where signs differ. [S]"""
    m = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m, v = ema(m, g, b1), ema(v, g * g, b2)
        u = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        agree = np.sign(u) * np.sign(w) >= 0
        w = w - lr * (u + np.where(agree, wd * w, 0))
        yield w


@reference("N", ADAMW, copies=2)
@each_tensor
def grams(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    wd: float,
) -> Steps:
    """Grams (Cao et al. 2024, Algorithm 1): ``|m_hat|/(sqrt(v_hat) + eps)`` with g's sign. [N]"""
    m = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m, v = ema(m, g, b1), ema(v, g * g, b2)
        size = np.abs(m) / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        w = w - lr * (np.copysign(size, g) * (g != 0) + wd * w)
        yield w


@reference("N", ADAMW, copies=2, numbers=1)
@each_tensor
def adamc(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    wd: float,
) -> Steps:
    """AdamC (Defazio 2025): AdamW that decays by ``lr^2/lr_max wd``. [N]

    At a constant rate, as here, that is ``lr wd``.
    """
    m = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m, v = ema(m, g, b1), ema(v, g * g, b2)
        u = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        w = (1 - lr**2 / lr * wd) * w - lr * u
        yield w
