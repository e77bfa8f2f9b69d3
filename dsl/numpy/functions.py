"""What primitives do to NumPy arrays whose last axis holds weights, after any leading axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from ..kinds import Kind
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
