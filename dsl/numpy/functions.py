"""What primitives do to NumPy arrays whose last axis holds weights, after any leading axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import accumulate
from typing import Any

import numpy as np

from ..kinds import Kind, shape_of
from ..primitive import Primitive, Scope
from ..primitives import PRIMITIVES

Array = np.ndarray[Any, Any]
Function = Callable[..., Any]

# Their third positional argument is deprecated; all others take their output there.
_NAMED_OUTPUT = ("maximum", "minimum")


@cache
def elementwise(name: str) -> Function:
    """An elementwise primitive as a function of arrays."""
    own, define = _numpys_own(name), PRIMITIVES[name].define
    # NumPy's conditions are booleans.
    if own is not None and "dd->?" not in own.types:
        return own
    assert define is not None
    return lambda *args: define(np, *args)


@cache
def filling(name: str) -> Function:
    """The same as a function of arrays and, last, the array that gets its value."""
    own = _numpys_own(name)
    if own is None:
        return assigning(elementwise(name))
    if name in _NAMED_OUTPUT:
        return lambda *args: own(*args[:-1], out=args[-1])
    return own


def assigning(function: Function) -> Function:
    """A function that assigns its value to its last argument."""

    def assign(*args: Array) -> None:
        args[-1][...] = function(*args[:-1])

    return assign


def _numpys_own(name: str) -> np.ufunc | None:
    """NumPy's function of this name, if it does the same; its `invert` is of bits."""
    found = None if name == "invert" else getattr(np, name, None)
    return found if isinstance(found, np.ufunc) else None


def combining(row: Primitive, mixing: Array | None) -> Function:
    """A primitive of scope MEMBERS, as a function that fills its last argument.

    Args:
      row: the primitive.
      mixing: the mixing matrix, if the primitive needs it. Arrays are (M, ..., N): what M members
        hold in any number of runs, a number of the model at every weight.
    """
    define, weigh = row.define, row.combination.weigh
    assert define is not None
    if weigh is None:
        return assigning(lambda x: define(np, x))

    def fill(x: Array, *more: Array) -> None:
        *further, out = more
        for run in np.ndindex(x.shape[1:-1]):
            every = x[(slice(None), *run)]
            for i, own in enumerate(every):
                given = [array[(i, *run, 0)] for array in further]
                weights = weigh(np, own, every, None if mixing is None else mixing[i], *given)
                out[(i, *run)] = define(np, every, weights)

    return fill


@dataclass(frozen=True, eq=False)
class Columns:
    """Which weights the last axis holds: those of one or more models, tensor by tensor.

    Attributes:
      tensors: the first column of each tensor. tensor_of: the tensor of each column.
      models: the first tensor of each model. model_of: the model of each column.
    """

    tensors: Array
    tensor_of: Array
    models: Array
    model_of: Array

    def reduction(self, row: Primitive, kinds: Sequence[Kind]) -> Function:
        """A primitive of tensors or of models as a function of arrays.

        Args:
          row: the primitive.
          kinds: of its arguments. A number of a tensor counts once in its model.
        """
        segments, define = self._tensors, row.define
        if row.scope is Scope.MODEL:
            once = all(kind is Kind.LAYER for kind in kinds)
            segments = self._models_of_numbers if once else self._models
        assert define is not None
        return lambda *args: define(segments, *[segments.whole(x) for x in args])

    @cached_property
    def _tensors(self) -> _Segments:
        return _Segments(self.tensors, self.tensor_of)

    @cached_property
    def _models(self) -> _Segments:
        return _Segments(self.tensors[self.models], self.model_of)

    @cached_property
    def _models_of_numbers(self) -> _Segments:
        return _Segments(self.models, self.model_of, self.tensors)


@cache
def columns(*models: tuple[int, ...]) -> Columns:
    """The columns of models, for each the sizes of its tensors; one without weights has none."""
    sizes = np.array([size for model in models for size in model], int)
    model_of = np.repeat(np.arange(len(models)), [len(model) for model in models])[sizes > 0]
    sizes = sizes[sizes > 0]
    tensor_of = np.repeat(np.arange(len(sizes)), sizes)
    firsts = np.flatnonzero(np.diff(model_of, prepend=-1))
    return Columns(np.cumsum(sizes) - sizes, tensor_of, firsts, model_of[tensor_of])


class _Segments:
    """NumPy as the definitions of reductions see it: each segment of the last axis by itself.

    Args:
      starts: where segments begin. segment_of: the segment of each column.
      picked: the columns that count, if not all do; `starts` counts these.
    """

    sqrt = staticmethod(np.sqrt)

    def __init__(self, starts: Array, segment_of: Array, picked: Array | None = None) -> None:
        self._starts, self._segment_of, self._picked = starts, segment_of, picked
        self._counts = np.diff(starts, append=len(segment_of) if picked is None else len(picked))

    def whole(self, x: Array) -> Array:
        """What is reduced of a value, which may be one number for all columns."""
        if x.shape[-1] != len(self._segment_of):
            x = np.broadcast_to(x, (*x.shape[:-1], len(self._segment_of)))
        return x if self._picked is None else x[..., self._picked]

    def _spread(self, x: Array) -> Array:
        return x[..., self._segment_of]

    def sum(self, x: Array) -> Array:
        return self._spread(np.add.reduceat(x, self._starts, -1))

    def mean(self, x: Array) -> Array:
        return self._spread(np.add.reduceat(x, self._starts, -1) / self._counts)

    def max(self, x: Array) -> Array:
        return self._spread(np.maximum.reduceat(x, self._starts, -1))

    def min(self, x: Array) -> Array:
        return self._spread(np.minimum.reduceat(x, self._starts, -1))

    def std(self, x: Array) -> Array:
        assert self._picked is None
        return np.sqrt(self.mean(np.square(x - self.mean(x))))


# Square matrices, which have another number of entries than their tensor.
GRAMS = frozenset({Kind.ROW_GRAM, Kind.COLUMN_GRAM})
# What has the shape of a matrix, whatever the number of axes of its tensor.
_MATRICES = GRAMS | {Kind.TRANSPOSED}
# What takes tensors as matrices.
_OF_MATRICES = frozenset(
    {"transpose", "matmul", "diagonal", "solve_lower", "lead", "orthonormal", "eigenvectors"}
)


@dataclass(frozen=True)
class Tensors:
    """The tensors of a model, side by side on the last axis of arrays, each with its true shape.

    A value of any kind but `GRAMS` is held at the size of the tensors, broadcast.
    """

    shapes: tuple[tuple[int, ...], ...]

    def width(self, kind: Kind) -> int:
        """How many numbers of a kind all tensors have together."""
        return _ends(self.shapes, kind)[-1]

    def calls(
        self, row: Primitive, args: Sequence[tuple[Array, Kind]], out: Array
    ) -> Iterator[tuple[Function, tuple[Array, ...]]]:
        """For each tensor a function, and what it takes, last what it fills, as views of arrays.

        Args:
          row: a primitive of scope PER_TENSOR.
          args: arrays and what they hold. out: what is filled.

        Raises:
          ProgramError: if the primitive does not take these kinds.
        """
        result = row.kind([kind for _, kind in args])
        as_matrix = row.name in _OF_MATRICES
        assert row.define is not None
        for index, shape in enumerate(self.shapes):
            own = shape_of(Kind.TRANSPOSED, shape)[::-1] if as_matrix else shape
            axes = 2 if args[0][1] in _MATRICES else len(own)
            function = partial(row.define, _OfRuns(axes))
            if result is Kind.LAYER:
                function, shown = partial(_with_an_axis, function), None
            else:
                shown = own
            views = [self._view(x, kind, index, own) for x, kind in args]
            yield assigning(function), (*views, self._view(out, result, index, shown))

    def spread(self, kind: Kind) -> Function:
        """Fills an array of a kind in `GRAMS` with numbers of tensors, or of the model."""
        sizes = np.diff(_ends(self.shapes, kind))
        source = np.repeat(np.array(_ends(self.shapes, Kind.TENSOR)[:-1], int), sizes)
        return lambda x, out: np.take(x, source, axis=-1, out=out, mode="clip")

    def _view(self, x: Array, kind: Kind, index: int, own: tuple[int, ...] | None) -> Array:
        """What an array holds of a tensor: as that shape, as one number if the kind is a scalar."""
        ends = _ends(self.shapes, kind)
        part = x[..., ends[index] : ends[index + 1]]
        if own is None:
            return part
        if kind in (Kind.SCALAR, Kind.LAYER):
            return part[..., 0]
        shape = shape_of(kind, self.shapes[index]) if kind in _MATRICES else own
        return part.reshape(*x.shape[:-1], *shape)


@cache
def _ends(shapes: tuple[tuple[int, ...], ...], kind: Kind) -> list[int]:
    """Where the numbers of each tensor end, after 0, where the first begin."""
    held = [shape_of(kind, shape) if kind in GRAMS else shape for shape in shapes]
    return [0, *accumulate(map(math.prod, held))]


def _with_an_axis(function: Function, *args: Array) -> Array:
    return np.asarray(function(*args))[..., None]


class _OfRuns:
    """NumPy as the definitions over tensors see it: before a tensor's axes are those of runs."""

    def __init__(self, axes: int) -> None:
        self.axes = axes

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def sum(self, x: Array, **how: Any) -> Array:
        """Over the tensor's axes unless told otherwise; so are the next four."""
        return np.asarray(np.sum(x, **self._over(how)))

    def mean(self, x: Array, **how: Any) -> Array:
        return np.asarray(np.mean(x, **self._over(how)))

    def max(self, x: Array, **how: Any) -> Array:
        return np.asarray(np.max(x, **self._over(how)))

    def min(self, x: Array, **how: Any) -> Array:
        return np.asarray(np.min(x, **self._over(how)))

    def std(self, x: Array, **how: Any) -> Array:
        return np.asarray(np.std(x, **self._over(how)))

    def _over(self, how: dict[str, Any]) -> dict[str, Any]:
        return {"axis": tuple(range(-self.axes, 0))} | how

    def quantile(self, x: Array, p: Array) -> Array:
        """Of each run, at a p of its own."""
        found = np.empty(p.shape, x.dtype)
        for run in np.ndindex(p.shape):
            found[run] = np.quantile(x[run], p[run])
        return found
