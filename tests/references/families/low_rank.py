"""NumPy references: rules of a low rank."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..losses import noise
from ..settings import reference
from ..trajectories import Params, Trajectory, each_tensor, ema, norm
from .decomposed import as_matrix

Steps = Iterator[np.ndarray]
GALORE = {"lr": 1e-2, "b1": 0.9, "b2": 0.999, "eps": 1e-8, "r": 2, "k": 10, "scale": 0.25}


def _projected(g: np.ndarray, basis: np.ndarray, tall: bool) -> np.ndarray:
    return np.asarray(g @ basis if tall else basis.T @ g)


def _back(x: np.ndarray, basis: np.ndarray, tall: bool) -> np.ndarray:
    return np.asarray(x @ basis.T if tall else basis @ x)


def _singular(g: np.ndarray, r: int, tall: bool) -> np.ndarray:
    """r leading singular vectors of the shorter side, with the language's signs."""
    u, _, v = np.linalg.svd(g, full_matrices=False)
    basis = v[:r].T if tall else u[:, :r]
    i = np.arange(1.0, len(basis) + 1)
    return np.asarray(basis * np.where(np.sin(i * (i + 2)) @ basis < 0, -1, 1))


@reference("N", GALORE, note="after a change of the basis its signs matter, which are a convention")
@each_tensor
def galore_adam(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    r: int,
    k: int,
    scale: float,
) -> Steps:
    """GaLore (Zhao et al. 2024, Algorithm 2), Adam on ``P^T G`` (wide) or ``G Q`` (tall). [N]"""
    tall = as_matrix(w).shape[0] >= as_matrix(w).shape[1]
    basis = np.zeros((1, 1))
    m: np.ndarray | float = 0.0
    v: np.ndarray | float = 0.0
    for t, gradient in enumerate(grads, 1):
        g = gradient
        if w.ndim >= 2:
            g = as_matrix(g)
            if (t - 1) % k == 0:
                basis = _singular(g, r, tall)
            g = _projected(g, basis, tall)
        m, v = ema(m, g, b1), ema(v, g * g, b2)
        step = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        if w.ndim >= 2:
            step = scale * _back(step, basis, tall).reshape(w.shape)
        w = w - lr * step
        yield w


@reference(
    "C",
    {**GALORE, "eps": 1e-6, "limit": 1.01, "wd": 1e-1},
    note="the signs of a basis are a convention",
)
@each_tensor
def fira(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    r: int,
    k: int,
    scale: float,
    limit: float,
    wd: float,
) -> Steps:
    """Fira (Chen et al. 2024): GaLore's step and the scaled rest of the gradient, limited. [C]

    ``phi = |N| / |P^T G|`` per row or column; ``S = phi (G - P P^T G)``, shrunk to ``limit`` times
    the norm of the one before.
    """
    tall = as_matrix(w).shape[0] >= as_matrix(w).shape[1]
    axis = 1 if tall else 0
    basis, last = np.zeros((1, 1)), 0.0
    m: np.ndarray | float = 0.0
    v: np.ndarray | float = 0.0
    for t, gradient in enumerate(grads, 1):
        g = whole = gradient
        if w.ndim >= 2:
            whole = as_matrix(gradient)
            if (t - 1) % k == 0:
                basis = _singular(whole, r, tall)
            g = _projected(whole, basis, tall)
        m, v = ema(m, g, b1), ema(v, g * g, b2)
        correction = np.sqrt(1 - b2**t) / (1 - b1**t)
        step = m / (np.sqrt(v) + eps)
        if w.ndim >= 2:
            phi = np.linalg.norm(step, axis=axis, keepdims=True) / (
                np.linalg.norm(g, axis=axis, keepdims=True) + 1e-8
            )
            rest = phi * (whole - scale * _back(g, basis, tall))
            if t > 1:
                rest = rest / (max(norm(rest) / (last + 1e-8), limit) / limit)
            last = norm(rest)
            step = (scale * _back(step, basis, tall) + rest).reshape(w.shape)
        w = w - lr * (correction * step + wd * w)
        yield w


APOLLO = {"lr": 1e-2, "b1": 0.9, "b2": 0.999, "eps": 1e-6, "k": 10, "scale": 4.0}
APOLLO |= {"limit": 1.01, "wd": 1e-1}


@reference(
    "N",
    APOLLO,
    tensors=("tall", "wide", "vector", "scalar"),
    note="normal vectors as given; no kernel: its rows are along the last axis here",
)
def apollo_mini(
    params: Params,
    grads: list[Params],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    k: int,
    scale: float,
    limit: float,
    wd: float,
) -> Trajectory:
    """APOLLO-Mini (Zhu et al. 2025): rank 1, one scale for a tensor, limited growth. [N]

    The direction is the mean of given normal numbers, times the root of their count: normal again.
    """
    drawn = {t: noise("normal", t, params) for t in range(0, len(grads), k)}
    out: list[Params] = [{} for _ in grads]
    for name, start in params.items():
        w = np.array(start, np.float64)
        m: np.ndarray | float = 0.0
        v: np.ndarray | float = 0.0
        last, direction = 0.0, np.zeros(())
        for t, model in enumerate(grads, 1):
            g = r = model[name]
            if w.ndim >= 2:
                axis = 0 if w.shape[0] >= w.shape[1] else 1
                if (t - 1) % k == 0:
                    z = drawn[t - 1][name]
                    direction = np.sqrt(w.shape[axis]) * z.mean(axis=axis)
                r = g @ direction if axis == 0 else direction @ g
            m, v = ema(m, r, b1), ema(v, r * r, b2)
            step = m / (np.sqrt(v) + eps)
            if w.ndim >= 2:
                step = norm(step) / (norm(r) + 1e-8) * g
                if t > 1:
                    step = step / (max(norm(step) / (last + 1e-8), limit) / limit)
                last = norm(step)
                step = np.sqrt(scale) * step
            w = w - lr * (np.sqrt(1 - b2**t) / (1 - b1**t) * step + wd * w)
            out[t - 1][name] = w
    return Trajectory(out)


@reference(
    "S",
    {"lr": 1e-2, "mu": 0.95, "r": 2, "eps": 1e-8, "wd": 1e-1, "b1": 0.9, "b2": 0.95},
    note="normal vectors as given; QR magnifies rounding where columns are almost parallel",
)
def dion(
    params: Params,
    grads: list[Params],
    *,
    lr: float,
    mu: float,
    r: int,
    eps: float,
    wd: float,
    b1: float,
    b2: float,
) -> Trajectory:
    """Dion (Ahn et al. 2025, Algorithm 1), centralized; AdamW for vectors. [S]

    ``B = M + G; P = QR(B Q); R = B^T P; M = B - (1 - mu) P R^T; Q = R / |R_j|``;
    ``X -= lr sqrt(rows / columns) P Q^T``.
    """
    first = noise("normal", 0, params)
    out: list[Params] = [{} for _ in grads]
    for name, start in params.items():
        w = np.array(start, np.float64)
        z = as_matrix(first[name])
        q = (z.T @ z)[:, :r]
        m = v = np.zeros_like(w)
        for t, model in enumerate(grads, 1):
            g = model[name]
            if w.ndim >= 2:
                b = as_matrix(m + g)
                p = np.linalg.qr(b @ q).Q
                turned = b.T @ p
                m = (b - (1 - mu) * p @ turned.T).reshape(w.shape)
                q = turned / np.linalg.norm(turned, axis=0)
                step = (np.sqrt(len(b) / b.shape[1]) * p @ q.T).reshape(w.shape)
            else:
                m, v = ema(m, g, b1), ema(v, g * g, b2)
                step = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
            w = w - lr * (step + wd * w)
            out[t - 1][name] = w
    return Trajectory(out)
