"""Building blocks of the tasks' models: initial weights, layers, losses.

Parameters are plain dicts of float32 arrays, with the shapes that rules meet in practice:
vectors (biases, norms), matrices, and 4-D convolution kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ..members import Members
from ..task import Batch, Params, Problem


class Functions(NamedTuple):
    """What a factory makes of a task; see `task.Task`."""

    draw: Callable[[Array], Problem]
    init: Callable[[Array, Problem], Params]
    batch: Callable[[Array, Problem], Batch]
    loss: Callable[[Params, Batch], Array]
    score: Callable[[Params, Problem], Array]
    labels: Mapping[str, Callable[[Params], Any]] = MappingProxyType({})
    members: Members | None = None


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


def norm_weights(width: int) -> Params:
    """Scale and bias of a layer normalisation."""
    return {"scale": jnp.ones(width, jnp.float32), "bias": jnp.zeros(width, jnp.float32)}


def mlp_weights(*sizes: int, gain: float, wider: int = 1) -> list[Params]:
    """One dense layer for each pair of neighbouring sizes; the last one has gain 1.

    All sizes but the first and the last are multiplied by `wider`.
    """
    first, *hidden, last = sizes
    sizes = (first, *(wider * size for size in hidden), last)
    gains = [gain] * (len(sizes) - 2) + [1.0]
    return [dense_weights(*layer) for layer in zip(sizes[:-1], sizes[1:], gains, strict=True)]


def initializer(model: Params) -> Callable[[Array, Problem], Params]:
    """Returns (key, problem) -> params: every `Normal` of the model drawn, every array as it is.

    What is drawn is multiplied by the problem's `init_scale`, where it has one. One draw serves all
    tensors, because the generator is compiled anew for every shape drawn: a draw for each tensor
    makes the compilation of `init` two to four times as long.
    """
    leaves, structure = jax.tree.flatten(model)
    sizes = [math.prod(leaf.shape) if isinstance(leaf, Normal) else 0 for leaf in leaves]
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]

    def init(key: Array, problem: Problem) -> Params:
        drawn = problem.get("init_scale", 1.0) * jax.random.normal(key, (sum(sizes),), jnp.float32)
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


def padded_conv(params: Params, x: Array) -> Array:
    """The same with a border of zeros: [n, h, w, inputs] -> [n, h, w, outputs]."""
    return conv(params, jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))))


def mlp(params: list[Params], x: Array, activation: Callable[[Array], Array]) -> Array:
    """Dense layers with the activation between them: [n, inputs] -> [n, outputs]."""
    for layer in params[:-1]:
        x = activation(dense(layer, x))
    return dense(params[-1], x)


def norm(params: Params, x: Array) -> Array:
    """Layer normalisation of the last axis."""
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    x = x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-5)
    return x * params["scale"] + params["bias"]


def block_weights(width: int) -> Params:
    """A pre-norm transformer block."""
    return {
        "norm1": norm_weights(width),
        "qkv": weights(width, 3 * width),
        "project": weights(width, width),
        "norm2": norm_weights(width),
        "up": dense_weights(width, 4 * width, gain=2.0),
        "down": dense_weights(4 * width, width),
    }


def block(params: Params, x: Array, heads: int, *, causal: bool) -> Array:
    """Attention, then a two-layer ReLU network, each added to what it reads: [n, length, width].

    ReLU in place of the usual GELU (Radford et al. 2019) because it is cheaper.
    """
    n, length, width = x.shape
    qkv = (norm(params["norm1"], x) @ params["qkv"]).reshape(n, length, 3, heads, -1)
    q, k, v = (qkv[:, :, i].swapaxes(1, 2) for i in range(3))  # [n, heads, length, width / heads]
    scores = q @ k.swapaxes(-1, -2) / math.sqrt(width / heads)
    if causal:
        scores = jnp.where(jnp.tril(jnp.ones((length, length), bool)), scores, -1e9)
    attended = jax.nn.softmax(scores, axis=-1) @ v
    x = x + attended.swapaxes(1, 2).reshape(n, length, width) @ params["project"]
    hidden = jax.nn.relu(dense(params["up"], norm(params["norm2"], x)))
    return x + dense(params["down"], hidden)


def cross_entropy(logits: Array, labels: Array) -> Array:
    """Mean cross-entropy in nats of logits [..., classes] against labels [...]."""
    # Relative to the largest logit: of logits so large that rounding swallows log(classes), the
    # plain difference is 0, and a rule that let weights explode once won by it.
    logs = jax.nn.log_softmax(logits, axis=-1)
    # A product with a one-hot matrix: its gradient needs no scatter.
    return -jnp.mean(
        jnp.sum(logs * jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype), axis=-1)
    )
