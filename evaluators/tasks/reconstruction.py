"""Learning to reproduce images: two autoencoders, a picture as a function, and two denoisers.

The digits' problem is a part of the training images; the photographs', a region of the temple,
eight tenths of it in each direction. Validation is on images that no problem trains on.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .. import data
from ..task import Batch, Params, Problem
from .draws import data_draw, log_uniform, minibatch
from .layers import (
    Functions,
    Normal,
    conv,
    conv_weights,
    dense,
    dense_weights,
    initializer,
    mlp,
    mlp_weights,
    norm,
    norm_weights,
)

REGION = 0.8  # of the photograph's height and width
DEVIATION = 0.25  # about that of the photographs' pixels in 0..1
VALIDATION = (12, 16)  # patches of the flower, down and across


def digits_autoencoder(wider: int = 1) -> Functions:
    """A 64-96-8-96-64 tanh autoencoder of digits: a deep network with a narrow middle.

    The pixels are centred and scaled as a whole, so that predicting the mean image costs about 0.6
    and predicting zero 1, whatever gain the problem puts on them.
    """
    train, validation = data.digits()
    mean, deviation = train.x.mean(), train.x.std()
    train_x, validation_x = (train.x - mean) / deviation, (validation.x - mean) / deviation
    rows = minibatch(64, train_x)

    def batch(key: Array, problem: Problem) -> Batch:
        (x,) = rows(key, problem)
        return problem["gain"] * x

    def loss(params: Params, batch: Batch) -> Array:
        return jnp.mean((mlp(params, batch, jnp.tanh) - batch) ** 2)

    def score(params: Params, problem: Problem) -> Array:
        return loss(params, problem["gain"] * validation_x) / problem["gain"] ** 2

    init = initializer(mlp_weights(64, 96, 8, 96, 64, gain=1.0, wider=wider))
    return Functions(data_draw(len(train_x)), init, batch, loss, score)


def photo_autoencoder(wider: int = 1) -> Functions:
    """A 75-48-10-48-75 ReLU autoencoder of noisy 5x5 colour patches, on the absolute error.

    The input has noise that the output must not have (Vincent et al. 2008). The error's gradient
    does not shrink as the error does. The score is relative to the mean size of the pixels.
    """
    size, noise = 5, 0.2
    draw, patches, flower = _photographs(size)
    flower = flower.reshape(len(flower), -1)
    drawn = np.random.default_rng(0).normal(size=flower.shape)
    validation = (flower + noise * jnp.asarray(drawn, jnp.float32), flower)

    def batch(key: Array, problem: Problem) -> Batch:
        key_patches, key_noise = jax.random.split(key)
        clean = patches(key_patches, problem, 32).reshape(32, -1)
        return clean + noise * jax.random.normal(key_noise, clean.shape, jnp.float32), clean

    def loss(params: Params, batch: Batch) -> Array:
        noisy, clean = batch
        return jnp.mean(jnp.abs(mlp(params, noisy, jax.nn.relu) - clean))

    def score(params: Params, problem: Problem) -> Array:
        return loss(params, validation) / jnp.mean(jnp.abs(flower))

    init = initializer(mlp_weights(75, 48, 10, 48, 75, gain=2.0, wider=wider))
    return Functions(draw, init, batch, loss, score)


def photo_siren(wider: int = 1) -> Functions:
    """A 2-48-48-3 network with sines (Sitzmann et al. 2020) is a picture: place -> colour.

    A problem is a 48x48 piece of the photograph; every other pixel, as on a chessboard, is trained
    on, and the rest are the validation. The score is the squared error relative to the piece's
    variance.
    """
    side, width, batch_size, frequency = 48, 48, 192, 12.0
    temple = jnp.asarray(data.photos()[0])
    height, breadth, _ = temple.shape
    rows, columns = np.divmod(np.arange(side * side), side)
    places = jnp.asarray(np.stack([rows, columns], 1) / (side / 2) - 1, jnp.float32)
    seen = jnp.asarray(np.flatnonzero((rows + columns) % 2 == 0))
    unseen = jnp.asarray(np.flatnonzero((rows + columns) % 2))

    def draw(key: Array) -> Problem:
        u = jax.random.uniform(key, (3,))
        # From the lower half: the upper one holds pieces that are all sky.
        top = height / 2 + u[0] * (height / 2 - side)
        corner = (top.astype(jnp.int32), (u[1] * (breadth - side)).astype(jnp.int32), 0)
        piece = lax.dynamic_slice(temple, corner, (side, side, 3)).reshape(-1, 3) / 255.0
        return {
            "pixels": (piece - jnp.mean(piece, axis=0)) / jnp.std(piece),
            "init_scale": log_uniform(u[2], 0.8, 1.25),
        }

    def batch(key: Array, problem: Problem) -> Batch:
        chosen = seen[jax.random.randint(key, (batch_size,), 0, len(seen))]
        return places[chosen], problem["pixels"][chosen]

    def loss(params: Params, batch: Batch) -> Array:
        place, colour = batch
        return jnp.mean((mlp(params, frequency * place, jnp.sin) - colour) ** 2)

    def score(params: Params, problem: Problem) -> Array:
        colours = problem["pixels"][unseen]
        return loss(params, (places[unseen], colours)) / jnp.mean(colours**2)

    # Sines carry the signal on at its size when their arguments have a variance of about 2.
    init = initializer(mlp_weights(2, width, width, 3, gain=4.0, wider=wider))
    return Functions(draw, init, batch, loss, score)


def photo_denoiser(wider: int = 1) -> Functions:
    """Three 3x3 convolutions, 3-24-24-3, predict the noise in a patch (Zhang et al. 2017).

    The problem is also how strong the noise is. Predicting it in units of its deviation makes the
    squared error that of the cleaned patch, relative to the noisy patch's: 1 for doing nothing.
    """
    size, width, margin = 14, 24 * wider, 3  # the convolutions leave the middle 8x8
    draw_region, patches, flower = _photographs(size)
    fixed = jnp.asarray(np.random.default_rng(0).normal(size=flower.shape), jnp.float32)

    def draw(key: Array) -> Problem:
        key_region, key_noise = jax.random.split(key)
        noise = log_uniform(jax.random.uniform(key_noise), 0.25, 0.6)
        return draw_region(key_region) | {"noise": noise}

    def pair(clean: Array, noise: Array, problem: Problem) -> Batch:
        """Noisy patches [n, size, size, 3] and the noise in their middles, [n, 8, 8, 3]."""
        return clean + problem["noise"] * noise, noise[:, margin:-margin, margin:-margin]

    def batch(key: Array, problem: Problem) -> Batch:
        key_patches, key_noise = jax.random.split(key)
        clean = patches(key_patches, problem, 16)
        return pair(clean, jax.random.normal(key_noise, clean.shape, jnp.float32), problem)

    def loss(params: Params, batch: Batch) -> Array:
        noisy, noise = batch
        h = jax.nn.relu(conv(params["conv1"], noisy))
        h = jax.nn.relu(conv(params["conv2"], h))
        return jnp.mean((conv(params["conv3"], h) - noise) ** 2)

    def score(params: Params, problem: Problem) -> Array:
        return loss(params, pair(flower, fixed, problem))

    init = initializer(
        {
            "conv1": conv_weights(3, width, gain=2.0),
            "conv2": conv_weights(width, width, gain=2.0),
            "conv3": conv_weights(width, 3),
        }
    )
    return Functions(draw, init, batch, loss, score)


def digits_diffusion(wider: int = 1) -> Functions:
    """A residual network of width 128 learns to undo diffusion of digits (Ho et al. 2020).

    At a level of noise between none and only, it predicts the mixture's other component
    (Salimans & Ho 2022, their v), a target of unit size at every level.
    """
    width, batch_size, waves = 128 * wider, 64, 8
    train, validation = data.digits()
    mean, deviation = train.x.mean(), train.x.std()
    train_x, validation_x = (train.x - mean) / deviation, (validation.x - mean) / deviation
    rows = minibatch(batch_size, train_x)
    rng = np.random.default_rng(0)
    fixed_noise = jnp.asarray(rng.normal(size=validation_x.shape), jnp.float32)
    fixed_level = jnp.asarray(rng.permutation(len(validation_x)) / len(validation_x), jnp.float32)

    def mixture(x: Array | np.ndarray, noise: Array, level: Array) -> Batch:
        """Noisy images [n, 64], waves of the level [n, 2 * waves], and targets [n, 64]."""
        angle = 0.5 * math.pi * level[:, None]
        waved = angle * jnp.arange(1, waves + 1)
        seen = jnp.cos(angle) * x + jnp.sin(angle) * noise
        target = jnp.cos(angle) * noise - jnp.sin(angle) * x
        return seen, jnp.concatenate([jnp.cos(waved), jnp.sin(waved)], axis=1), target

    def batch(key: Array, problem: Problem) -> Batch:
        key_rows, key_noise, key_level = jax.random.split(key, 3)
        (x,) = rows(key_rows, problem)
        noise = jax.random.normal(key_noise, x.shape, jnp.float32)
        return mixture(x, noise, jax.random.uniform(key_level, (batch_size,)))

    def loss(params: Params, batch: Batch) -> Array:
        seen, level, target = batch
        h = dense(params["in"], jnp.concatenate([seen, level], axis=1))
        for part in params["blocks"]:
            hidden = jax.nn.silu(dense(part["up"], norm(part["norm"], h)) + level @ part["level"])
            h = h + dense(part["down"], hidden)
        return jnp.mean((dense(params["out"], norm(params["norm"], h)) - target) ** 2)

    def score(params: Params, problem: Problem) -> Array:
        return loss(params, mixture(validation_x, fixed_noise, fixed_level))

    def residual() -> Params:
        return {
            "norm": norm_weights(width),
            "up": dense_weights(width, width, gain=2.0),
            "level": Normal((2 * waves, width), 0.1),
            "down": dense_weights(width, width),
        }

    model = {
        "in": dense_weights(64 + 2 * waves, width),
        "blocks": [residual() for _ in range(3)],
        "norm": norm_weights(width),
        "out": dense_weights(width, 64),
    }
    return Functions(data_draw(len(train_x)), initializer(model), batch, loss, score)


def _photographs(size: int) -> tuple[Callable, Callable, Array]:
    """The draw of a region, patches of it, and patches of the flower for validation.

    Returns:
      draw: key -> problem. patches: (key, problem, n) -> [n, size, size, 3]. flower: [192, size,
      size, 3]. Pixels are centred and scaled to about unit deviation.
    """
    temple, flower = data.photos()
    photo = jnp.asarray(temple)
    height, breadth = (int(REGION * side) - size for side in temple.shape[:2])

    def normal(pixels: Array) -> Array:
        return ((pixels / 255 - 0.5) / DEVIATION).astype(jnp.float32)

    def draw(key: Array) -> Problem:
        u = jax.random.uniform(key, (3,))
        spare = jnp.array([(1 - REGION) * side for side in temple.shape[:2]])
        return {
            "corner": (u[:2] * spare).astype(jnp.int32),
            "init_scale": log_uniform(u[2], 0.7, 1.4),
        }

    def patches(key: Array, problem: Problem, n: int) -> Array:
        key_top, key_left = jax.random.split(key)
        top = problem["corner"][0] + jax.random.randint(key_top, (n, 1, 1), 0, height)
        left = problem["corner"][1] + jax.random.randint(key_left, (n, 1, 1), 0, breadth)
        return normal(photo[top + jnp.arange(size)[:, None], left + jnp.arange(size)])

    return draw, patches, normal(jnp.asarray(data.patches(flower, *VALIDATION, size)))
