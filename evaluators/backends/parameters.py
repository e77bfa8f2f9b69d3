"""Converts a model's parameters between one vector and the task's pytree of tensors."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array


class Parameters:
    """The shapes of a model's parameters.

    Args:
      example: the parameters of the model, or their shapes and dtypes.
    """

    def __init__(self, example: Any) -> None:
        self._like, self._tree = jax.tree.flatten(example)
        self._sizes = [math.prod(x.shape) for x in self._like]

    def flat(self, params: Any) -> Array:
        """Parameters as vectors (…, N); the tensors may have leading axes."""
        parts = [
            x.reshape(*x.shape[: x.ndim - len(like.shape)], size)
            for x, like, size in zip(jax.tree.leaves(params), self._like, self._sizes, strict=True)
        ]
        return jnp.concatenate(parts, axis=-1)

    def starts(self) -> tuple[Array, ...]:
        """The offset of each tensor in the vector, an argument of `tensors`."""
        return tuple(map(jnp.int32, accumulate([0, *self._sizes[:-1]])))

    def tensors(self, w: Array, starts: tuple[Array, ...]) -> Any:
        """The pytree of parameters in vectors (…, N), with the same leading axes.

        Offsets are arguments, not constants, of the compiled function: so XLA compiles the slicing
        once for all tensors of a shape, instead of once for each tensor.
        """
        leaves = [
            lax.dynamic_slice_in_dim(w, start, size, axis=-1)
            .reshape(*w.shape[:-1], *like.shape)
            .astype(like.dtype)
            for start, size, like in zip(starts, self._sizes, self._like, strict=True)
        ]
        return jax.tree.unflatten(self._tree, leaves)
