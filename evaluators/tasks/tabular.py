"""Tables of patients: breast cancer (classes) and diabetes (a number).

A problem is a part of the training patients, the scale of every feature and of the initial weights,
and the noise of the labels.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from .. import data
from ..task import Batch, Params, Problem
from .draws import data_draw, flipped, log_uniform, minibatch
from .layers import Functions, dense, dense_weights, initializer, mlp, mlp_weights

LEVELS = (0.1, 0.5, 0.9)  # of the quantiles to predict


def cancer_logistic() -> Functions:
    """Logistic regression on 30 features and all their products: convex and ill-conditioned."""
    return _noisy_classifier(
        data.cancer_products(),
        dense_weights(495, 1),
        lambda params, x: dense(params, x)[:, 0],
        batch_size=32,
    )


def cancer_mlp(wider: int = 1) -> Functions:
    """A 30-32-32-32-1 tanh network."""
    return _noisy_classifier(
        data.cancer(),
        mlp_weights(30, 32, 32, 32, 1, gain=1.0, wider=wider),
        lambda params, x: mlp(params, x, jnp.tanh)[:, 0],
        batch_size=64,
    )


def _noisy_classifier(
    split: data.Split,
    model: Params,
    logits: Callable[[Params, Array], Array],
    batch_size: int,
) -> Functions:
    """Two classes, with labels flipped independently in every minibatch.

    The clean set is nearly separable: its cross-entropy falls to zero, or explodes with one
    confident mistake. Flips give the best prediction a finite logit. The score is the expected
    cross-entropy under the same flips less their entropy, that is the Kullback-Leibler divergence
    in nats: 0 for a perfect classifier.
    """
    train, validation = split
    rows = minibatch(batch_size, train.x, train.y)

    def cross_entropy(params: Params, x: Array, p: Array) -> Array:
        """x: [n, features]; p: [n], the probability of class 1."""
        z = logits(params, x)
        return jnp.mean(jax.nn.softplus(z) - p * z)

    def batch(key: Array, problem: Problem) -> Batch:
        key_rows, key_flips = jax.random.split(key)
        x, y = rows(key_rows, problem)
        y = flipped(key_flips, y, 2, problem["flips"])
        return problem["gain"] * x, y.astype(jnp.float32)

    def loss(params: Params, batch: Batch) -> Array:
        return cross_entropy(params, *batch)

    def score(params: Params, problem: Problem) -> Array:
        q = problem["flips"]
        entropy = -(q * jnp.log(q) + (1 - q) * jnp.log(1 - q))
        p = jnp.where(validation.y == 1, 1 - q, q)
        divergence = cross_entropy(params, problem["gain"] * validation.x, p) - entropy
        return jnp.maximum(divergence, 0)  # rounding may make it negative

    draw = _scaled_draw(train, flips=0.25)
    return Functions(draw, initializer(model), batch, loss, score)


def diabetes_quantiles(wider: int = 1) -> Functions:
    """A 10-32-32-3 network predicts three quantiles of the progression of diabetes.

    The pinball loss (Koenker & Bassett 1978) has gradients of constant size up to the optimum, so
    that constant steps do not converge. The target's unit is part of the problem; the
    score is in units of its deviation.
    """
    train, validation = data.diabetes()
    rows = minibatch(32, train.x, train.y)
    levels = jnp.asarray(LEVELS, jnp.float32)
    draw_scaled = _scaled_draw(train)

    def draw(key: Array) -> Problem:
        key_scaled, key_unit = jax.random.split(key)
        unit = log_uniform(jax.random.uniform(key_unit), 0.3, 3)
        return draw_scaled(key_scaled) | {"unit": unit}

    def batch(key: Array, problem: Problem) -> Batch:
        x, y = rows(key, problem)
        return problem["gain"] * x, problem["unit"] * y

    def loss(params: Params, batch: Batch) -> Array:
        x, y = batch
        error = y[:, None] - mlp(params, x, jax.nn.relu)
        return jnp.mean(jnp.maximum(levels * error, (levels - 1) * error))

    def score(params: Params, problem: Problem) -> Array:
        x, y = problem["gain"] * validation.x, problem["unit"] * validation.y
        return loss(params, (x, y)) / problem["unit"]

    init = initializer(mlp_weights(10, 32, 32, len(LEVELS), gain=2.0, wider=wider))
    return Functions(draw, init, batch, loss, score)


def _scaled_draw(train: data.Labelled, flips: float = 0.0) -> Callable[[Array], Problem]:
    """As `data_draw`, with a scale for each feature, so that no step size suits all.

    The scales have a root mean square of about 1 and, for two thirds of the features, a tenfold
    range.
    """
    draw_common = data_draw(len(train.x), flips=flips)

    def draw(key: Array) -> Problem:
        key_common, key_scales = jax.random.split(key)
        problem = draw_common(key_common)
        scales = 0.3 * 10 ** (0.5 * jax.random.normal(key_scales, train.x.shape[1:]))
        return problem | {"gain": problem["gain"] * scales}

    return draw
