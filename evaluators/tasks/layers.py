"""The pieces the tasks' models share: initial weights, layers, losses, minibatches.

Parameters are plain dicts of float32 arrays, so that a rule meets the shapes it will meet outside:
vectors (biases, norms), matrices, and 4-D convolution kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..task import Batch, Params

Functions = tuple[
    Callable[[Array], Params],  # init
    Callable[[Array], Batch],  # batch
    Callable[[Params, Batch], Array],  # loss
    Callable[[Params], Array],  # score
]


def initial_weights(key: Array, shape: tuple[int, ...], gain: float = 1.0) -> Array:
    """Normal weights of variance gain / fan-in, the fan-in being all axes but the last.

    A gain of 2 before a ReLU is He et al. (2015), 1 otherwise LeCun et al. (1998).
    """
    return jax.random.normal(key, shape) * math.sqrt(gain / math.prod(shape[:-1]))


def initial_dense(key: Array, inputs: int, outputs: int, gain: float = 1.0) -> Params:
    """A matrix [inputs, outputs] and a zero bias [outputs]."""
    return {"w": initial_weights(key, (inputs, outputs), gain), "b": jnp.zeros(outputs)}


def initial_conv(key: Array, inputs: int, outputs: int, gain: float = 1.0) -> Params:
    """A 3x3 kernel [3, 3, inputs, outputs] and a zero bias [outputs]."""
    return {"w": initial_weights(key, (3, 3, inputs, outputs), gain), "b": jnp.zeros(outputs)}


def dense(params: Params, x: Array) -> Array:
    """[..., inputs] -> [..., outputs]."""
    return x @ params["w"] + params["b"]


def conv(params: Params, x: Array) -> Array:
    """A 3x3 convolution without padding: [n, h, w, inputs] -> [n, h-2, w-2, outputs].

    Nine shifted views and one matrix product: XLA's own convolution is several times slower on a
    CPU once the kernels differ over a vmapped axis.
    """
    _, height, width, _ = x.shape
    shifts = [x[:, i : height - 2 + i, j : width - 2 + j] for i in range(3) for j in range(3)]
    kernel = params["w"].reshape(-1, params["w"].shape[-1])
    return jnp.concatenate(shifts, axis=-1) @ kernel + params["b"]


def mlp(params: list[Params], x: Array, activation: Callable[[Array], Array]) -> Array:
    """Dense layers with the activation between them: [n, inputs] -> [n, outputs]."""
    for layer in params[:-1]:
        x = activation(dense(layer, x))
    return dense(params[-1], x)


def initial_mlp(key: Array, sizes: tuple[int, ...], gain: float) -> list[Params]:
    """One dense layer for each pair of neighbouring sizes; the last one has gain 1."""
    last = len(sizes) - 2
    keys = jax.random.split(key, last + 1)
    return [
        initial_dense(keys[i], sizes[i], sizes[i + 1], gain if i < last else 1.0)
        for i in range(last + 1)
    ]


def cross_entropy(logits: Array, labels: Array) -> Array:
    """Mean cross-entropy in nats of logits [..., classes] against labels [...]."""
    # The product with a one-hot matrix spares the CPU a scatter in the backward pass.
    chosen = jnp.sum(logits * jax.nn.one_hot(labels, logits.shape[-1]), axis=-1)
    return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - chosen)


def minibatch(size: int, *arrays: np.ndarray) -> Callable[[Array], tuple[Array, ...]]:
    """Returns key -> the same `size` rows, drawn with replacement, of every array."""
    data = tuple(jnp.asarray(array) for array in arrays)

    def batch(key: Array) -> tuple[Array, ...]:
        rows = jax.random.randint(key, (size,), 0, len(data[0]))
        return tuple(array[rows] for array in data)

    return batch
