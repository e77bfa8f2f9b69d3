"""NumPy references: rules that are evaluated at an average of their weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..settings import ADAMW, reference
from ..trajectories import each_tensor, ema

TwoPoints = Iterator[tuple[np.ndarray, np.ndarray]]


@reference("N", {**ADAMW, "decay": 0.9}, copies=3, note="decay is lowered from 0.999")
@each_tensor
def ema_adamw(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    wd: float,
    decay: float,
) -> TwoPoints:
    """AdamW, and the average of its weights from the first on. [N]"""
    m = v = np.zeros_like(w)
    average = w
    for t, g in enumerate(grads, 1):
        m, v = ema(m, g, b1), ema(v, g * g, b2)
        direction = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        w = (1 - lr * wd) * w - lr * direction
        average = ema(average, w, decay)
        yield w, average


@reference("U", {"lr": 1e-2, "start": 6, "every": 3}, copies=1, numbers=1)
@each_tensor
def swa_sgd(
    w: np.ndarray, grads: list[np.ndarray], *, lr: float, start: int, every: int
) -> TwoPoints:
    """SWA (Izmailov et al. 2018, Algorithm 1) over SGD, at every ``every``-th step from start. [U]

    Before the first such step the weights themselves are evaluated.
    """
    mean, count = w, 0
    for t, g in enumerate(grads, 1):
        w = w - lr * g
        if t >= start and t % every == 0:
            mean = (mean * count + w) / (count + 1)
            count += 1
        yield w, mean if count else w


@reference("N", {"lr": 1e-1, "lambd": 1e-1, "alpha": 0.75, "t0": 5}, copies=1)
@each_tensor
def asgd(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    lambd: float,
    alpha: float,
    t0: float,
) -> TwoPoints:
    """Averaged SGD (Polyak & Juditsky 1992) as torch.optim.ASGD states it. [N]

    ``w = (1 - lambd eta) w - eta g``; the average moves by ``1/max(1, t - 1 - t0)`` of the way.
    """
    average = w
    for t, g in enumerate(grads, 1):
        eta = lr / (1 + lambd * lr * (t - 1)) ** alpha
        w = (1 - lambd * eta) * w - eta * g
        average = average + (w - average) / max(1, t - 1 - t0)
        yield w, average


@reference("N", {"lr": 1e-1, "beta": 0.9, "b2": 0.999, "eps": 1e-8}, copies=2, numbers=3)
@each_tensor
def schedule_free_radam(
    w: np.ndarray, grads: list[np.ndarray], *, lr: float, beta: float, b2: float, eps: float
) -> TwoPoints:
    """Schedule-Free RAdam (facebookresearch/schedule_free), still while rho is at most 4. [N]

    ``z -= rate g/(sqrt(v_hat) + eps), rate = lr r_t``; x averages z by ``rate_max^2``.
    """
    x = z = y = w
    v = np.zeros_like(w)
    longest = 2 / (1 - b2) - 1
    rate_max = total = 0.0
    for t, g in enumerate(grads, 1):
        v = ema(v, g * g, b2)
        rho = longest - 2 * t * b2**t / (1 - b2**t)
        if rho > 4:
            top = (rho - 4) * (rho - 2) * longest
            rate = lr * np.sqrt(top / ((longest - 4) * (longest - 2) * rho))
            rate_max = max(rate_max, rate)
            total += rate_max**2
            z = z - rate * g / (np.sqrt(v / (1 - b2**t)) + eps)
            x = x + rate_max**2 / total * (z - x)
            y = beta * x + (1 - beta) * z
        yield y, x
