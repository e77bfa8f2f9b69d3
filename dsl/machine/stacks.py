"""Stacks: a model's tensors as few arrays, so that code for whole tensors grows little with leaves.

An operation on whole tensors is compiled once for each stack. Tensors of one shape make a stack.
A model of more shapes than `MOST_STACKS` has its tensors padded to fewer: what is padded is zero
(in a square matrix, the identity), and `Padded` keeps it out of what counts numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..kinds import Kind, shape_of

Array = jax.Array
Shape = tuple[int, ...]

# A further shape costs the lean machine 0.2 s of compilation, the full one 2 s. No built-in task
# has more than ten, so that none is padded.
MOST_STACKS = 12
# The most that padding may multiply the size of a model; beyond it there are more stacks.
MOST_PADDING = 8


@dataclass(frozen=True)
class Stack:
    """Tensors with the same number of axes, taken as one array.

    Attributes:
      members: their positions among the model's tensors.
      shapes: their own shapes.
    """

    members: tuple[int, ...]
    shapes: tuple[Shape, ...]

    @cached_property
    def shape(self) -> Shape:
        """The shape that each is padded to."""
        return tuple(max(extents) for extents in zip(*self.shapes, strict=True))

    @cached_property
    def padded(self) -> bool:
        """Whether any tensor is smaller than the stack's shape."""
        return any(shape != self.shape for shape in self.shapes)

    def fold(self, function: Callable[[Array, Any], Array], out: Array, rows: Any) -> Array:
        """Calls a function for each member, in code for one.

        Args:
          function: `function(out, row) -> out`.
          out: what the first call is given.
          rows: what each member is given; arrays with a row for each.
        """
        if len(self.members) == 1:
            return function(out, jax.tree.map(lambda x: x[0], rows))
        return lax.scan(lambda out, row: (function(out, row), None), out, rows)[0]

    def read(
        self, register: Array, kind: Kind, extents: Array, start: Array, *, identity: bool = False
    ) -> Array:
        """A member of some extents, from where it starts in a register (R, width); (R, …).

        What lies outside of the tensor is zero, or, where asked for, in a square matrix the
        identity.
        """
        shape = shape_of(kind, self.shape)
        if not self.padded:
            found = lax.dynamic_slice_in_dim(register, start, math.prod(shape), axis=1)
        else:
            places, inside = _places(_axes(kind, self.shape), _axes(kind, extents))
            square = identity and kind in (Kind.ROW_GRAM, Kind.COLUMN_GRAM)
            outside = jnp.eye(shape[0]) if square else jnp.zeros(shape)
            found = register.at[:, start + places].get(mode="clip")
            found = jnp.where(inside, found, outside.reshape(inside.shape).astype(register.dtype))
        return found.reshape(-1, *shape)

    def write(self, register: Array, kind: Kind, extents: Array, start: Array, x: Array) -> Array:
        """A register (R, width + slack) with a member of some extents, x (R, …), in its place."""
        shape = shape_of(kind, self.shape)
        x = x.reshape(x.shape[0], *[1] * (len(shape) + 1 - x.ndim), *x.shape[1:])
        x = jnp.broadcast_to(x, (x.shape[0], *shape)).reshape(x.shape[0], -1)
        if self.padded:
            places, inside = _own(_axes(kind, self.shape), _axes(kind, extents))
            before = lax.dynamic_slice_in_dim(register, start, x.shape[1], axis=1)
            x = jnp.where(inside, x.at[:, places].get(mode="clip"), before)
        return lax.dynamic_update_slice_in_dim(register, x, start, axis=1)

    @cached_property
    def slack(self) -> int:
        """Numbers that `write` needs behind the last tensor."""
        kinds = (Kind.TENSOR, Kind.ROW_GRAM, Kind.COLUMN_GRAM)
        return max(math.prod(shape_of(kind, self.shape)) for kind in kinds) if self.padded else 0

    def namespace(self, kind: Kind, extents: Array) -> Any:
        """jax.numpy for a value of some kind that belongs to a member of some extents."""
        if not self.padded:
            return jnp
        inside = _places(_axes(kind, self.shape), _axes(kind, extents))[1]
        return Padded(inside.reshape(shape_of(kind, self.shape)))


def stacks_of(shapes: Sequence[Shape]) -> tuple[Stack, ...]:
    """The stacks of a model's tensors, in the order of their first members.

    Axes are rounded up as finely as gives at most `MOST_STACKS`: to themselves, to powers of 2, of
    4 and so on.
    """
    best = _rounded(shapes, 1)
    own = _numbers(best)
    base = 2
    while len(best) > MOST_STACKS:
        fewer = _rounded(shapes, base)
        if _numbers(fewer) > MOST_PADDING * own or base > max(map(max, filter(None, shapes))):
            break
        best, base = fewer, base * 2
    return best


def _rounded(shapes: Sequence[Shape], base: int) -> tuple[Stack, ...]:
    found: dict[Shape, list[int]] = {}
    for position, shape in enumerate(shapes):
        found.setdefault(tuple(_power(extent, base) for extent in shape), []).append(position)
    return tuple(Stack(tuple(m), tuple(shapes[i] for i in m)) for m in found.values())


def _power(extent: int, base: int) -> int:
    """The smallest power of the base that is not below; with base 1, the number itself."""
    power = 1
    while base > 1 and power < extent:
        power *= base
    return power if base > 1 and extent else extent


def _numbers(stacks: Sequence[Stack]) -> int:
    """Numbers in all stacks, as the kind that has most."""
    kinds = (Kind.TENSOR, Kind.ROW_GRAM, Kind.COLUMN_GRAM)
    return max(sum(len(s.members) * math.prod(shape_of(k, s.shape)) for s in stacks) for k in kinds)


def _axes(kind: Kind, shape: Any) -> Any:
    """A kind's shape with the columns of a matrix as the axes that they are made of."""
    rows, columns = list(shape[:1]), list(shape[1:])
    return {
        Kind.TENSOR: rows + columns,
        Kind.TRANSPOSED: columns + rows,
        Kind.ROW_GRAM: rows + rows,
        Kind.COLUMN_GRAM: columns + columns,
    }[kind]


def _places(full: Shape, extents: Sequence[Array] | Array) -> tuple[Array, Array]:
    """Where each number of a padded tensor lies in the flat tensor, and which are in it."""
    places, inside = jnp.zeros(full, jnp.int32), jnp.ones(full, bool)
    stride: Any = 1
    for axis in reversed(range(len(full))):
        at = lax.broadcasted_iota(jnp.int32, full, axis)
        places, inside = places + at * stride, inside & (at < extents[axis])
        stride *= extents[axis]
    return places, inside


def _own(full: Shape, extents: Sequence[Array]) -> tuple[Array, Array]:
    """Where each number of a flat tensor lies in the flat padded one, and which it has."""
    left = lax.iota(jnp.int32, math.prod(full))
    places, stride = jnp.zeros_like(left), 1
    for axis in reversed(range(len(full))):
        places += left % extents[axis] * stride
        left //= extents[axis]
        stride *= full[axis]
    return places, left == 0


class Padded:
    """jax.numpy for a padded tensor: what counts numbers, or has no use for zeros, skips padding.

    Args:
      inside: which numbers are the tensor's own.
    """

    def __init__(self, inside: Array) -> None:
        self._inside = inside
        self.linalg = _PaddedAlgebra(inside)

    def __getattr__(self, name: str) -> Any:
        return getattr(jnp, name)

    def mean(self, x: Array, **how: Any) -> Array:
        return jnp.mean(x, where=self._inside, **how)

    def std(self, x: Array) -> Array:
        return jnp.std(x, where=self._inside)

    def max(self, x: Array, **how: Any) -> Array:
        return jnp.max(x, where=self._inside, initial=-jnp.inf, **how)

    def min(self, x: Array) -> Array:
        return jnp.min(x, where=self._inside, initial=jnp.inf)

    def numbered(self, columns: int) -> Array:
        """For each column of the matrix, how many of the tensor's own lie before it."""
        own = jnp.any(self._inside.reshape(-1, columns), axis=0)
        return jnp.cumsum(own) - own

    def quantile(self, x: Array, p: Array) -> Array:
        found = jnp.nanquantile(jnp.where(self._inside, x, jnp.nan), p)
        return jnp.where(jnp.any(self._inside & jnp.isnan(x)), jnp.nan, found)


class _PaddedAlgebra:
    """jax.numpy.linalg for a padded square matrix."""

    def __init__(self, inside: Array) -> None:
        self._inside = inside

    def __getattr__(self, name: str) -> Any:
        return getattr(jnp.linalg, name)

    def eigh(self, x: Array) -> Any:
        """The eigenvalues of padding are the smallest."""
        below = 2 * jnp.max(jnp.sum(jnp.abs(x), axis=1))
        padding = ~jnp.diagonal(self._inside)
        return jnp.linalg.eigh(x - jnp.diag(padding * jnp.where(below == 0, 1.0, below)))
