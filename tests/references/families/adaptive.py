"""NumPy references: per-coordinate adaptive steps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..settings import ADAM, ADAMW, reference
from ..trajectories import each_tensor, ema

Steps = Iterator[np.ndarray]


@reference("N", {"lr": 1e-1, "eps": 1e-10}, copies=1)
@each_tensor
def adagrad(
    w: np.ndarray, grads: list[np.ndarray], *, lr: float = 1e-2, eps: float = 1e-10
) -> Steps:
    """AdaGrad (Duchi et al. 2011, diagonal form): ``a += g^2; w -= lr * g / (sqrt(a) + eps)``.

    a_0 = 0, as in torch. [N]
    """
    a = np.zeros_like(w)
    for g in grads:
        a = a + g**2
        w = w - lr * g / (np.sqrt(a) + eps)
        yield w


@reference("N", {"lr": 1.0, "rho": 0.9, "eps": 1e-6}, copies=2)
@each_tensor
def adadelta(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
) -> Steps:
    """AdaDelta (Zeiler 2012, Algorithm 1). [N]

    ``v = EMA(v, g^2); u = g sqrt(d + eps)/sqrt(v + eps); d = EMA(d, u^2); w -= lr * u``.
    """
    v = np.zeros_like(w)
    d = np.zeros_like(w)
    for g in grads:
        v = ema(v, g**2, rho)
        u = g * np.sqrt(d + eps) / np.sqrt(v + eps)
        d = ema(d, u**2, rho)
        w = w - lr * u
        yield w


@reference("N", {"lr": 1e-2, "decay": 0.99, "eps": 1e-8}, copies=1)
@each_tensor
def rmsprop(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1e-2,
    decay: float = 0.99,
    eps: float = 1e-8,
) -> Steps:
    """RMSProp (Hinton's lecture 6e, 2012): ``v = EMA(v, g^2); w -= lr * g / (sqrt(v) + eps)``.

    eps stands outside the root, as in torch. [N]
    """
    v = np.zeros_like(w)
    for g in grads:
        v = ema(v, g**2, decay)
        w = w - lr * g / (np.sqrt(v) + eps)
        yield w


@reference("N", ADAM, copies=2)
@each_tensor
def adam(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
) -> Steps:
    """Adam (Kingma & Ba 2015, Algorithm 1): ``w -= lr * m_hat / (sqrt(v_hat) + eps)``. [N]"""
    m = np.zeros_like(w)
    v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m = ema(m, g, b1)
        v = ema(v, g**2, b2)
        w = w - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        yield w


@reference("N", ADAMW, copies=2)
@each_tensor
def nadamw(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    wd: float = 1e-4,
) -> Steps:
    """NAdam (Dozat 2016) with decoupled weight decay, as optax.nadamw states it. [N]

    ``u = b1 * m/(1-b1^(t+1)) + (1-b1) * g/(1-b1^t)``;
    ``w = (1 - lr*wd) w - lr * u/(sqrt(v_hat) + eps)``.
    """
    m = np.zeros_like(w)
    v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m = ema(m, g, b1)
        v = ema(v, g**2, b2)
        ahead = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        w = (1.0 - lr * wd) * w - lr * ahead / (np.sqrt(v / (1 - b2**t)) + eps)
        yield w


@reference("N", {**ADAM, "b2": 0.9}, note="b2 = 0.9 makes the maximum matter", copies=3)
@each_tensor
def amsgrad(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
) -> Steps:
    """AMSGrad (Reddi et al. 2018) as torch states it: the maximum is taken before the correction.

    ``x = max(x, v); w -= lr * m_hat / (sqrt(x / (1 - b2^t)) + eps)``. [N]
    """
    m = np.zeros_like(w)
    v = np.zeros_like(w)
    x = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m = ema(m, g, b1)
        v = ema(v, g**2, b2)
        x = np.maximum(x, v)
        w = w - lr * (m / (1 - b1**t)) / (np.sqrt(x / (1 - b2**t)) + eps)
        yield w


@reference("N", {**ADAM, "b2": 0.9}, note="b2 = 0.9, as for amsgrad", copies=3)
@each_tensor
def amsgrad_optax(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
) -> Steps:
    """AMSGrad as Optax states it: the maximum is taken of the corrected second moment.

    ``x = max(x, v_hat); w -= lr * m_hat / (sqrt(x) + eps)``. [N]
    """
    m = np.zeros_like(w)
    v = np.zeros_like(w)
    x = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m = ema(m, g, b1)
        v = ema(v, g**2, b2)
        x = np.maximum(x, v / (1 - b2**t))
        w = w - lr * (m / (1 - b1**t)) / (np.sqrt(x) + eps)
        yield w


@reference("N", ADAMW, copies=2)
@each_tensor
def adamw(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    wd: float = 1e-2,
) -> Steps:
    """AdamW (Loshchilov & Hutter 2019, Algorithm 2; torch's default wd). [N]

    ``w = (1 - lr*wd) w - lr * m_hat / (sqrt(v_hat) + eps)``.
    """
    m = np.zeros_like(w)
    v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m = ema(m, g, b1)
        v = ema(v, g**2, b2)
        step = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        w = (1.0 - lr * wd) * w - lr * step
        yield w


@reference("N", {**ADAM, "eps": 1e-16}, copies=2)
@each_tensor
def adabelief(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-16,
) -> Steps:
    """AdaBelief (Zhuang et al. 2020, Algorithm 2), no rectification. [N]

    ``s = EMA(s, (g - m)^2) + eps`` keeps its eps in the state from step to step;
    ``w -= lr * m_hat / (sqrt(s / (1 - b2^t)) + eps)``.
    """
    m = np.zeros_like(w)
    s = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m = ema(m, g, b1)
        s = ema(s, (g - m) ** 2, b2) + eps
        w = w - lr * (m / (1 - b1**t)) / (np.sqrt(s / (1 - b2**t)) + eps)
        yield w


@reference("N", ADAM, copies=3)
@each_tensor
def diffgrad(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
) -> Steps:
    """diffGrad (Dubey et al. 2020), version 2 of the official code. [N]

    ``xi = sigmoid(|g_{t-1} - g_t|)`` with g_0 = 0;
    ``w -= lr * sqrt(1 - b2^t)/(1 - b1^t) * xi * m / (sqrt(v) + eps)``.
    """
    m = np.zeros_like(w)
    v = np.zeros_like(w)
    previous = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m = ema(m, g, b1)
        v = ema(v, g**2, b2)
        friction = 1.0 / (1.0 + np.exp(-np.abs(previous - g)))
        w = w - lr * np.sqrt(1 - b2**t) / (1 - b1**t) * friction * m / (np.sqrt(v) + eps)
        previous = g
        yield w


@reference("N", {"lr": 1e-2, "b1": 0.98, "b2": 0.92, "b3": 0.99, "eps": 1e-8, "wd": 1e-1}, copies=4)
@each_tensor
def adan(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1e-3,
    b1: float = 0.98,
    b2: float = 0.92,
    b3: float = 0.99,
    eps: float = 1e-8,
    wd: float = 0.0,
) -> Steps:
    """Adan (Xie et al. 2022) with the official code's betas and proximal weight decay. [N]

    ``d = g - g_{t-1}`` (0 at t = 1); ``m = EMA_b1(g), v = EMA_b2(d), n = EMA_b3((g + b2 d)^2)``;
    ``w = (w - lr * (m_hat + b2 v_hat) / (sqrt(n_hat) + eps)) / (1 + lr * wd)``.
    The paper's betas are one minus these.
    """
    m = np.zeros_like(w)
    v = np.zeros_like(w)
    n = np.zeros_like(w)
    previous = grads[0]
    for t, g in enumerate(grads, 1):
        d = g - previous
        m = ema(m, g, b1)
        v = ema(v, d, b2)
        n = ema(n, (g + b2 * d) ** 2, b3)
        direction = m / (1 - b1**t) + b2 * v / (1 - b2**t)
        w = (w - lr * direction / (np.sqrt(n / (1 - b3**t)) + eps)) / (1.0 + lr * wd)
        previous = g
        yield w
