"""NumPy references: step sizes estimated from ways walked, bets or losses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..problems import losses
from ..settings import ADAM, ADAMW, reference
from ..trajectories import each_tensor, ema, whole_model

Steps = Iterator[np.ndarray]
FIRST_D = 1e-6


@reference("N", {**ADAMW, "lr": 4.0}, copies=4, numbers=2, note="lr is raised, so that d grows")
@whole_model
def prodigy(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    wd: float,
) -> Steps:
    """Prodigy (Mishchenko & Defazio 2024, Algorithm 4) as optax.contrib.prodigy states it. [N]

    The numerator sums ``(d/d_0) rate <g, w_0 - w>``, the denominator is the l1 norm of the sum of
    ``(d/d_0) rate g``, both with the decay sqrt(b2); d is the largest ratio so far.
    """
    start, d = w, FIRST_D
    m = v = s = np.zeros_like(w)
    numerator = 0.0
    for t, g in enumerate(grads, 1):
        rate = d * lr * np.sqrt(1 - b2**t) / (1 - b1**t)
        m, v = ema(m, d * g, b1), ema(v, (d * g) ** 2, b2)
        share = rate * d / FIRST_D
        s = np.sqrt(b2) * s + share * g
        numerator = np.sqrt(b2) * numerator + share * float(np.dot(g, start - w))
        d = max(d, numerator / float(np.abs(s).sum()))
        w = (1 - rate * wd) * w - rate * m / (np.sqrt(v) + d * eps)
        yield w


@reference("N", {**ADAMW, "lr": 5.0}, copies=3, numbers=2, note="lr is raised, so that d grows")
@whole_model
def dadapt_adamw(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    wd: float,
) -> Steps:
    """D-Adaptation of AdamW (Defazio & Mishchenko 2023, Algorithm 5). [N]

    As optax.contrib.dadapt_adamw states it: ``<g, s/(sqrt(v) + eps)>`` of the step before.
    """
    q, d = np.sqrt(b2), FIRST_D
    m = v = s = np.zeros_like(w)
    numerator = 0.0
    for t, g in enumerate(grads, 1):
        rate = d * lr * np.sqrt(1 - b2**t) / (1 - b1**t)
        inner = float(np.dot(g, s / (np.sqrt(v) + eps)))
        numerator = ema(numerator, rate * inner, q)
        m, v, s = ema(m, rate * g, b1), ema(v, g * g, b2), ema(s, rate * g, q)
        d = max(d, numerator / ((1 - q) * float(np.abs(s).sum())))
        w = (1 - rate * wd) * w - m / (np.sqrt(v) + eps)
        yield w


@reference("N", {"lr": 1.0, "r_eps": 1e-2, "eps": 1e-8}, copies=1, numbers=2)
@whole_model
def dog(w: np.ndarray, grads: list[np.ndarray], *, lr: float, r_eps: float, eps: float) -> Steps:
    """DoG (Ivgi et al. 2023): ``max(r_eps (1 + ||w_0||), ||w - w_0||)/sqrt(sum ||g||^2 + eps)``.

    [N]
    """
    start = w
    farthest = r_eps * (1 + np.linalg.norm(w))
    squares = eps
    for g in grads:
        farthest = max(farthest, np.linalg.norm(w - start))
        squares += float(g @ g)
        w = w - lr * farthest / np.sqrt(squares) * g
        yield w


@reference("N", {"lr": 1.0, "eps": 1e-4}, copies=1, numbers=2)
@whole_model
def dowg(w: np.ndarray, grads: list[np.ndarray], *, lr: float, eps: float) -> Steps:
    """DoWG (Khaled et al. 2023, Algorithm 1): ``r = max(r, ||w - w_0||^2), r_0 = 1e-4``. [N]

    ``s += r ||g||^2; w -= lr r/(sqrt(s) + eps) g``.
    """
    start, r, s = w, 1e-4, 0.0
    for g in grads:
        way = w - start
        r = max(r, float(way @ way))
        s += r * float(g @ g)
        w = w - lr * r / (np.sqrt(s) + eps) * g
        yield w


@reference("N", {"alpha": 100.0}, copies=5)
@each_tensor
def cocob(w: np.ndarray, grads: list[np.ndarray], *, alpha: float) -> Steps:
    """COCOB-Backprop (Orabona & Tommasi 2017, Algorithm 2). [N]

    ``w = w_0 + theta/(L max(G + L, alpha L)) (L + R)``, theta being the sum of -g and R its reward
    ``max(R - (w - w_0) g, 0)``.
    """
    start = w
    largest = np.full_like(w, 1e-8)
    total = reward = theta = np.zeros_like(w)
    for g in grads:
        largest = np.fmax(largest, np.abs(g))
        total = total + np.abs(g)
        reward = np.fmax(reward - (w - start) * g, 0)
        theta = theta - g
        bet = theta / (largest * np.fmax(total + largest, alpha * largest))
        w = start + bet * (largest + reward)
        yield w


@reference(
    "N",
    {"lr": 2e-3, "f_min": 0.5},
    copies=0,
    note="lr is lowered from 1, so that it is the least now and then",
)
@whole_model
def polyak_sgd(w: np.ndarray, grads: list[np.ndarray], *, lr: float, f_min: float) -> Steps:
    """Stochastic Polyak step size (Loizou et al. 2021): ``min(lr, (loss - f_min)/||g||^2)``. [N]"""
    for g, loss in zip(grads, losses(len(grads)), strict=True):
        w = w - min(lr, (loss - f_min) / float(g @ g)) * g
        yield w


@reference("N", {"lr": 1e-2, "beta": 0.9, "f_min": 0.5, "wd": 1e-1}, copies=1, numbers=2)
@whole_model
def momo(
    w: np.ndarray, grads: list[np.ndarray], *, lr: float, beta: float, f_min: float, wd: float
) -> Steps:
    """MoMo (Schaipp et al. 2024, Algorithm 1), all averages from their first values. [N]

    ``tau = min(lr, max((1 + lr wd)(f - f_min - q) + <m, w>, 0)/||m||^2)``;
    ``w = w/(1 + lr wd) - tau m``.
    """
    first = losses(len(grads))
    f, m, q = first[0], grads[0], float(grads[0] @ w)
    for g, loss in zip(grads, first, strict=True):
        f, m, q = ema(f, loss, beta), ema(m, g, beta), ema(q, float(g @ w), beta)
        gap = (1 + lr * wd) * (f - f_min - q) + float(m @ w)
        w = w / (1 + lr * wd) - min(lr, max(gap, 0.0) / float(m @ m)) * m
        yield w


@reference("N", {**ADAM, "f_min": 0.5, "wd": 1e-1}, copies=2, numbers=2)
@whole_model
def momo_adam(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    f_min: float,
    wd: float,
) -> Steps:
    """MoMo-Adam (Schaipp et al. 2024, Algorithm 2), averages from 0. [N]"""
    m = v = np.zeros_like(w)
    f = q = 0.0
    for t, (g, loss) in enumerate(zip(grads, losses(len(grads)), strict=True), 1):
        f, q = ema(f, loss, b1), ema(q, float(g @ w), b1)
        m, v = ema(m, g, b1), ema(v, g * g, b2)
        scaled = m / (np.sqrt(v / (1 - b2**t)) + eps)
        correction = 1 - b1**t
        gap = (1 + lr * wd) * (f - correction * f_min - q) + float(m @ w)
        tau = min(lr / correction, max(gap, 0.0) / float(m @ scaled))
        w = w / (1 + lr * wd) - tau * scaled
        yield w
