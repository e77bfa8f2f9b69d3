"""A model's parameters as one vector, and as the tree of tensors that its task knows."""

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
        """Parameters whose tensors have further axes in front, as vectors (…, N)."""
        parts = [
            x.reshape(*x.shape[: x.ndim - len(like.shape)], size)
            for x, like, size in zip(jax.tree.leaves(params), self._like, self._sizes, strict=True)
        ]
        return jnp.concatenate(parts, axis=-1)

    def starts(self) -> tuple[Array, ...]:
        """Where each tensor begins in the vector, to hand to `tensors`."""
        return tuple(map(jnp.int32, accumulate([0, *self._sizes[:-1]])))

    def tensors(self, w: Array, starts: tuple[Array, ...]) -> Any:
        """The parameters in vectors (…, N); the axes in front are those of each tensor too.

        Where they begin is an argument of the compiled function: XLA compiles code that reads from
        a place it does not know once for all tensors of a shape, and code that reads from a known
        place once for each.
        """
        leaves = [
            lax.dynamic_slice_in_dim(w, start, size, axis=-1)
            .reshape(*w.shape[:-1], *like.shape)
            .astype(like.dtype)
            for start, size, like in zip(starts, self._sizes, self._like, strict=True)
        ]
        return jax.tree.unflatten(self._tree, leaves)
