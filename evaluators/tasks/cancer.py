"""A deep classifier of the Wisconsin breast cancer set under label noise."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array

from .. import data
from ..task import Batch, Params
from .layers import Functions, initializer, minibatch, mlp, mlp_weights

FLIPPED = 0.2
ENTROPY = -(FLIPPED * math.log(FLIPPED) + (1 - FLIPPED) * math.log(1 - FLIPPED))


def cancer_mlp() -> Functions:
    """A 30-32-32-32-1 tanh network that sees each label flipped with probability 0.2.

    The clean set is nearly separable: its cross-entropy falls to zero, or explodes with one
    confident mistake. Flips drawn anew for every minibatch give the best prediction a finite
    logit. The score is the expected cross-entropy under the same flips less their entropy, that is
    the Kullback-Leibler divergence in nats: 0 for a perfect classifier.
    """
    train, validation = data.cancer()
    validation_x = jnp.asarray(validation.x)
    draw = minibatch(64, train.x, train.y)

    init = initializer(mlp_weights(30, 32, 32, 32, 1, gain=1.0))

    def cross_entropy(params: Params, x: Array, p: Array) -> Array:
        """x: [n, 30]; p: [n], the probability of class 1."""
        logits = mlp(params, x, jnp.tanh)[:, 0]
        return jnp.mean(jax.nn.softplus(logits) - p * logits)

    def batch(key: Array) -> Batch:
        key_rows, key_flips = jax.random.split(key)
        x, y = draw(key_rows)
        flipped = jax.random.bernoulli(key_flips, FLIPPED, y.shape)
        return x, jnp.where(flipped, 1 - y, y).astype(jnp.float32)

    def loss(params: Params, batch: Batch) -> Array:
        return cross_entropy(params, *batch)

    def score(params: Params) -> Array:
        p = jnp.where(validation.y == 1, 1 - FLIPPED, FLIPPED)
        return cross_entropy(params, validation_x, p) - ENTROPY

    return init, batch, loss, score
