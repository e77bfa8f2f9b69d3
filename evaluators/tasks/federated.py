"""Two tasks for rules of members: clients with unlike data, and examples as members.

Rules that are of no members are trained on minibatches of all the data together.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import data
from ..members import examples, members
from ..task import Batch, Params, Problem
from .draws import log_uniform
from .layers import Functions, cross_entropy, dense, dense_weights, initializer, mlp, mlp_weights
from .vision import CLASSES, classifier

CLIENTS, BATCH = 6, 16
# For so many steps the same clients arrive.
ROUND = 5


def digits_federated(wider: int = 1) -> Functions:
    """A 64-16-10 ReLU network learns the digits of six clients, each of whom has seen but a few.

    Each client has classes with probabilities of its own (a softmax of normal numbers), and a part
    of all data. The score is the cross-entropy on validation images weighted as all clients
    together have their classes. A client arrives in a round of 5 steps with a probability of its
    own, from 0.3 to 1.
    """
    train, validation = data.digits()
    model = mlp_weights(64, 16, CLASSES, gain=2.0, wider=wider)
    by_class = jnp.asarray(train.x[np.argsort(train.y, kind="stable")])
    counts = np.bincount(train.y, minlength=CLASSES)
    firsts = jnp.asarray(np.cumsum(counts) - counts)
    sizes = jnp.asarray(counts, jnp.float32)
    frequencies = np.bincount(validation.y, minlength=CLASSES) / len(validation.y)
    seldom = jnp.asarray(1 / frequencies, jnp.float32)

    def draw(key: Array) -> Problem:
        key_classes, key_shares, key_others = jax.random.split(key, 3)
        u = jax.random.uniform(key_others, (2 + CLIENTS,))
        spread = 1.5 * jax.random.normal(key_classes, (CLIENTS, CLASSES))
        return {
            "classes": jax.nn.softmax(spread),
            "shares": jax.nn.softmax(0.7 * jax.random.normal(key_shares, (CLIENTS,))),
            "arrives": 0.3 + 0.7 * u[2:],
            "init_scale": log_uniform(u[0], 0.7, 1.4),
            "gain": log_uniform(u[1], 0.5, 2.0),
        }

    def rows(key: Array, classes: Array, problem: Problem, size: int) -> Batch:
        """Images of classes of these probabilities, (size, 10)."""
        key_class, key_row = jax.random.split(key)
        y = jax.random.categorical(key_class, jnp.log(classes), shape=(size,))
        place = jax.random.uniform(key_row, (size,)) * sizes[y]
        return problem["gain"] * by_class[firsts[y] + place.astype(jnp.int32)], y

    def batch(key: Array, problem: Problem) -> Batch:
        return rows(key, problem["shares"] @ problem["classes"], problem, CLIENTS * BATCH)

    def of_client(key: Array, problem: Problem, i: Array) -> Batch:
        return rows(jax.random.fold_in(key, i), problem["classes"][i], problem, BATCH)

    def arrived(key: Array, problem: Problem, t: Array) -> Array:
        u = jax.random.uniform(jax.random.fold_in(key, (t - 1) // ROUND), (CLIENTS,))
        return (u < problem["arrives"]).astype(jnp.float32)

    def logits(params: Params, x: Array) -> Array:
        return mlp(params, x, jax.nn.relu)

    def loss(params: Params, batch: Batch) -> Array:
        x, y = batch
        return cross_entropy(logits(params, x), y)

    def score(params: Params, problem: Problem) -> Array:
        each = jax.nn.log_softmax(logits(params, problem["gain"] * validation.x))
        chosen = jnp.take_along_axis(each, jnp.asarray(validation.y)[:, None], axis=1)[:, 0]
        weights = (problem["shares"] @ problem["classes"] * seldom)[validation.y]
        return -jnp.sum(weights * chosen) / jnp.sum(weights)

    of = members(of_client, CLIENTS, shares=lambda problem: problem["shares"], arrived=arrived)
    return Functions(draw, initializer(model), batch, loss, score, members=of)


def digits_private() -> Functions:
    """Softmax regression on the digits, of whose minibatch each of 32 examples is a member."""
    size = 32
    found = classifier(dense_weights(64, CLASSES), dense, batch_size=size)
    return found._replace(members=examples(found.batch, size))
