"""Four classifiers of scikit-learn's 8x8 handwritten digits.

A problem is a part of the training images, their scale, the scale of the initial weights, and how
many labels are wrong. The validation images have the same scale and the right labels.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from .. import data
from ..task import Batch, Params, Problem
from .draws import data_draw, flipped, minibatch
from .layers import (
    Functions,
    Normal,
    block,
    block_weights,
    conv,
    conv_weights,
    cross_entropy,
    dense,
    dense_weights,
    initializer,
    mlp,
    mlp_weights,
    norm,
    norm_weights,
    padded_conv,
)

CLASSES = 10


def digits_mlp(wider: int = 1) -> Functions:
    """A 64-32-10 ReLU network: the cheapest training of a network on real data."""
    return classifier(
        mlp_weights(64, 32, CLASSES, gain=2.0, wider=wider),
        lambda params, x: mlp(params, x, jax.nn.relu),
        batch_size=64,
    )


def digits_conv(wider: int = 1) -> Functions:
    """Two 3x3 convolutions, 8x8x1 -> 6x6x8 -> 4x4x16, and a dense layer."""
    model = {
        "conv1": conv_weights(1, 8 * wider, gain=2.0),
        "conv2": conv_weights(8 * wider, 16 * wider, gain=2.0),
        "dense": dense_weights(4 * 4 * 16 * wider, CLASSES),
    }

    def logits(params: Params, x: Array) -> Array:
        h = jax.nn.relu(conv(params["conv1"], x.reshape(-1, 8, 8, 1)))
        h = jax.nn.relu(conv(params["conv2"], h))
        return dense(params["dense"], h.reshape(len(x), -1))

    return classifier(model, logits, batch_size=32)


def digits_vit(wider: int = 1) -> Functions:
    """A vision transformer (Dosovitskiy et al. 2021): 8 patches of 4x2, one block of width 16."""
    width = 16 * wider
    model = {
        "patch": dense_weights(8, width),
        "position": Normal((8, width), 0.5),
        "block": block_weights(width),
        "norm": norm_weights(width),
        "out": dense_weights(width, CLASSES),
    }

    def logits(params: Params, x: Array) -> Array:
        patches = x.reshape(-1, 2, 4, 4, 2).swapaxes(2, 3).reshape(-1, 8, 8)
        h = dense(params["patch"], patches) + params["position"]
        h = block(params["block"], h, heads=2 * wider, causal=False)
        return dense(params["out"], jnp.mean(norm(params["norm"], h), axis=1))

    return classifier(model, logits, batch_size=24)


def digits_resnet(wider: int = 1) -> Functions:
    """A pre-activation residual network (He et al. 2016) trained on the Brier score.

    Two residual blocks of two 3x3 convolutions on 6x6x8. The squared error of the probabilities is
    flat where the network is confidently wrong, as the cross-entropy never is.
    """
    width = 8 * wider

    def residual() -> Params:
        return {
            "norm1": norm_weights(width),
            "conv1": conv_weights(width, width, gain=2.0),
            "norm2": norm_weights(width),
            "conv2": conv_weights(width, width),
        }

    model = {
        "conv": conv_weights(1, width, gain=2.0),
        "blocks": [residual(), residual()],
        "norm": norm_weights(width),
        "out": dense_weights(9 * width, CLASSES),
    }

    def logits(params: Params, x: Array) -> Array:
        h = conv(params["conv"], x.reshape(-1, 8, 8, 1))
        for part in params["blocks"]:
            inner = padded_conv(part["conv1"], jax.nn.relu(norm(part["norm1"], h)))
            h = h + padded_conv(part["conv2"], jax.nn.relu(norm(part["norm2"], inner)))
        h = jax.nn.relu(norm(params["norm"], h))
        pooled = h.reshape(-1, 3, 2, 3, 2, width).mean((2, 4))
        return dense(params["out"], pooled.reshape(len(x), -1))

    def brier(logits: Array, labels: Array) -> Array:
        error = jax.nn.softmax(logits) - jax.nn.one_hot(labels, CLASSES, dtype=logits.dtype)
        return jnp.mean(jnp.sum(error**2, axis=-1))

    return classifier(model, logits, batch_size=32, measure=brier)


def classifier(
    model: Params,
    logits: Callable[[Params, Array], Array],
    batch_size: int,
    measure: Callable[[Array, Array], Array] = cross_entropy,
) -> Functions:
    """The family of problems that all of these share.

    Args:
      model: description of the weights.
      logits: (params, images [n, 64]) -> [n, 10].
      batch_size: examples in a minibatch.
      measure: (logits, labels [n]) -> loss; also the score.
    """
    train, validation = data.digits()
    examples = minibatch(batch_size, train.x, train.y)

    def batch(key: Array, problem: Problem) -> Batch:
        key_rows, key_flips = jax.random.split(key)
        x, y = examples(key_rows, problem)
        return problem["gain"] * x, flipped(key_flips, y, CLASSES, problem["flips"])

    def loss(params: Params, batch: Batch) -> Array:
        x, y = batch
        return measure(logits(params, x), y)

    def score(params: Params, problem: Problem) -> Array:
        return loss(params, (problem["gain"] * validation.x, validation.y))

    return Functions(data_draw(len(train.x), flips=0.1), initializer(model), batch, loss, score)
