"""Definitions of the primitives that see a tensor's rows and columns.

Each works over an array namespace `xp` and on parameters of any number of axes. A tensor's axes are
the last `xp.axes` of an array, all of them where the namespace says nothing; those before hold
independent tensors. Row and column means keep their axes, so that their results broadcast against
the tensor. Matrix operations see a vector as one column and a tensor of more than two axes as
(first axis, all the rest); their results are matrices, to which whoever knows the kinds gives the
parameter's shape back.
"""

from __future__ import annotations

import math
from typing import Any

# Of the quintic in Newton-Schulz, chosen to inflate small singular values (Jordan et al. 2024).
_QUINTIC = (3.4445, -4.7750, 2.0315)
_NEWTON_SCHULZ_STEPS = 5


def _shapes(xp: Any, x: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape before the tensor's axes, and the tensor's own."""
    before = x.ndim - getattr(xp, "axes", x.ndim)
    return x.shape[:before], x.shape[before:]


def _number(xp: Any, value: float, x: Any) -> Any:
    return xp.asarray(float(value), x.dtype)


def as_matrix(xp: Any, x: Any) -> Any:
    """The tensor as a matrix."""
    before, own = _shapes(xp, x)
    rows = math.prod(own) if len(own) < 2 else own[0]
    return x.reshape(*before, rows, 1 if len(own) < 2 else math.prod(own[1:]))


def size(xp: Any, x: Any) -> Any:
    """Number of weights."""
    return _number(xp, math.prod(_shapes(xp, x)[1]), x)


def rows(xp: Any, x: Any) -> Any:
    """Number of rows of the tensor as a matrix."""
    return _number(xp, as_matrix(xp, x).shape[-2], x)


def columns(xp: Any, x: Any) -> Any:
    """Number of columns of the tensor as a matrix."""
    return _number(xp, as_matrix(xp, x).shape[-1], x)


def ndim(xp: Any, x: Any) -> Any:
    """Number of axes."""
    return _number(xp, len(_shapes(xp, x)[1]), x)


def row_mean(xp: Any, x: Any) -> Any:
    """Mean over the last axis, kept; of a vector's rows, which have one number each, itself."""
    return x if len(_shapes(xp, x)[1]) < 2 else xp.mean(x, axis=-1, keepdims=True)


def column_mean(xp: Any, x: Any) -> Any:
    """Mean over the second-to-last axis, kept; of a vector, over all of it."""
    axes = len(_shapes(xp, x)[1])
    return x if axes == 0 else xp.mean(x, axis=-2 if axes > 1 else -1, keepdims=True)


def matrix_mean(xp: Any, x: Any) -> Any:
    """Mean of a tensor of two or more axes, with all axes kept; a vector stays as it is."""
    axes = len(_shapes(xp, x)[1])
    return x if axes < 2 else xp.mean(x, axis=tuple(range(-axes, 0)), keepdims=True)


def transpose(xp: Any, x: Any) -> Any:
    """The transposed matrix."""
    return as_matrix(xp, x).mT


def matmul(xp: Any, x: Any, y: Any) -> Any:
    """The matrix product."""
    return as_matrix(xp, x) @ as_matrix(xp, y)


def diagonal(xp: Any, x: Any) -> Any:
    """The matrix without its off-diagonal part."""
    return x * xp.eye(x.shape[-1], dtype=x.dtype)


def solve_lower(xp: Any, matrix: Any, y: Any) -> Any:
    """Solves with the lower triangle of a square matrix; NaN where that is singular.

    NumPy would raise there, and in this language a value that does not exist is NaN.
    """
    diagonal = xp.diagonal(matrix, axis1=-2, axis2=-1)
    regular = xp.all(diagonal != 0, axis=-1, keepdims=True)[..., None]
    lower = xp.where(regular, xp.tril(matrix), xp.eye(matrix.shape[-1], dtype=matrix.dtype))
    return xp.where(regular, xp.linalg.solve(lower, as_matrix(xp, y)), xp.nan)


def quantile(xp: Any, x: Any, p: Any) -> Any:
    """The p-quantile, linearly interpolated; NaN for p outside 0 to 1, where NumPy would raise."""
    inside = (p >= 0) & (p <= 1)
    return xp.where(inside, xp.quantile(x, xp.where(inside, p, 0.5)), xp.nan)


def newton_schulz(xp: Any, x: Any) -> Any:
    """X <- aX + (bA + cA²)X with A = XXᵀ, five times, of the wide one of X and its transpose."""
    a, b, c = _QUINTIC
    matrix = as_matrix(xp, x)
    tall = matrix.shape[-2] > matrix.shape[-1]
    z = matrix.mT if tall else matrix
    if z.shape[-2] == 1:  # A is a number, and X only changes in scale
        gram, scale = xp.sum(z * z, axis=-1, keepdims=True), 1.0
        for _ in range(_NEWTON_SCHULZ_STEPS):
            factor = a + (b + c * gram) * gram
            gram, scale = factor * factor * gram, factor * scale
        z = scale * z
    else:
        for _ in range(_NEWTON_SCHULZ_STEPS):
            gram = z @ z.mT
            z = a * z + (b * gram + c * gram @ gram) @ z
    return (z.mT if tall else z).reshape(x.shape)
