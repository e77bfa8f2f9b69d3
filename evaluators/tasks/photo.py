"""A convolutional denoiser of photographs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import data
from ..task import Batch, Params
from .layers import Functions, conv, conv_weights, initializer

SIZE = 14  # pixels a side of the noisy patch; three unpadded convolutions leave the middle 8x8
CHANNELS = 24
BATCH = 32
NOISE = 0.1  # standard deviation, of pixels in 0..1
VALIDATION = (12, 16)  # patches down and across


def photo_denoiser() -> Functions:
    """Three 3x3 convolutions, 3-24-24-3, predict the noise in a patch (Zhang et al. 2017).

    Trains on the temple and validates on the flower, with noise fixed once for all. Predicting the
    noise in units of its deviation makes the squared error that of the cleaned patch, relative to
    the noisy patch's: 1 for doing nothing.
    """
    temple, flower = data.photos()
    photo = jnp.asarray(temple)
    height, width, _ = temple.shape
    margin = 3

    def pair(clean: Array, noise: Array) -> Batch:
        """Noisy patches [n, SIZE, SIZE, 3] and the noise in their middles, [n, 8, 8, 3]."""
        noisy = (clean / 255 - 0.5) + NOISE * noise
        middle = noise[:, margin:-margin, margin:-margin]
        return noisy.astype(jnp.float32) / 0.25, middle  # 0.25: about the pixels' deviation

    rng = np.random.default_rng(0)
    clean = data.patches(flower, *VALIDATION, SIZE)
    validation = pair(jnp.asarray(clean), jnp.asarray(rng.normal(size=clean.shape), jnp.float32))

    init = initializer(
        {
            "conv1": conv_weights(3, CHANNELS, gain=2.0),
            "conv2": conv_weights(CHANNELS, CHANNELS, gain=2.0),
            "conv3": conv_weights(CHANNELS, 3),
        }
    )

    def batch(key: Array) -> Batch:
        key_top, key_left, key_noise = jax.random.split(key, 3)
        top = jax.random.randint(key_top, (BATCH, 1, 1), 0, height - SIZE + 1)
        left = jax.random.randint(key_left, (BATCH, 1, 1), 0, width - SIZE + 1)
        clean = photo[top + jnp.arange(SIZE)[:, None], left + jnp.arange(SIZE)]
        return pair(clean, jax.random.normal(key_noise, clean.shape, jnp.float32))

    def loss(params: Params, batch: Batch) -> Array:
        noisy, noise = batch
        h = jax.nn.relu(conv(params["conv1"], noisy))
        h = jax.nn.relu(conv(params["conv2"], h))
        return jnp.mean((conv(params["conv3"], h) - noise) ** 2)

    def score(params: Params) -> Array:
        return loss(params, validation)

    return init, batch, loss, score
