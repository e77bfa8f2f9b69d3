"""The members of a task: workers, clients or examples, each with minibatches of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

Array = jax.Array

# Of a task that does not say.
USUAL = 4


@dataclass(frozen=True)
class Members:
    """M members of a task, as pure JAX functions.

    Attributes:
      count: M.
      batch: key, problem, member -> its minibatch; the key is the same for all members.
      shares: problem -> (M,), which add up to 1: the members' parts of all data.
      arrived: key, problem, t -> (M,), 1 for each member who arrives in step t, else 0. The key is
        that of the run, so that whoever is to arrive for several steps folds in their number.
      mixing: (M, M), by rows: with what weights a member takes up what all hold.
    """

    count: int
    batch: Callable[[Array, Any, Array], Any]
    shares: Callable[[Any], Array]
    arrived: Callable[[Array, Any, Array], Array]
    mixing: Array


def members(
    batch: Callable[[Array, Any, Array], Any],
    count: int = USUAL,
    *,
    shares: Callable[[Any], Array] | None = None,
    arrived: Callable[[Array, Any, Array], Array] | None = None,
    mixing: Any = None,
) -> Members:
    """Members who have equal shares, always arrive and mix in a ring, unless it is said."""
    return Members(
        count,
        batch,
        shares or (lambda problem: jnp.full(count, 1 / count)),
        arrived or (lambda key, problem, t: jnp.ones(count)),
        ring(count) if mixing is None else jnp.asarray(mixing, jnp.float32),
    )


def workers(batch: Callable[[Array, Any], Any], count: int = USUAL) -> Members:
    """Members who draw minibatches from the same data, each with keys of its own."""
    return members(lambda key, problem, i: batch(jax.random.fold_in(key, i), problem), count)


def examples(batch: Callable[[Array, Any], Any], count: int) -> Members:
    """The examples of a minibatch as members, for rules that act on each example's gradient.

    Args:
      batch: of the task; all its arrays have these examples along their first axis, and the loss is
        the mean of those of single examples.
      count: of examples.
    """

    def one(key: Array, problem: Any, i: Array) -> Any:
        whole = batch(key, problem)
        return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, i, 1), whole)

    return members(one, count)


def ring(count: int) -> Array:
    """Each member takes a third of itself and of its two neighbours (Metropolis weights)."""
    one = jnp.eye(count, dtype=jnp.float32)
    if count < 3:
        return jnp.full((count, count), 1 / count, jnp.float32)
    return (one + jnp.roll(one, 1, 0) + jnp.roll(one, -1, 0)) / 3
