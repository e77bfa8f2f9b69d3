"""The problems of a task, drawn and compiled once for all rules and backends.

JAX's random numbers are slow to compile, so everything independent of the rule is compiled
separately: drawing problems, initial weights and minibatches, and the score.
"""

from __future__ import annotations

import math
import threading
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from ...dsl.inputs import INPUTS, LABELS
from ...dsl.machine.layout import Layout
from ..labels import labels_of
from ..task import Task
from .parameters import Parameters

Array = jax.Array

# Up to this size, all minibatches of a run are drawn before it, once for all rules. Beyond, each is
# drawn inside the loop from its key, which gives the same minibatches.
MOST_BYTES_OF_MINIBATCHES = 2**28

# The number of draws that are cached, least recently used first out.
MOST_DRAWS = 8


class Drawn(NamedTuple):
    """The problems of S seeds.

    Attributes:
      w: initial weights, (S, N).
      minibatches: "batches", whose leaves are (S, steps, …), or if they are too large their
        "keys", (S, steps).
      problems: leaves are (S, …).
      starts: the offset of each tensor in w.
      keys: of each seed, (S,).
    """

    w: Array
    minibatches: dict[str, Any]
    problems: Any
    starts: tuple[Array, ...]
    keys: Array


class Problems:
    """A task, ready to be trained.

    Attributes:
      task: the task. layout: of its N weights, for one replicate.
      labels: by input, the label that each tensor of the layout has; the default, where the task
        gives none.
      members: how many rows a replicate has.
    """

    members = 1

    def __init__(self, task: Task) -> None:
        """Compiles nothing yet."""
        self.task = task
        # The key is irrelevant: only shapes are used.
        key = jax.random.key(0)
        params = jax.eval_shape(task.init, key, jax.eval_shape(task.draw, key))
        # Empty leaves are hidden from rules: there is nothing to train, and their mean is NaN.
        shapes = (tuple(leaf.shape) for leaf in jax.tree.leaves(params) if leaf.size)
        self.layout = Layout(tuple(shapes))
        self._parameters = Parameters(params)
        given = labels_of(task.labels, params)
        usual = {name: float(INPUTS[name].default or 0) for name in LABELS}
        self.labels = {
            name: given.get(name, (label,) * len(self.layout.shapes))
            for name, label in usual.items()
        }
        self._draw = jax.jit(self._drawn)
        self._score = jax.jit(self._scored)
        self._draws: dict[tuple[int, ...], Drawn] = {}
        self._lock = threading.Lock()

    def draw(self, seeds: tuple[int, ...]) -> Drawn:
        """The problems of some seeds; cached."""
        with self._lock:
            drawn = self._draws.pop(seeds, None)
            if drawn is None:
                drawn = self._draw(jnp.stack([jax.random.key(s) for s in seeds]))
                while len(self._draws) >= MOST_DRAWS:
                    del self._draws[next(iter(self._draws))]
            self._draws[seeds] = drawn  # most recently used last
            return drawn

    def losses(self, drawn: Drawn, w: Array, t: Array) -> tuple[Array, Array]:
        """Minibatch losses (R,) at step t and their gradients (R, N); can be traced.

        Args:
          drawn: of S seeds.
          w: weights of R = S × L replicates, (R, N). All L of a seed see the same minibatch.
          t: from 1.
        """
        now = jax.tree.map(lambda x: x[:, t - 1], drawn.minibatches)

        def of_seed(params: Any, now: Any, problem: Any) -> tuple[Array, Any]:
            batch = now["batches"] if "batches" in now else self._minibatch(now["keys"], problem)
            return self._of_seed(params, batch)

        params = self._by_seed(drawn, w)
        loss, gradients = jax.vmap(of_seed)(params, now, drawn.problems)
        return loss.reshape(-1), self._parameters.flat(gradients).reshape(w.shape)

    def oracles(self, drawn: Drawn, w: Array, t: Array) -> dict[str, Callable[[Array], Array]]:
        """What rules may ask about the minibatches of step t, by name; can be traced.

        Each function takes weights or directions (R, N), and nothing is computed until it is
        called. `grad` and `loss_at` answer for other weights, `hvp` for the Hessian at w.

        Args: as `losses`.
        """

        def gradient(x: Array) -> Array:
            return self.losses(drawn, x, t)[1]

        return {
            "grad": gradient,
            "loss_at": lambda x: self.losses(drawn, x, t)[0],
            "hvp": lambda v: jax.jvp(gradient, (w,), (v,))[1],
        }

    def noise(self, drawn: Drawn, t: Array, replicates: int) -> dict[str, Callable[[], Array]]:
        """What draws the noise of step t, shape (R, N), by input; can be traced.

        Drawn from the seed, the step and the input's name, and the same for all replicates of a
        seed, so that learning rates are compared on equal noise.

        Args:
          drawn: of S seeds. t: from 1. replicates: R = S × L.
        """

        def draw(name: str, sampler: Callable[..., Array]) -> Array:
            def of_seed(key: Array) -> Array:
                own = jax.random.fold_in(key, zlib.crc32(name.encode()))
                return sampler(jax.random.fold_in(own, t), drawn.w.shape[1:], drawn.w.dtype)

            each = jax.vmap(of_seed)(drawn.keys)
            return jnp.repeat(each, replicates // len(each), axis=0)

        return {
            name: partial(draw, name, getattr(jax.random, row.noise.sampler))
            for name, row in INPUTS.items()
            if row.noise is not None and not row.own
        }

    def given(self, drawn: Drawn, t: Array, rows: int) -> dict[str, Array]:
        """What only members are given; nothing here."""
        return {}

    def score(self, drawn: Drawn, w: Array, eval_w: Array, alive: Array) -> tuple[Array, Array]:
        """Validation losses (R,), and which replicates diverged; only finite weights are scored.

        Args:
          drawn: of S seeds.
          w: weights of R replicates, (R, N). eval_w: where to evaluate, (R, N).
          alive: which replicates had only finite losses, (R,).
        """
        scores: tuple[Array, Array] = self._score(drawn, w, eval_w, alive)
        return scores

    def _minibatch(self, key: Array, problem: Any) -> Any:
        return self.task.batch(key, problem)

    def _of_seed(self, params: Any, batch: Any) -> tuple[Array, Any]:
        """Losses (L,) and gradients of the replicates of a seed, whose minibatch is this."""
        return jax.vmap(jax.value_and_grad(lambda x: self.task.loss(x, batch)))(params)

    def _by_seed(self, drawn: Drawn, w: Array) -> Any:
        """The parameters in weights (S × L, N); the leaves are (S, L, …)."""
        return self._parameters.tensors(w.reshape(len(drawn.w), -1, w.shape[1]), drawn.starts)

    def _drawn(self, keys: Array) -> Drawn:
        """Draws problem, weights and minibatches of each seed, each from its own subkey."""
        draws, inits, firsts = jnp.moveaxis(jax.vmap(partial(jax.random.split, num=3))(keys), 1, 0)
        problems = jax.vmap(self.task.draw)(draws)
        w = self._parameters.flat(jax.vmap(self.task.init)(inits, problems))
        starts = self._parameters.starts()

        def keys_of(key: Array) -> Array:
            return jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(1, self.task.steps + 1))

        def batches_of(seed: tuple[Array, Any]) -> Any:
            step_keys, problem = seed
            return lax.map(lambda key: self._minibatch(key, problem), step_keys)

        step_keys = jax.vmap(keys_of)(firsts)
        one = jax.eval_shape(batches_of, (step_keys[0, :1], jax.tree.map(lambda x: x[0], problems)))
        size = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(one))
        if size * step_keys.size > MOST_BYTES_OF_MINIBATCHES:
            return Drawn(w, {"keys": step_keys}, problems, starts, keys)
        batches = lax.map(batches_of, (step_keys, problems))
        return Drawn(w, {"batches": batches}, problems, starts, keys)

    def _scored(self, drawn: Drawn, w: Array, eval_w: Array, alive: Array) -> tuple[Array, Array]:
        def scores_of_seed(params: Any, problem: Any) -> Array:
            return jax.vmap(lambda x: self.task.score(x, problem))(params)

        score = jax.vmap(scores_of_seed)(self._by_seed(drawn, eval_w), drawn.problems).ravel()
        alive &= jnp.all(jnp.isfinite(w), axis=1) & jnp.all(jnp.isfinite(eval_w), axis=1)
        alive &= jnp.isfinite(score)
        return jnp.where(alive, score, jnp.inf), ~alive
