"""NumPy references: Adam with another denominator."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..settings import ADAM, ADAMW, reference
from ..trajectories import each_tensor, ema, whole_model

Steps = Iterator[np.ndarray]


@reference("N", {**ADAM, "threshold": 5.0}, copies=2)
@each_tensor
def radam(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    threshold: float,
) -> Steps:
    """RAdam (Liu et al. 2020, Algorithm 2): plain momentum until rho reaches the threshold. [N]"""
    m = v = np.zeros_like(w)
    longest = 2 / (1 - b2) - 1
    for t, g in enumerate(grads, 1):
        m, v = ema(m, g, b1), ema(v, g * g, b2)
        step = m / (1 - b1**t)
        rho = longest - 2 * t * b2**t / (1 - b2**t)
        if rho >= threshold:
            top = (rho - 4) * (rho - 2) * longest
            bottom = (longest - 4) * (longest - 2) * rho
            step = np.sqrt(top / bottom) * step / (np.sqrt(v / (1 - b2**t)) + eps)
        w = w - lr * step
        yield w


@reference("N", {**ADAM, "b2": 0.9}, copies=2, note="b2 is lowered from 0.999")
@each_tensor
def adamax(
    w: np.ndarray, grads: list[np.ndarray], *, lr: float, b1: float, b2: float, eps: float
) -> Steps:
    """AdaMax (Kingma & Ba 2015, Algorithm 2): ``v = max(b2 v, |g| + eps); w -= lr m_hat/v``. [N]"""
    m = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m, v = ema(m, g, b1), np.fmax(b2 * v, np.abs(g) + eps)
        w = w - lr / (1 - b1**t) * m / v
        yield w


@reference("N", {**ADAM, "eps": 1e-3}, copies=2)
@each_tensor
def yogi(
    w: np.ndarray, grads: list[np.ndarray], *, lr: float, b1: float, b2: float, eps: float
) -> Steps:
    """Yogi (Zaheer et al. 2018, Algorithm 2), bias-corrected, both moments from 1e-6. [N]

    ``v -= (1-b2) sign(v - g^2) g^2``.
    """
    m = v = np.full_like(w, 1e-6)
    for t, g in enumerate(grads, 1):
        square = g * g
        m = ema(m, g, b1)
        v = np.where(v > square, v - (1 - b2) * square, v + (1 - b2) * square * (v < square))
        w = w - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        yield w


@reference("N", {**ADAM, "eps": 1e-6}, copies=2, note="b2 is lowered from 0.9999")
@each_tensor
def adopt(
    w: np.ndarray, grads: list[np.ndarray], *, lr: float, b1: float, b2: float, eps: float
) -> Steps:
    """ADOPT (Taniguchi et al. 2024, Algorithm 2), clipped at (t-1)^(1/4). [N]

    The first gradient only sets v; then g is divided by the root of the v before it.
    """
    m = np.zeros_like(w)
    v = grads[0] ** 2
    yield w
    for t, g in enumerate(grads[1:], 1):
        bound = t**0.25
        m = ema(m, np.clip(g / np.fmax(np.sqrt(v), eps), -bound, bound), b1)
        v = ema(v, g * g, b2)
        w = w - lr * m
        yield w


@reference("N", {**ADAM, "lr": 1e-3, "eps": 1e-6}, copies=2, note="eps is raised from 1e-16")
@each_tensor
def acprop(
    w: np.ndarray, grads: list[np.ndarray], *, lr: float, b1: float, b2: float, eps: float
) -> Steps:
    """ACProp (Zhuang et al. 2021) as optax.contrib.acprop states it. [N]

    The step is ``lr g/(sqrt(s_hat) + eps)`` with s of the step before (1 at the first); then
    ``s = EMA(s, (g - m)^2) + eps`` with m of the step before, and ``m = EMA(m, g)``.
    """
    m = s = np.zeros_like(w)
    scale: np.ndarray | float = 1.0
    for t, g in enumerate(grads, 1):
        w = w - lr * g / (np.sqrt(scale) + eps)
        s = ema(s, (g - m) ** 2, b2) + eps
        m = ema(m, g, b1)
        scale = s / (1 - b2**t)
        yield w


@reference("N", {**ADAMW, "eps": 1e-15}, copies=2)
@each_tensor
def laprop(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    wd: float,
) -> Steps:
    """LaProp (Ziyin et al. 2020, Algorithm 1): momentum of ``g/(sqrt(v_hat) + eps)``. [N]"""
    m = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        v = ema(v, g * g, b2)
        m = ema(m, g / (np.sqrt(v / (1 - b2**t)) + eps), b1)
        w = w - lr * (m / (1 - b1**t) + wd * w)
        yield w


@reference(
    "S",
    {"lr": 1e-2, "b1": 0.9, "b2": 0.999, "a": 1.27, "b": 1.0, "wd": 1e-1},
    copies=2,
)
@each_tensor
def adam_atan2(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    a: float,
    b: float,
    wd: float,
) -> Steps:
    """Adam-atan2 (Everett et al. 2024): ``w -= lr (a atan2(m_hat, b sqrt(v_hat)) + wd w)``. [S]"""
    m = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m, v = ema(m, g, b1), ema(v, g * g, b2)
        angle = np.arctan2(m / (1 - b1**t), b * np.sqrt(v / (1 - b2**t)))
        w = w - lr * (a * angle + wd * w)
        yield w


@reference("N", {**ADAMW, "b2": 0.99}, copies=2)
@each_tensor
def stable_adamw(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    wd: float,
) -> Steps:
    """StableAdamW (Wortsman et al. 2023, Algorithm 2). [N]

    Decays ``(b - b^t)/(1 - b^t)`` keep the averages unbiased; the rate, of steps and of decay, is
    ``lr/max(1, rms(g/sqrt(max(v, eps^2))))``.
    """
    m = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m = ema(m, g, (b1 - b1**t) / (1 - b1**t))
        v = ema(v, g * g, (b2 - b2**t) / (1 - b2**t))
        ratio = np.sqrt(np.mean(g * g / np.fmax(v, eps**2)))
        rate = lr / max(1.0, float(ratio))
        w = (1 - rate * wd) * w - rate * m / (np.sqrt(v) + eps)
        yield w


@reference("N", {"lr": 1e-1, "b0": 0.1, "b2": 0.99, "eps": 1e-3}, copies=3)
@whole_model
def adai(
    w: np.ndarray, grads: list[np.ndarray], *, lr: float, b0: float, b2: float, eps: float
) -> Steps:
    """Adai (Xie et al. 2022, Algorithm 2): ``b1 = clip(1 - b0 v_hat/mean(v_hat), 0, 1 - eps)``. [N]

    The mean is over the model. ``m = EMA_b1(m, g); w -= lr m/(1 - prod b1)``.
    """
    m = v = np.zeros_like(w)
    product = np.ones_like(w)
    for t, g in enumerate(grads, 1):
        v = ema(v, g * g, b2)
        corrected = v / (1 - b2**t)
        b1 = np.clip(1 - b0 * corrected / max(corrected.mean(), eps), 0, 1 - eps)
        product = product * b1
        m = ema(m, g, b1)
        w = w - lr * m / (1 - product)
        yield w


@reference(
    "N",
    {**ADAM, "lr": 1e-3, "final_lr": 0.1, "gamma": 0.1},
    note="gamma is raised from 1e-3, so that both bounds bind",
    copies=2,
)
@each_tensor
def adabound(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    final_lr: float,
    gamma: float,
) -> Steps:
    """AdaBound (Luo et al. 2019): rates between ``final_lr (1 -+ 1/(gamma t (+ 1)))``. [N]

    eps stands beside the uncorrected root, as in the official code.
    """
    m = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m, v = ema(m, g, b1), ema(v, g * g, b2)
        rate = lr * np.sqrt(1 - b2**t) / (1 - b1**t) / (np.sqrt(v) + eps)
        low, high = final_lr * (1 - 1 / (gamma * t + 1)), final_lr * (1 + 1 / (gamma * t))
        w = w - np.clip(rate, low, high) * m
        yield w


@reference("N", {**ADAM, "eps": 1e-10}, note="a window of three gradients", copies=4, numbers=1)
@each_tensor
def adashift(
    w: np.ndarray, grads: list[np.ndarray], *, lr: float, b1: float, b2: float, eps: float
) -> Steps:
    """AdaShift (Zhou et al. 2019, Algorithm 3), window 3, reduced by the maximum. [N]

    m is the weighted mean of the last three gradients, v of the largest square of the one before
    these; no step while there is none.
    """
    ages = b1 ** np.arange(3) / (1 + b1 + b1**2)
    v = 0.0
    for t, g in enumerate(grads, 1):
        if t > 3:
            window = [g, grads[t - 2], grads[t - 3]]
            m = sum(a * x for a, x in zip(ages, window, strict=True))
            v = ema(v, float(np.max(grads[t - 4] ** 2)), b2)
            w = w - lr * m / (np.sqrt(v / (1 - b2 ** (t - 3))) + eps)
        yield w
