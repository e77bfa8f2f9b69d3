"""Kinds: what shape a value has, relative to the parameter tensor it belongs to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum

import numpy as np

from .errors import ProgramError


class Kind(Enum):
    """What shape a value has. Values of different kinds combine by broadcasting (`join`).

    A parameter tensor has rows (its second-to-last axis) and columns (its last axis); axes before
    those are kept by every kind but SCALAR and LAYER. A vector counts as one column.

    SCALAR: one number for the whole model. LAYER: one number per parameter tensor. VECTOR: all of a
    vector, one number for any other tensor. BLOCK: one number per matrix of a tensor. ROW: one
    number per row. COLUMN: one per column. TENSOR: shaped like its parameter tensor. The remaining
    kinds come from transposing and from matrix products, which see a tensor of more than two axes
    as one matrix, (first axis, all the rest): TRANSPOSED is columns by rows, ROW_GRAM rows by rows,
    COLUMN_GRAM columns by columns.
    """

    SCALAR = "scalar"
    LAYER = "per-tensor scalar"
    VECTOR = "vectors-only tensor"
    BLOCK = "per-matrix scalar"
    ROW = "per-row"
    COLUMN = "per-column"
    TENSOR = "tensor"
    TRANSPOSED = "transposed tensor"
    ROW_GRAM = "rows-by-rows matrix"
    COLUMN_GRAM = "columns-by-columns matrix"

    def __str__(self) -> str:
        return str(self.value)

    # Members are unique objects, and Enum's own hash is Python code, which tables of kinds feel.
    __hash__ = object.__hash__


# What each kind broadcasts to; a kind broadcasts to itself.
_ABOVE: dict[Kind, frozenset[Kind]] = {
    Kind.SCALAR: frozenset(Kind),
    Kind.LAYER: frozenset(Kind) - {Kind.SCALAR},
    Kind.VECTOR: frozenset({Kind.VECTOR, Kind.ROW, Kind.TENSOR}),
    Kind.BLOCK: frozenset({Kind.BLOCK, Kind.ROW, Kind.COLUMN, Kind.TENSOR}),
    Kind.ROW: frozenset({Kind.ROW, Kind.TENSOR}),
    Kind.COLUMN: frozenset({Kind.COLUMN, Kind.TENSOR}),
    **{
        kind: frozenset({kind})
        for kind in (Kind.TENSOR, Kind.TRANSPOSED, Kind.ROW_GRAM, Kind.COLUMN_GRAM)
    },
}
# Shapes as matrix products see them: r rows, c columns.
_MATRIX: dict[Kind, tuple[str, str]] = {
    Kind.TENSOR: ("r", "c"),
    Kind.TRANSPOSED: ("c", "r"),
    Kind.ROW_GRAM: ("r", "r"),
    Kind.COLUMN_GRAM: ("c", "c"),
}
_OF_MATRIX = {shape: kind for kind, shape in _MATRIX.items()}


def join(kinds: Sequence[Kind]) -> Kind:
    """The kind of an elementwise operation.

    Raises:
      ProgramError: for kinds that do not broadcast, such as a tensor and its transpose.
    """
    joined = Kind.SCALAR
    for kind in kinds:
        if (joined, kind) not in _JOINED:
            raise ProgramError(f"cannot combine a {joined} and a {kind}: their shapes differ")
        joined = _JOINED[joined, kind]
    return joined


def _smallest_above(a: Kind, b: Kind) -> Kind | None:
    above = _ABOVE[a] & _ABOVE[b]
    return next((k for k in Kind if k in above and above <= _ABOVE[k]), None)


def shape_of(kind: Kind, parameter: Sequence[int]) -> tuple[int, ...]:
    """The shape of a value of some kind that belongs to a parameter tensor of some shape."""
    shape = tuple(parameter)
    if kind in (Kind.SCALAR, Kind.LAYER):
        return ()
    if kind is Kind.TENSOR:
        return shape
    if kind is Kind.VECTOR:
        return shape if len(shape) < 2 else (1,) * len(shape)
    if kind in (Kind.ROW, Kind.COLUMN, Kind.BLOCK):
        if len(shape) < 2:
            return shape if kind is Kind.ROW else (1,) * len(shape)
        rows = shape[-2] if kind is Kind.ROW else 1
        return (*shape[:-2], rows, shape[-1] if kind is Kind.COLUMN else 1)
    size = math.prod(shape)
    rows = shape[0] if shape else 1
    extent = {"r": rows, "c": size // rows if rows else 0}
    first, second = _MATRIX[kind]
    return extent[first], extent[second]


# Parameters of every number of axes, on which a join must have exactly the shape it claims.
_SAMPLES = ((), (5,), (4, 3), (2, 6, 4, 3))


def _exact(a: Kind, b: Kind, joined: Kind) -> bool:
    return all(
        np.broadcast_shapes(shape_of(a, shape), shape_of(b, shape)) == shape_of(joined, shape)
        for shape in _SAMPLES
    )


_JOINED: dict[tuple[Kind, Kind], Kind] = {
    (a, b): joined
    for a in Kind
    for b in Kind
    if (joined := _smallest_above(a, b)) is not None and _exact(a, b, joined)
}


# Kind functions of primitives that are not elementwise: from argument kinds to the result's. They
# raise ProgramError for what is not accepted.


def _each_tensor(kinds: Sequence[Kind]) -> None:
    for position, kind in enumerate(kinds, start=1):
        if kind is not Kind.TENSOR:
            which = "its argument" if len(kinds) == 1 else f"argument {position}"
            raise ProgramError(
                f"reduces a tensor, but {which} is a {kind}; accepted: a value shaped like w or g"
            )


def per_tensor(kinds: Sequence[Kind]) -> Kind:
    """Tensors, or matrices of one kind, to one number per tensor."""
    if kinds[0] not in _MATRIX or any(kind is not kinds[0] for kind in kinds):
        _each_tensor(kinds)
    return Kind.LAYER


def of_shape(kinds: Sequence[Kind]) -> Kind:
    """A tensor to a number that depends on its shape alone."""
    _each_tensor(kinds)
    return Kind.LAYER


def of_model(kinds: Sequence[Kind]) -> Kind:
    """Tensors, or numbers per tensor, to one number for the model."""
    if all(kind is Kind.LAYER for kind in kinds):
        return Kind.SCALAR
    _each_tensor(kinds)
    return Kind.SCALAR


def at_point(kinds: Sequence[Kind]) -> Kind:
    """Weights, or a direction in their space, to as many numbers."""
    if kinds[0] is not Kind.TENSOR:
        raise ProgramError(
            f"takes weights or a direction, but its argument is a {kinds[0]};"
            " accepted: a value shaped like w or g"
        )
    return Kind.TENSOR


def value_at(kinds: Sequence[Kind]) -> Kind:
    """Weights to one number for the model."""
    at_point(kinds)
    return Kind.SCALAR


def per_row(kinds: Sequence[Kind]) -> Kind:
    """A tensor to one number per row, a number per column to one per matrix."""
    return _reduced(kinds[0], {Kind.TENSOR: Kind.ROW, Kind.COLUMN: Kind.BLOCK})


def per_column(kinds: Sequence[Kind]) -> Kind:
    """A tensor to one number per column, a number per row to one per matrix."""
    return _reduced(kinds[0], {Kind.TENSOR: Kind.COLUMN, Kind.ROW: Kind.BLOCK})


def _reduced(kind: Kind, to: dict[Kind, Kind]) -> Kind:
    if kind not in to:
        raise ProgramError(
            f"reduces a tensor, but its argument is a {kind};"
            f" accepted: {' or '.join(f'a {k}' for k in to)}"
        )
    return to[kind]


def per_vector(kinds: Sequence[Kind]) -> Kind:
    """A tensor to itself where it is a vector, to one number where it is not."""
    return _reduced(kinds[0], {Kind.TENSOR: Kind.VECTOR})


def quantile_of(kinds: Sequence[Kind]) -> Kind:
    """A tensor and a number to one number per tensor."""
    _each_tensor(kinds[:1])
    _number(kinds[1])
    return Kind.LAYER


def leading(kinds: Sequence[Kind]) -> Kind:
    """A matrix and a number to a matrix of the same shape."""
    _matrix(kinds[0])
    _number(kinds[1])
    return kinds[0]


def _number(kind: Kind) -> None:
    if kind not in (Kind.SCALAR, Kind.LAYER):
        raise ProgramError(
            f"takes a number as its second argument, not a {kind};"
            " accepted: one for the model or one per tensor"
        )


def same_matrix(kinds: Sequence[Kind]) -> Kind:
    """A matrix to one of the same shape."""
    _matrix(kinds[0])
    return kinds[0]


def unchanged(kinds: Sequence[Kind]) -> Kind:
    """Any value to one of its kind."""
    return kinds[0]


def mean_of_nearest(kinds: Sequence[Kind]) -> Kind:
    """Weights and how many members count to weights."""
    _each_tensor(kinds[:1])
    if kinds[1] is not Kind.SCALAR:
        raise ProgramError(f"takes a scalar as its second argument, not a {kinds[1]}")
    return Kind.TENSOR


def same(kinds: Sequence[Kind]) -> Kind:
    """A tensor to a tensor."""
    _each_tensor(kinds)
    return Kind.TENSOR


def transposed(kinds: Sequence[Kind]) -> Kind:
    """A matrix to its transpose."""
    rows, columns = _matrix(kinds[0])
    return _OF_MATRIX[columns, rows]


def product(kinds: Sequence[Kind]) -> Kind:
    """Two matrices whose inner sizes agree to their product."""
    (rows, inner), (other, columns) = _matrix(kinds[0]), _matrix(kinds[1])
    if inner != other:
        raise ProgramError(
            f"cannot multiply a {kinds[0]} by a {kinds[1]}: the inner sizes differ;"
            " transpose one of them"
        )
    return _OF_MATRIX[rows, columns]


def square(kinds: Sequence[Kind]) -> Kind:
    """A square matrix to one of the same size."""
    rows, columns = _matrix(kinds[0])
    if rows != columns:
        raise ProgramError(f"takes a square matrix, not a {kinds[0]}")
    return kinds[0]


def solution(kinds: Sequence[Kind]) -> Kind:
    """A square matrix and a right-hand side with as many rows to the solution."""
    square(kinds[:1])
    return product(kinds)


def _matrix(kind: Kind) -> tuple[str, str]:
    if kind not in _MATRIX:
        raise ProgramError(f"takes a matrix, not a {kind}; accepted: a value shaped like w or g")
    return _MATRIX[kind]
