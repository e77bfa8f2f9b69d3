"""Products of matrices: the loss is quartic or worse, and the origin is a saddle."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax

from .. import data
from ..task import Batch, Params, Problem
from .draws import log_uniform
from .layers import Functions, Normal, initializer


def cancer_completion() -> Functions:
    """Fills in the gaps of a table, as recommenders do (Koren et al. 2009).

    The table is 128 patients by the 30 features of the breast cancer set; the model a product of
    rank 4 with an offset for each patient and feature. The problem is which patients, and which
    seven tenths of the entries are seen; the score is the squared error on the others, 1 for
    predicting the mean. A minibatch is a random half of the entries that are seen.
    """
    patients, features, rank = 128, 30, 4
    table = jnp.asarray(data.cancer().train.x)

    def draw(key: Array) -> Problem:
        key_numbers, key_seen = jax.random.split(key)
        u = jax.random.uniform(key_numbers, (2,))
        return {
            "first": (u[0] * (len(table) - patients)).astype(jnp.int32),
            "seen": jax.random.uniform(key_seen, (patients, features)) < 0.7,
            "init_scale": log_uniform(u[1], 0.5, 2),
        }

    def values(problem: Problem) -> Array:
        return lax.dynamic_slice(table, (problem["first"], 0), (patients, features))

    def batch(key: Array, problem: Problem) -> Batch:
        half = jax.random.bernoulli(key, 0.5, (patients, features))
        return values(problem), (problem["seen"] & half).astype(jnp.float32)

    def loss(params: Params, batch: Batch) -> Array:
        entries, chosen = batch
        predicted = params["patients"] @ params["features"].T
        predicted += params["patient_offset"][:, None] + params["feature_offset"]
        return jnp.sum(chosen * (predicted - entries) ** 2) / patients

    def score(params: Params, problem: Problem) -> Array:
        unseen = 1.0 - problem["seen"]
        return loss(params, (values(problem), unseen)) * patients / jnp.sum(unseen)

    init = initializer(
        {
            "patients": Normal((patients, rank), 0.3),
            "features": Normal((features, rank), 0.3),
            "patient_offset": jnp.zeros(patients, jnp.float32),
            "feature_offset": jnp.zeros(features, jnp.float32),
        }
    )
    return Functions(draw, init, batch, loss, score)


def deep_linear() -> Functions:
    """Three 16x16 matrices learn the product of three others (Saxe et al. 2014).

    The loss is flat about the origin, and singular values are learned one after the other: the
    product of Gaussian matrices has them from large to tiny. The problem is the product, the noise
    of the labels, and the scale of the initial weights.
    """
    width, depth, batch_size = 16, 3, 32

    def draw(key: Array) -> Problem:
        key_numbers, key_matrices = jax.random.split(key)
        u = jax.random.uniform(key_numbers, (2,))
        first, second, third = jax.random.normal(key_matrices, (depth, width, width))
        product = first @ second @ third
        return {
            "target": jnp.sqrt(width) * product / jnp.linalg.norm(product),
            "noise": log_uniform(u[0], 0.05, 0.3),
            "init_scale": log_uniform(u[1], 0.7, 1.4),
        }

    def batch(key: Array, problem: Problem) -> Batch:
        drawn = jax.random.normal(key, (2, batch_size, width), jnp.float32)
        return drawn[0], drawn[0] @ problem["target"] + problem["noise"] * drawn[1]

    def loss(params: Params, batch: Batch) -> Array:
        x, y = batch
        for matrix in params:
            x = x @ matrix
        return jnp.mean(jnp.sum((x - y) ** 2, axis=1))

    def score(params: Params, problem: Problem) -> Array:
        """Squared distance of the products, relative to the target's size: 1 at the origin."""
        first, second, third = params
        difference = first @ second @ third - problem["target"]
        return jnp.sum(difference**2) / jnp.sum(problem["target"] ** 2)

    init = initializer([Normal((width, width), 0.15) for _ in range(depth)])
    return Functions(draw, init, batch, loss, score)
