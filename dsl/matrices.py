"""Definitions of the primitives that see a tensor's rows and columns.

Each works over an array namespace `xp` and on parameters of any number of axes. Row and column
means keep their axes, so that their results broadcast against the tensor. Matrix operations see a
vector as one column and a tensor of more than two axes as (first axis, all the rest); their results
are matrices, to which whoever knows the kinds gives the parameter's shape back.
"""

from __future__ import annotations

from typing import Any

# Of the quintic in Newton-Schulz, chosen to inflate small singular values (Jordan et al. 2024).
_QUINTIC = (3.4445, -4.7750, 2.0315)
_NEWTON_SCHULZ_STEPS = 5


def as_matrix(x: Any) -> Any:
    """The tensor as a matrix."""
    if x.ndim < 2:
        return x.reshape(-1, 1)
    return x.reshape(x.shape[0], -1)


def size(xp: Any, x: Any) -> Any:
    """Number of weights."""
    return xp.asarray(float(x.size), x.dtype)


def rows(xp: Any, x: Any) -> Any:
    """Number of rows of the tensor as a matrix."""
    return xp.asarray(float(as_matrix(x).shape[0]), x.dtype)


def columns(xp: Any, x: Any) -> Any:
    """Number of columns of the tensor as a matrix."""
    return xp.asarray(float(as_matrix(x).shape[1]), x.dtype)


def ndim(xp: Any, x: Any) -> Any:
    """Number of axes."""
    return xp.asarray(float(x.ndim), x.dtype)


def row_mean(xp: Any, x: Any) -> Any:
    """Mean over the last axis, kept; of a vector's rows, which have one number each, itself."""
    return x if x.ndim < 2 else xp.mean(x, axis=-1, keepdims=True)


def column_mean(xp: Any, x: Any) -> Any:
    """Mean over the second-to-last axis, kept; of a vector, over all of it."""
    if x.ndim == 0:
        return x
    return xp.mean(x, axis=-2 if x.ndim > 1 else -1, keepdims=True)


def matrix_mean(xp: Any, x: Any) -> Any:
    """Mean of a tensor of two or more axes, with all axes kept; a vector stays as it is."""
    return x if x.ndim < 2 else xp.mean(x, keepdims=True)


def transpose(xp: Any, x: Any) -> Any:
    """The transposed matrix."""
    return as_matrix(x).T


def matmul(xp: Any, x: Any, y: Any) -> Any:
    """The matrix product."""
    return as_matrix(x) @ as_matrix(y)


def diagonal(xp: Any, x: Any) -> Any:
    """The matrix without its off-diagonal part."""
    return x * xp.eye(x.shape[0], dtype=x.dtype)


def solve_lower(xp: Any, matrix: Any, y: Any) -> Any:
    """Solves with the lower triangle of a square matrix; NaN where that is singular.

    NumPy would raise there, and in this language a value that does not exist is NaN.
    """
    regular = xp.all(xp.diagonal(matrix) != 0)
    lower = xp.where(regular, xp.tril(matrix), xp.eye(matrix.shape[0], dtype=matrix.dtype))
    return xp.where(regular, xp.linalg.solve(lower, as_matrix(y)), xp.nan)


def quantile(xp: Any, x: Any, p: Any) -> Any:
    """The p-quantile, linearly interpolated; NaN for p outside 0 to 1, where NumPy would raise."""
    inside = (p >= 0) & (p <= 1)
    return xp.where(inside, xp.quantile(x, xp.where(inside, p, 0.5)), xp.nan)


def newton_schulz(xp: Any, x: Any) -> Any:
    """X <- aX + (bA + cA²)X with A = XXᵀ, five times, of the wide one of X and its transpose."""
    a, b, c = _QUINTIC
    matrix = as_matrix(x)
    tall = matrix.shape[0] > matrix.shape[1]
    z = matrix.T if tall else matrix
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = z @ z.T
        z = a * z + (b * gram + c * gram @ gram) @ z
    return (z.T if tall else z).reshape(x.shape)
