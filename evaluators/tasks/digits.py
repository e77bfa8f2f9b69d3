"""Three models of scikit-learn's 8x8 handwritten digits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from .. import data
from ..task import Batch, Params
from .layers import (
    Functions,
    conv,
    conv_weights,
    cross_entropy,
    dense,
    dense_weights,
    initializer,
    minibatch,
    mlp,
    mlp_weights,
)


def digits_mlp() -> Functions:
    """A 64-32-10 ReLU network: the cheapest real training there is."""
    train, validation = data.digits()

    init = initializer(mlp_weights(64, 32, 10, gain=2.0))

    def loss(params: Params, batch: Batch) -> Array:
        x, y = batch
        return cross_entropy(mlp(params, x, jax.nn.relu), y)

    def score(params: Params) -> Array:
        return loss(params, (validation.x, validation.y))

    return init, minibatch(64, train.x, train.y), loss, score


def digits_conv() -> Functions:
    """Two 3x3 convolutions, 8x8x1 -> 6x6x8 -> 4x4x16, and a dense layer."""
    train, validation = data.digits()

    init = initializer(
        {
            "conv1": conv_weights(1, 8, gain=2.0),
            "conv2": conv_weights(8, 16, gain=2.0),
            "dense": dense_weights(4 * 4 * 16, 10),
        }
    )

    def loss(params: Params, batch: Batch) -> Array:
        x, y = batch
        h = jax.nn.relu(conv(params["conv1"], x.reshape(-1, 8, 8, 1)))
        h = jax.nn.relu(conv(params["conv2"], h))
        return cross_entropy(dense(params["dense"], h.reshape(len(x), -1)), y)

    def score(params: Params) -> Array:
        return loss(params, (validation.x, validation.y))

    return init, minibatch(32, train.x, train.y), loss, score


def digits_autoencoder() -> Functions:
    """A 64-96-8-96-64 tanh autoencoder: a deep network and a loss that is not a classifier's.

    The pixels are centred and scaled as a whole, so that predicting the mean image costs about 0.6
    and predicting zero 1.
    """
    train, validation = data.digits()
    mean, deviation = train.x.mean(), train.x.std()
    train_x, validation_x = (train.x - mean) / deviation, (validation.x - mean) / deviation

    init = initializer(mlp_weights(64, 96, 8, 96, 64, gain=1.0))

    def loss(params: Params, batch: Batch) -> Array:
        (x,) = batch
        return jnp.mean((mlp(params, x, jnp.tanh) - x) ** 2)

    def score(params: Params) -> Array:
        return loss(params, (validation_x,))

    return init, minibatch(64, train_x), loss, score
