"""NumPy references: Adam with another momentum."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..settings import ADAM, ADAMW, reference
from ..trajectories import each_tensor, ema, norm

Steps = Iterator[np.ndarray]


@reference("N", ADAM, copies=2)
@each_tensor
def nadam(
    w: np.ndarray, grads: list[np.ndarray], *, lr: float, b1: float, b2: float, eps: float
) -> Steps:
    """NAdam (Dozat 2016) with a constant b1, as optax.nadam states it. [N]

    ``m_bar = b1 * m/(1-b1^(t+1)) + (1-b1) * g/(1-b1^t)``; ``w -= lr * m_bar/(sqrt(v_hat) + eps)``.
    """
    m = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m, v = ema(m, g, b1), ema(v, g * g, b2)
        m_bar = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        w = w - lr * m_bar / (np.sqrt(v / (1 - b2**t)) + eps)
        yield w


@reference("N", {**ADAM, "psi": 0.5}, copies=2, numbers=1, note="psi is raised from 4e-3")
@each_tensor
def nadam_torch(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    psi: float,
) -> Steps:
    """NAdam (Dozat 2016) with ``mu_t = b1 (1 - 0.96^(t psi)/2)``, as torch states it. [N]

    ``w -= lr (1-mu_t)/(1-prod mu) g / D + lr mu_(t+1)/(1 - mu_(t+1) prod mu) m / D``, where
    ``D = sqrt(v_hat) + eps``.
    """
    m = v = np.zeros_like(w)
    mus = [b1 * (1 - 0.96 ** (t * psi) / 2) for t in range(1, len(grads) + 2)]
    products = np.cumprod(mus)
    for t, g in enumerate(grads, 1):
        m, v = ema(m, g, b1), ema(v, g * g, b2)
        root = np.sqrt(v / (1 - b2**t)) + eps
        w = w - lr * (1 - mus[t - 1]) / (1 - products[t - 1]) * g / root
        w = w - lr * mus[t] / (1 - products[t]) * m / root
        yield w


ADEMAMIX = {**ADAMW, "b3": 0.99, "alpha": 5.0}


@reference("N", ADEMAMIX, copies=3, note="b3 is lowered from 0.9999")
@each_tensor
def ademamix(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    b3: float,
    alpha: float,
    eps: float,
    wd: float,
) -> Steps:
    """AdEMAMix (Pagliardini et al. 2025, Algorithm 1) with constant alpha and b3. [N]

    ``w -= lr ((m1_hat + alpha m2)/(sqrt(v_hat) + eps) + wd w)``; m2 is not corrected.
    """
    fast = slow = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        fast, slow, v = ema(fast, g, b1), ema(slow, g, b3), ema(v, g * g, b2)
        direction = (fast / (1 - b1**t) + alpha * slow) / (np.sqrt(v / (1 - b2**t)) + eps)
        w = w - lr * (direction + wd * w)
        yield w


@reference("N", ADEMAMIX, copies=3, note="b3 is lowered from 0.9999")
@each_tensor
def ademamix_scheduled(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    b3: float,
    alpha: float,
    eps: float,
    wd: float,
) -> Steps:
    """AdEMAMix (Pagliardini et al. 2025, Algorithm 1), warmed up over the whole sequence. [N]

    ``alpha_t = alpha t/T``; ``b3_t = min(b3, exp(ln b1 ln b3 / ((1-t/T) ln b3 + (t/T) ln b1)))``.
    """
    fast = slow = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        share = t / len(grads)
        # The logarithm of a decay is the inverse of a time, and that time grows linearly.
        inverse = (1 - share) / np.log(b1) + share / np.log(b3)
        fast, slow = ema(fast, g, b1), ema(slow, g, min(np.exp(1 / inverse), b3))
        v = ema(v, g * g, b2)
        numerator = fast / (1 - b1**t) + share * alpha * slow
        w = w - lr * (numerator / (np.sqrt(v / (1 - b2**t)) + eps) + wd * w)
        yield w


@reference("N", {"lr": 1e-2, "b1": 0.99, "b2": 0.95, "alpha": 2.0, "eps": 1e-8}, copies=2)
@each_tensor
def simplified_ademamix(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    alpha: float,
    eps: float,
) -> Steps:
    """Simplified AdEMAMix (Morwani et al. 2025): ``m = b1 m + g; w -= lr (m + alpha g)/D``. [N]"""
    m = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m, v = b1 * m + g, ema(v, g * g, b2)
        w = w - lr * (m + alpha * g) / (np.sqrt(v / (1 - b2**t)) + eps)
        yield w


@reference(
    "N",
    {"lr": 1e-2, "b1": 0.98, "b2": 0.92, "b3": 0.99, "eps": 1e-8, "wd": 1e-1},
    copies=4,
)
@each_tensor
def adan_optax(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    b3: float,
    eps: float,
    wd: float,
) -> Steps:
    """Adan as optax.adan states it: the gradient difference has the weight 1 - b2. [N]"""
    m = v = n = np.zeros_like(w)
    last = grads[0]
    for t, g in enumerate(grads, 1):
        change, last = g - last, g
        m, v = ema(m, g, b1), ema(v, change, b2)
        n = ema(n, (g + (1 - b2) * change) ** 2, b3)
        above = m / (1 - b1**t) + (1 - b2) * v / (1 - b2**t)
        w = w - lr * (above / (np.sqrt(n / (1 - b3**t) + eps) + eps) + wd * w)
        yield w


@reference("N", {**ADAM, "nu1": 0.7, "nu2": 0.9}, copies=2, note="nu2 is lowered from 1")
@each_tensor
def qhadam(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    nu1: float,
    nu2: float,
    eps: float,
) -> Steps:
    """QHAdam (Ma & Yarats 2019): ``((1-nu1) g + nu1 m_hat)/(sqrt((1-nu2) g^2 + nu2 v_hat) + eps)``.

    [N]
    """
    m = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m, v = ema(m, g, b1), ema(v, g * g, b2)
        above = (1 - nu1) * g + nu1 * m / (1 - b1**t)
        below = (1 - nu2) * g * g + nu2 * v / (1 - b2**t)
        w = w - lr * above / (np.sqrt(below) + eps)
        yield w


@reference(
    "N",
    {"lr": 1e-2, "b1": 0.95, "b2": 0.99, "gamma": 0.025, "eps": 1e-8, "wd": 1e-1},
    copies=3,
)
@each_tensor
def mars_adamw(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    gamma: float,
    eps: float,
    wd: float,
) -> Steps:
    """MARS-AdamW (Yuan et al. 2024), approximate form, of all tensors; g_0 = 0. [N]

    ``c = g + gamma b1/(1-b1) (g - g_old)``, scaled down to norm 1 if it is longer; AdamW on c.
    """
    m = v = last = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        c = g + gamma * (b1 / (1 - b1)) * (g - last)
        if norm(c) > 1:
            c = c / norm(c)
        last = g
        m, v = ema(m, c, b1), ema(v, c * c, b2)
        direction = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        w = (1 - lr * wd) * w - lr * direction
        yield w


@reference("N", {**ADAMW, "alpha": 0.98, "lamb": 2.0}, copies=3)
@each_tensor
def grokfast_adamw(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    wd: float,
    alpha: float,
    lamb: float,
) -> Steps:
    """Grokfast-EMA (Lee et al. 2024) over AdamW: ``h = EMA(h, g), h_1 = g_1``; g + lamb h. [N]"""
    m = v = np.zeros_like(w)
    h = grads[0]
    for t, g in enumerate(grads, 1):
        h = ema(h, g, alpha)  # of the first gradient with itself
        amplified = g + lamb * h
        m, v = ema(m, amplified, b1), ema(v, amplified**2, b2)
        direction = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        w = (1 - lr * wd) * w - lr * direction
        yield w
