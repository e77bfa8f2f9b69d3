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
from collections.abc import Callable
from typing import Any

import numpy as np

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


def row_max(xp: Any, x: Any) -> Any:
    """The largest along the last axis, kept; of a vector's rows, which have one number, itself."""
    return x if len(_shapes(xp, x)[1]) < 2 else xp.max(x, axis=-1, keepdims=True)


def column_max(xp: Any, x: Any) -> Any:
    """The largest along the second-to-last axis, kept; of a vector, of all of it."""
    axes = len(_shapes(xp, x)[1])
    return x if axes == 0 else xp.max(x, axis=-2 if axes > 1 else -1, keepdims=True)


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


def lead(xp: Any, x: Any, r: Any) -> Any:
    """The first r columns of the matrix, with zeros in the place of the others."""
    matrix = as_matrix(xp, x)
    kept = _columns(xp, matrix.shape[-1]) < xp.asarray(r)[..., None, None]
    return xp.where(kept, matrix, xp.zeros_like(matrix))


def _columns(xp: Any, number: int) -> Any:
    """The columns of a matrix from 0; where some are padding, those of its own alone count."""
    return xp.numbered(number) if hasattr(xp, "numbered") else xp.arange(number)


def orthonormal(xp: Any, x: Any) -> Any:
    """The columns made orthonormal from left to right, by Gram-Schmidt, which is done twice.

    A column that depends on those before it, but for rounding, becomes zero.
    """
    matrix = as_matrix(xp, x)
    # So that squares neither overflow nor vanish; Gram-Schmidt knows no lengths.
    size = abs(matrix).max(axis=-2, keepdims=True)
    matrix = matrix / xp.where(size == 0, xp.ones_like(size), size)
    width = matrix.shape[-1]
    smallest = 10 * max(matrix.shape[-2:]) * xp.finfo(matrix.dtype).eps

    def add_column(j: Any, basis: Any) -> Any:
        column = matrix[..., j]
        rest = column[..., None]
        for _ in range(2):
            rest = rest - basis @ (basis.mT @ rest)
        length = xp.sqrt(xp.sum(rest * rest, axis=-2, keepdims=True))
        whole = xp.sqrt(xp.sum(column * column, axis=-1))[..., None, None]
        depends = length <= smallest * whole
        unit = xp.where(depends, xp.zeros_like(rest), rest / length)
        return xp.where(xp.arange(width) == j, unit, basis)

    return _repeated(width, add_column, xp.zeros_like(matrix))


def _repeated(count: int, step: Callable[[Any, Any], Any], value: Any) -> Any:
    """step(i, value) for each i in turn, in JAX compiled once."""
    if not isinstance(value, np.ndarray):
        from jax import lax

        return lax.fori_loop(0, count, step, value)
    with np.errstate(all="ignore"):
        for i in range(count):
            value = step(i, value)
    return value


def eigenvectors(xp: Any, x: Any) -> Any:
    """The eigenvectors of the symmetric part as columns, the largest eigenvalue first.

    Linear algebra leaves their signs open, and all of the basis where the eigenvalue is zero but
    for rounding. Here both are what a fixed matrix looks like from there, so that every path finds
    the same. In spaces of another eigenvalue that repeats the basis stays open.
    """
    number = x.shape[-1]
    finite = xp.all(xp.isfinite(x), axis=(-2, -1), keepdims=True)
    symmetric = xp.where(finite, x / 2 + x.mT / 2, xp.zeros_like(x))
    values, vectors = xp.linalg.eigh(symmetric)
    values, vectors = values[..., ::-1], vectors[..., ::-1]
    largest = abs(symmetric).sum(axis=-1).max(axis=-1, keepdims=True)  # no eigenvalue is larger
    # Measured: at most 1.2 units of the last place, 12 where padding is of the same size.
    rounding = (32 if hasattr(xp, "numbered") else 4) * xp.finfo(x.dtype).eps
    null = abs(values) <= rounding * largest
    i = xp.asarray(_columns(xp, number) + 1, x.dtype)[:, None]
    j = xp.asarray(xp.arange(1, number + 1), x.dtype)
    anyhow = xp.sin(i * j * (i + 2 * j))
    seen = vectors.mT @ anyhow
    # Each null vector is replaced by the next column, projected on all of them.
    place = xp.where(null, xp.cumsum(null, axis=-1) - 1, 0)
    projected = xp.take_along_axis(seen, place[..., None, :], axis=-1)
    sign = xp.where(seen[..., :1] < 0, -xp.ones_like(x), xp.ones_like(x))
    both = null[..., :, None] & null[..., None, :]
    turned = xp.where(both, projected, sign * xp.eye(number, dtype=x.dtype))
    found = orthonormal(xp, vectors @ turned)
    if hasattr(xp, "numbered"):
        found = found[..., xp.numbered(number)]
    return xp.where(finite, found, xp.nan)


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
