"""The problems of a task for programs of members: each replicate is M rows, one for each member."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from ...dsl.inputs import INPUTS
from ..members import Members
from ..task import Task, members_of
from .problems import Drawn, Problems

Array = jax.Array


class MemberProblems(Problems):
    """As `Problems`, where R stands for rows: S seeds × L learning rates × M members.

    A seed's minibatches have an axis of members after that of steps. A replicate is evaluated at
    the mean of its members' points.

    Attributes:
      of: the members.
    """

    def __init__(self, task: Task) -> None:
        self.of: Members = members_of(task)
        self.members = self.of.count
        super().__init__(task)

    def given(self, drawn: Drawn, t: Array, rows: int) -> dict[str, Array]:
        """What members are given in a step, by input, (R,); can be traced."""

        def of_seed(key: Array, problem: Any) -> dict[str, Array]:
            own = jax.random.fold_in(key, zlib.crc32(b"arrived"))
            return {
                "share": self.of.shares(problem),
                "arrived": self.of.arrived(own, problem, t),
            }

        each = jax.vmap(of_seed)(drawn.keys, drawn.problems)
        return {name: self._by_row(x.astype(drawn.w.dtype), rows) for name, x in each.items()}

    def noise(self, drawn: Drawn, t: Array, replicates: int) -> dict[str, Callable[[], Array]]:
        found = super().noise(drawn, t, replicates)

        def draw(name: str, sampler: Callable[..., Array]) -> Array:
            def of_seed(key: Array) -> Array:
                own = jax.random.fold_in(key, zlib.crc32(name.encode()))
                shape = (self.members, drawn.w.shape[1])
                return sampler(jax.random.fold_in(own, t), shape, drawn.w.dtype)

            return self._by_row(jax.vmap(of_seed)(drawn.keys), replicates)

        return found | {
            name: partial(draw, name, getattr(jax.random, row.noise.sampler))
            for name, row in INPUTS.items()
            if row.noise is not None and row.own
        }

    def _by_row(self, x: Array, rows: int) -> Array:
        """What each seed has of its members, (S, M, …), for all its learning rates, (R, …)."""
        repeated = jnp.repeat(x[:, None], rows // (len(x) * self.members), axis=1)
        return repeated.reshape(rows, *x.shape[2:])

    def _minibatch(self, key: Array, problem: Any) -> Any:
        return jax.vmap(lambda i: self.of.batch(key, problem, i))(jnp.arange(self.members))

    def _of_seed(self, params: Any, batch: Any) -> tuple[Array, Any]:
        by_member = jax.tree.map(lambda x: x.reshape(-1, self.members, *x.shape[1:]), params)
        own = jax.vmap(jax.value_and_grad(self.task.loss))
        found = jax.vmap(lambda x: own(x, batch))(by_member)
        joined: tuple[Array, Any] = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), found)
        return joined

    def _scored(self, drawn: Drawn, w: Array, eval_w: Array, alive: Array) -> tuple[Array, Array]:
        every = jnp.all(jnp.isfinite(w), axis=1).reshape(-1, self.members)
        point = eval_w.reshape(-1, self.members, w.shape[1]).mean(1)
        return super()._scored(drawn, point, point, alive & jnp.all(every, axis=1))
