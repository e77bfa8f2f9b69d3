"""NumPy references: rules that turn or scale a matrix by eigenvectors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..settings import reference
from ..trajectories import each_tensor, ema

Steps = Iterator[np.ndarray]


def as_matrix(x: np.ndarray) -> np.ndarray:
    """A vector as one column, a kernel as (first axis, rest)."""
    return x.reshape(-1, 1) if x.ndim < 2 else x.reshape(x.shape[0], -1)


def power(s: np.ndarray, exponent: float) -> np.ndarray:
    """The power of a symmetric positive definite matrix."""
    values, vectors = np.linalg.eigh(s)
    return np.asarray(vectors * values**exponent @ vectors.T)


def eigenbasis(s: np.ndarray) -> np.ndarray:
    """Eigenvectors, the largest eigenvalue first, with the language's conventions.

    Their products with the first column of sin(i j (i + 2j)) are positive; those of the eigenvalue
    0 are what Gram-Schmidt makes of this matrix's first columns, projected on their space.
    """
    values, vectors = np.linalg.eigh(s)
    values, vectors = values[::-1], vectors[:, ::-1]
    i = np.arange(1.0, len(s) + 1)
    fixed = np.sin(np.outer(i, i) * (i[:, None] + 2 * i))
    vectors = vectors * np.where(fixed[:, 0] @ vectors < 0, -1, 1)
    null = np.abs(values) <= 4 * np.finfo(float).eps * np.linalg.norm(s, np.inf)
    if null.any():
        space = vectors[:, null]
        basis, triangle = np.linalg.qr(space @ (space.T @ fixed[:, : null.sum()]))
        vectors[:, null] = basis * np.sign(np.diag(triangle))
    return np.asarray(vectors)


@reference("N", {"lr": 1e-1, "eps": 1.0})
@each_tensor
def shampoo(w: np.ndarray, grads: list[np.ndarray], *, lr: float, eps: float) -> Steps:
    """Shampoo (Gupta et al. 2018, Algorithm 1): ``L = eps I + sum G G^T``, R alike. [N]

    ``W -= lr L^(-1/4) G R^(-1/4)``; of order 1, ``w -= lr L^(-1/2) g``.
    """
    rows, columns = as_matrix(w).shape
    left, right = eps * np.eye(rows), eps * np.eye(columns)
    for g in map(as_matrix, grads):
        left, right = left + g @ g.T, right + g.T @ g
        step = power(left, -0.5) @ g if w.ndim < 2 else power(left, -0.25) @ g @ power(right, -0.25)
        w = w - lr * step.reshape(w.shape)
        yield w


@reference(
    "C",
    {"lr": 1e-2, "b1": 0.95, "b2": 0.95, "bp": 0.95, "eps": 1e-8, "k": 10, "wd": 1e-1},
    note="the basis of what no gradient has seen is a convention",
)
@each_tensor
def soap(
    w: np.ndarray,
    grads: list[np.ndarray],
    *,
    lr: float,
    b1: float,
    b2: float,
    bp: float,
    eps: float,
    k: int,
    wd: float,
) -> Steps:
    """SOAP (Vyas et al. 2025) in the order of the official code, without its sorting. [C]

    The first gradient only fills ``L = EMA(G G^T)``, R and their eigenbases U, V. Then
    ``m = EMA(G); v = EMA((U^T G V)^2)``; the step is Adam's of ``U^T m V`` over sqrt(v), turned
    back; every k steps ``U = QR(L U)``.
    """
    matrix = as_matrix(w)
    rows, columns = matrix.shape
    left, right = np.zeros((rows, rows)), np.zeros((columns, columns))
    u, v_basis = np.eye(rows), np.eye(columns)
    m = second = np.zeros_like(matrix)
    for count, g in enumerate(map(as_matrix, grads)):
        left, right = ema(left, g @ g.T, bp), ema(right, g.T @ g, bp)
        if count == 0:
            if w.ndim >= 2:
                u, v_basis = eigenbasis(left), eigenbasis(right)
            yield w
            continue
        m, second = ema(m, g, b1), ema(second, (u.T @ g @ v_basis) ** 2, b2)
        scale = np.sqrt(1 - b2**count) / (1 - b1**count)
        step = u @ (scale * (u.T @ m @ v_basis) / (np.sqrt(second) + eps)) @ v_basis.T
        w = w - lr * (step.reshape(w.shape) + wd * w)
        if w.ndim >= 2 and count % k == 0:
            u, v_basis = _turned(left @ u), _turned(right @ v_basis)
        yield w


def _turned(x: np.ndarray) -> np.ndarray:
    basis, triangle = np.linalg.qr(x)
    return np.asarray(basis * np.sign(np.diag(triangle)))


@reference("S", {"lr": 1e-1, "eps": 1.0})
@each_tensor
def asgo(w: np.ndarray, grads: list[np.ndarray], *, lr: float, eps: float) -> Steps:
    """ASGO (An et al. 2025, Algorithm 1): ``V += G G^T; W -= lr (V^(1/2) + eps I)^(-1) G``. [S]"""
    rows = len(as_matrix(w))
    v = np.zeros((rows, rows))
    for g in map(as_matrix, grads):
        v = v + g @ g.T
        values, vectors = np.linalg.eigh(v)
        root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
        w = w - lr * np.linalg.solve(root + eps * np.eye(rows), g).reshape(w.shape)
        yield w


@reference(
    "S",
    {"lr": 1e-2, "beta": 0.95, "eps": 1e-8, "wd": 1e-1, "b1": 0.9, "b2": 0.999},
)
@each_tensor
def polargrad(
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
    """PolarGrad (Lau et al. 2025), momentum first: ``m = A diag(s) B^T; W -= lr sum(s) A B^T``. [S]

    Tensors of fewer than two axes get AdamW.
    """
    m = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        if w.ndim >= 2:
            m = ema(m, g, beta)
            a, s, b = np.linalg.svd(as_matrix(m), full_matrices=False)
            step = (s.sum() * a @ b).reshape(w.shape)
        else:
            m, v = ema(m, g, b1), ema(v, g * g, b2)
            step = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        w = w - lr * (step + wd * w)
        yield w
