"""The pieces the tasks' models share: initial weights, layers, losses, minibatches.

Parameters are plain dicts of float32 arrays, so that a rule meets the shapes it will meet outside:
vectors (biases, norms), matrices, and 4-D convolution kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Normal:
    """A tensor to draw from a centred normal distribution; a leaf of a model's description."""

    shape: tuple[int, ...]
    deviation: float


def weights(*shape: int, gain: float = 1.0) -> Normal:
    """Weights of variance gain / fan-in, the fan-in being all axes but the last.

    A gain of 2 before a ReLU is He et al. (2015), 1 otherwise LeCun et al. (1998).
    """
    return Normal(shape, math.sqrt(gain / math.prod(shape[:-1])))


def dense_weights(inputs: int, outputs: int, gain: float = 1.0) -> Params:
    """A matrix [inputs, outputs] and a zero bias [outputs]."""
    return {"w": weights(inputs, outputs, gain=gain), "b": jnp.zeros(outputs, jnp.float32)}


def conv_weights(inputs: int, outputs: int, gain: float = 1.0) -> Params:
    """A 3x3 kernel [3, 3, inputs, outputs] and a zero bias [outputs]."""
    return {"w": weights(3, 3, inputs, outputs, gain=gain), "b": jnp.zeros(outputs, jnp.float32)}


def mlp_weights(*sizes: int, gain: float) -> list[Params]:
    """One dense layer for each pair of neighbouring sizes; the last one has gain 1."""
    gains = [gain] * (len(sizes) - 2) + [1.0]
    return [dense_weights(*layer) for layer in zip(sizes[:-1], sizes[1:], gains, strict=True)]


def initializer(model: Params) -> Callable[[Array], Params]:
    """Returns key -> params: every `Normal` of the model drawn, every array as it is.

    One draw serves all tensors, because the generator is compiled anew for every shape drawn:
    a draw for each tensor makes the compilation of `init` two to four times as long.
    """
    leaves, structure = jax.tree.flatten(model)
    sizes = [math.prod(leaf.shape) if isinstance(leaf, Normal) else 0 for leaf in leaves]
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]

    def init(key: Array) -> Params:
        drawn = jax.random.normal(key, (sum(sizes),), jnp.float32)
        return jax.tree.unflatten(
            structure,
            [
                leaf.deviation * drawn[end - size : end].reshape(leaf.shape)
                if isinstance(leaf, Normal)
                else leaf
                for leaf, size, end in zip(leaves, sizes, ends, strict=True)
            ],
        )

    return init


def dense(params: Params, x: Array) -> Array:
    """[..., inputs] -> [..., outputs]."""
    return x @ params["w"] + params["b"]


def conv(params: Params, x: Array) -> Array:
    """A 3x3 convolution without padding: [n, h, w, inputs] -> [n, h-2, w-2, outputs].

    Shifted views side by side, first across and then down, and one matrix product: on a CPU XLA's
    own convolution takes several times as long to train.
    """
    _, height, width, _ = x.shape
    x = jnp.concatenate([x[:, :, j : width - 2 + j] for j in range(3)], axis=-1)
    x = jnp.concatenate([x[:, i : height - 2 + i] for i in range(3)], axis=-1)
    return x @ params["w"].reshape(-1, params["w"].shape[-1]) + params["b"]


def mlp(params: list[Params], x: Array, activation: Callable[[Array], Array]) -> Array:
    """Dense layers with the activation between them: [n, inputs] -> [n, outputs]."""
    for layer in params[:-1]:
        x = activation(dense(layer, x))
    return dense(params[-1], x)


def cross_entropy(logits: Array, labels: Array) -> Array:
    """Mean cross-entropy in nats of logits [..., classes] against labels [...]."""
    # A product with a one-hot matrix: its gradient needs no scatter.
    chosen = jnp.sum(logits * jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype), axis=-1)
    return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - chosen)


def minibatch(size: int, *arrays: np.ndarray) -> Callable[[Array], tuple[Array, ...]]:
    """Returns key -> the same `size` rows, drawn with replacement, of every array."""
    data = tuple(jnp.asarray(array) for array in arrays)

    def batch(key: Array) -> tuple[Array, ...]:
        rows = jax.random.randint(key, (size,), 0, len(data[0]))
        return tuple(array[rows] for array in data)

    return batch
