"""NumPy references: rules that orthogonalize a matrix."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..settings import reference
from ..trajectories import each_tensor, ema, norm

Steps = Iterator[np.ndarray]
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


# Of Polar Express (Amsel et al. 2025), each with the paper's safety factor of 1.01.
POLAR_EXPRESS = tuple(
    (a / 1.01, b / 1.01**3, c / 1.01**5)
    for a, b, c in (
        (8.28721201814563, -23.595886519098837, 17.300387312530933),
        (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
        (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
        (3.3184196573706015, -2.488488024314874, 0.51004894012372),
        (2.300652019954817, -1.6689039845749493, 0.4188073119525673),
    )
)


def newton_schulz(
    x: np.ndarray,
    *,
    eps: float = 1e-7,
    coefficients: tuple = (COEFFICIENTS,) * 5,
    safety: float = 1.0,
) -> np.ndarray:
    """The quintic Newton-Schulz iteration: pushes the singular values of a matrix towards 1.

    ``X = x / (||x||_F + eps)``, transposed if tall; then ``A = X X^T; X = a X + (b A + c A A) X``.
    """
    tall = x.shape[0] > x.shape[1]
    z = (x.T if tall else x) / (safety * norm(x) + eps)
    for a, b, c in coefficients:
        gram = z @ z.T
        z = a * z + (b * gram + c * gram @ gram) @ z
    return z.T if tall else z


@reference(
    "N",
    {"lr": 2e-2, "beta": 0.95, "eps": 1e-7, "wd": 1e-1},
    tensors=("tall", "wide", "kernel"),
    note="everything of fewer than two axes belongs to AdamW",
)
@each_tensor
def muon(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 2e-2,
    beta: float = 0.95,
    eps: float = 1e-7,
    wd: float = 0.0,
) -> Steps:
    """Muon (Jordan et al. 2024), the author's form. [N]

    ``m = EMA_beta(m, g); u = (1-beta) g + beta m``; X orthogonalizes u; ``w = (1 - lr*wd) w -
    lr * sqrt(max(1, rows/columns)) * X``. A tensor of more than two axes is flattened to
    (first axis, rest). The official code scales a kernel by its last two axes instead of the
    flattened matrix's; on this problem's kernel both factors are 1. Two or more axes only.
    """
    m = np.zeros_like(w)
    rows, columns = w.shape[0], w.size // w.shape[0]
    for g in grads:
        m = ema(m, g, beta)
        u = (1 - beta) * g + beta * m
        x = newton_schulz(u.reshape(rows, columns), eps=eps).reshape(w.shape)
        w = (1.0 - lr * wd) * w - lr * np.sqrt(max(1.0, rows / columns)) * x
        yield w


@reference("N", {"lr": 2e-2, "beta": 0.95, "eps": 1e-8, "wd": 1e-1}, tensors=("tall", "wide"))
@each_tensor
def muon_optax(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 2e-2,
    beta: float = 0.95,
    eps: float = 1e-8,
    wd: float = 0.0,
) -> Steps:
    """Muon as optax.contrib states it: corrected Nesterov momentum, (in, out) layout. [N]

    ``m = EMA_beta(m, g); u = beta * m/(1-beta^(t+1)) + (1-beta) * g/(1-beta^t)``;
    ``w -= lr * (sqrt(max(1, columns/rows)) * X + wd*w)``. Matrices only.
    """
    m = np.zeros_like(w)
    rows, columns = w.shape
    for t, g in enumerate(grads, 1):
        m = ema(m, g, beta)
        u = beta * m / (1 - beta ** (t + 1)) + (1 - beta) * g / (1 - beta**t)
        x = np.sqrt(max(1.0, columns / rows)) * newton_schulz(u, eps=eps)
        w = w - lr * (x + wd * w)
        yield w


@reference("C", {"lr": 1e-2, "beta": 0.95, "eps": 1e-8, "wd": 1e-1, "b1": 0.9, "b2": 0.95})
@each_tensor
def muon_moonlight(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float = 1e-3,
    beta: float = 0.95,
    eps: float = 1e-8,
    wd: float = 0.1,
    b1: float = 0.9,
    b2: float = 0.95,
) -> Steps:
    """Muon as Moonlight uses it (Liu et al. 2025, examples/toy_train.py), AdamW for vectors. [C]

    Matrices: ``m = beta m + g; u = g + beta m``; X orthogonalizes u; ``w = (1 - lr*wd) w -
    lr * 0.2 sqrt(max(rows, columns)) * X``, a kernel as (first axis, rest). The official code has
    AdamW's eps beside the uncorrected root; here it is torch's AdamW.
    """
    m = np.zeros_like(w)
    v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        if w.ndim >= 2:
            m = beta * m + g
            u = (g + beta * m).reshape(w.shape[0], -1)
            step = 0.2 * np.sqrt(max(u.shape)) * newton_schulz(u).reshape(w.shape)
        else:
            m = ema(m, g, b1)
            v = ema(v, g**2, b2)
            step = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        w = (1.0 - lr * wd) * w - lr * step
        yield w


def _adamw(m: np.ndarray, v: np.ndarray, t: int, b1: float, b2: float, eps: float) -> np.ndarray:
    return (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)


ORTHOGONAL = {"lr": 1e-2, "beta": 0.95, "eps": 1e-8, "wd": 1e-1, "b1": 0.9, "b2": 0.95}


@reference(
    "N",
    {**ORTHOGONAL, "beta2": 0.9},
    tensors=("tall", "wide", "vector", "scalar"),
    note="no kernel: its rows are (all but the last axis) here, and (first axis) in the paper",
)
@each_tensor
def normuon(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    beta: float,
    beta2: float,
    eps: float,
    wd: float,
    b1: float,
    b2: float,
) -> Steps:
    """NorMuon (Li et al. 2025, Algorithm 1), AdamW for vectors. [N]

    ``O = NS(EMA(m, g)); v = EMA(v, mean over columns of O^2); U = O/(sqrt(v) + eps)``;
    ``w = (1 - lr wd) w - 0.2 lr sqrt(rows columns)/||U|| U``.
    """
    m = np.zeros_like(w)
    v: np.ndarray | float = 0.0
    for t, g in enumerate(grads, 1):
        if w.ndim == 2:
            m = ema(m, g, beta)
            o = newton_schulz(m)
            v = ema(v, (o * o).mean(axis=1)[:, None], beta2)
            u = o / (np.sqrt(v) + eps)
            step = 0.2 * np.sqrt(w.size) / (norm(u) + eps) * u
        else:
            m, v = ema(m, g, b1), ema(v, g * g, b2)
            step = _adamw(m, v, t, b1, b2, eps)
        w = (1 - lr * wd) * w - lr * step
        yield w


@reference(
    "S",
    {**ORTHOGONAL, "eps": 1e-4},
    note="eps is raised, because rounding decides on entries that are 0 but for it",
    copies=2,
)
@each_tensor
def adamuon(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    beta: float,
    eps: float,
    wd: float,
    b1: float,
    b2: float,
) -> Steps:
    """AdaMuon (Si et al. 2025, Algorithm 1), AdamW for vectors, kernels as (first axis, rest). [S]

    ``O = NS(sign(EMA(m, g))); v = EMA(v, O^2); U = O/(sqrt(v) + eps)``;
    ``w = (1 - lr wd) w - 0.2 lr sqrt(rows columns)/||U|| U``.
    """
    m = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        if w.ndim >= 2:
            m = ema(m, g, beta)
            o = newton_schulz(np.sign(m).reshape(w.shape[0], -1)).reshape(w.shape)
            v = ema(v, o * o, beta)
            u = o / (np.sqrt(v) + eps)
            step = 0.2 * np.sqrt(w.size) / (norm(u) + eps) * u
        else:
            m, v = ema(m, g, b1), ema(v, g * g, b2)
            step = _adamw(m, v, t, b1, b2, eps)
        w = (1 - lr * wd) * w - lr * step
        yield w


@reference("S", {"lr": 2e-4, "alpha": 0.1, "radius": 50.0, "eps": 1e-7}, copies=1)
@each_tensor
def scion(
    w: np.ndarray, grads: list[np.ndarray], *, lr: float, alpha: float, radius: float, eps: float
) -> Steps:
    """Unconstrained Scion (Pethick et al. 2025, Algorithm 1), signs for vectors. [S]

    ``m = (1-alpha) m + alpha g; w -= lr radius sqrt(rows/columns) NS(m)``.
    """
    m = np.zeros_like(w)
    for g in grads:
        m = m + alpha * (g - m)
        if w.ndim >= 2:
            matrix = m.reshape(w.shape[0], -1)
            scale = np.sqrt(matrix.shape[0] / matrix.shape[1])
            step = scale * newton_schulz(matrix, eps=eps).reshape(w.shape)
        else:
            step = np.sign(m)
        w = w - lr * radius * step
        yield w


@reference(
    "C",
    {"lr": 2e-2, "beta": 0.95, "eps": 1e-7, "wd": 1e-1, "b1": 0.9, "b2": 0.999},
)
@each_tensor
def muon_polar_express(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    beta: float,
    eps: float,
    wd: float,
    b1: float,
    b2: float,
) -> Steps:
    """Muon with the quintics of Polar Express (Amsel et al. 2025), AdamW for vectors. [C]"""
    m = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        if w.ndim >= 2:
            m = ema(m, g, beta)
            u = ((1 - beta) * g + beta * m).reshape(w.shape[0], -1)
            x = newton_schulz(u, eps=eps, coefficients=POLAR_EXPRESS, safety=1.01)
            step = np.sqrt(max(1.0, u.shape[0] / u.shape[1])) * x.reshape(w.shape)
        else:
            m, v = ema(m, g, b1), ema(v, g * g, b2)
            step = _adamw(m, v, t, b1, b2, eps)
        w = w - lr * (step + wd * w)
        yield w
