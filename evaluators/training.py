"""Training a task with a rule, for a grid of learning rates and several seeds at once.

One loop serves both paths. The machine takes a program as data, so one compiled function trains
with every rule; the fused path compiles each program into its own function, which pays where a
run takes longer than its compilation, and which confirms what the machine reports. The two share
nothing between the program and the loop but the table of primitives.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree

from ..dsl import machine
from ..dsl.arrays import Leaves
from ..dsl.bytecode import assemble
from ..dsl.fused import bind_jax
from ..dsl.program import LEARNING_RATE, Program
from ..dsl.shapes import Kind
from .task import Task

Array = jax.Array

# Minibatches of a training run that fit are drawn before it, once for all rules; larger ones are
# drawn inside the loop from their keys, which gives the same minibatches.
MOST_BYTES_OF_MINIBATCHES = 2**28

# On a CPU most of the machine's compilation goes into LLVM passes that gain nothing measurable
# here: 10.8 s with them, 3.7 s without, at the same speed (digits_mlp, two cores).
_CPU_OPTIONS = {"xla_llvm_disable_expensive_passes": True}


class Stepper(NamedTuple):
    """A rule as the training loop sees it; R replicates, N weights.

    init: w (R, N) -> carry. step: (carry, w, g (R, N), loss (R,), t) -> (carry, w).
    eval_w: (carry, w) -> where to evaluate, (R, N).
    """

    init: Callable[[Array], Any]
    step: Callable[[Any, Array, Array, Array, Array], tuple[Any, Array]]
    eval_w: Callable[[Any, Array], Array]


@dataclass(frozen=True)
class TrainingResult:
    """What S seeds × L learning rates gave.

    Attributes:
      score: validation loss at the end, shape (S, L); inf where the run diverged.
      diverged: shape (S, L): whether a minibatch loss, the final weights or the score were not
        finite. A run is never scored through non-finite weights, whatever the task says.
      steps: how many steps were taken before all replicates had diverged, or all of them.
    """

    score: np.ndarray
    diverged: np.ndarray
    steps: int


class Trainer:
    """Trains one task with any rule.

    Everything that does not depend on the rule is compiled apart and once: drawing initial weights
    and minibatches (JAX's random numbers are slow to compile), and the final score.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        # The key is irrelevant: only shapes are used.
        params = jax.eval_shape(task.init, jax.random.key(0))
        shapes = tuple(tuple(leaf.shape) for leaf in jax.tree.leaves(params))
        self._layout = machine.Layout(shapes)
        _, self._unravel = ravel_pytree(jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), params))
        self._draw = jax.jit(self._drawn)
        self._finish = jax.jit(self._finished)
        # The full machine compiles only when a program needs it.
        self._machines = {
            full: _jit(partial(self._machine_loop, machine.Layout(shapes, full)))
            for full in (False, True)
        }
        self._draws: dict[tuple[int, ...], Any] = {}
        self._lock = threading.Lock()

    def with_machine(
        self,
        program: Program,
        learning_rates: Sequence[float],
        seeds: Sequence[int],
        *,
        steps: int | None = None,
    ) -> TrainingResult:
        """Trains with a program handed to the machine as data.

        Compiles once for each number of learning rates; seeds are trained one after the other.

        Args:
          program: the rule; its `lr` takes the values of `learning_rates`.
          learning_rates: the grid.
          seeds: of initial weights and minibatches.
          steps: of training; the task's own number unless given.

        Raises:
          TooLarge: when the program does not fit the machine.
        """
        bytecode = assemble(program)
        loop = partial(self._machines[bytecode.full], bytecode.arrays())
        runs = [self._run(loop, learning_rates, [seed], steps) for seed in seeds]
        return TrainingResult(
            np.concatenate([run.score for run in runs]),
            np.concatenate([run.diverged for run in runs]),
            max(run.steps for run in runs),
        )

    def fused(
        self,
        program: Program,
        learning_rates: Sequence[float],
        seeds: Sequence[int],
        *,
        steps: int | None = None,
    ) -> TrainingResult:
        """Trains with a program compiled into the training loop, as `with_machine` does.

        Compiles at every call, which pays where training takes longer than that.
        """
        loop = _jit(
            lambda start, rates, total: self._loop(
                self._fused_stepper(program, rates, total), start, rates, total
            )
        )
        return self._run(loop, learning_rates, seeds, steps)

    def _run(
        self,
        loop: Callable[..., Any],
        learning_rates: Sequence[float],
        seeds: Sequence[int],
        steps: int | None,
    ) -> TrainingResult:
        total = jnp.asarray(self.task.steps if steps is None else steps, jnp.int32)
        rates = jnp.tile(jnp.asarray(learning_rates, jnp.float32), len(seeds))
        w, at, alive, taken = loop(self._start(tuple(seeds)), rates, total)
        score, diverged = jax.device_get(self._finish(w, at, alive))
        shape = (len(seeds), len(learning_rates))
        return TrainingResult(
            np.asarray(score, np.float64).reshape(shape), diverged.reshape(shape), int(taken)
        )

    def _start(self, seeds: tuple[int, ...]) -> Any:
        """Initial weights and all minibatches of some seeds, drawn once."""
        with self._lock:
            if seeds not in self._draws:
                self._draws[seeds] = self._draw(jnp.stack([jax.random.key(s) for s in seeds]))
            return self._draws[seeds]

    def _drawn(self, keys: Array) -> Any:
        """Initial weights (S, N), and minibatches (S, steps, …) or, if too large, their keys."""
        split = jax.vmap(jax.random.split)(keys)
        w = jax.vmap(lambda k: ravel_pytree(self.task.init(k))[0])(split[:, 0])

        def keys_of(key: Array) -> Array:
            return jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(1, self.task.steps + 1))

        step_keys = jax.vmap(keys_of)(split[:, 1])
        one = jax.eval_shape(self.task.batch, keys[0])
        size = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(one))
        if size * step_keys.size > MOST_BYTES_OF_MINIBATCHES:
            return w, {"keys": step_keys}
        return w, {"batches": lax.map(partial(lax.map, self.task.batch), step_keys)}

    def _finished(self, w: Array, at: Array, alive: Array) -> tuple[Array, Array]:
        """Scores (R,), and which replicates diverged. Only finite weights are scored."""
        score = jax.vmap(lambda x: self.task.score(self._unravel(x)))(at)
        alive &= jnp.all(jnp.isfinite(w), axis=1) & jnp.all(jnp.isfinite(at), axis=1)
        alive &= jnp.isfinite(score)
        return jnp.where(alive, score, jnp.inf), ~alive

    # --- the loop ---

    def _machine_loop(
        self, layout: machine.Layout, tables: Any, start: Any, rates: Array, total: Array
    ) -> Any:
        stepper = self._machine_stepper(layout, tables, rates, total)
        return self._loop(stepper, start, rates, total)

    def _loop(self, stepper: Stepper, start: Any, rates: Array, total: Array) -> Any:
        """Trains R = S × L replicates; see `_drawn` for `start`."""
        w, drawn = start
        seeds = w.shape[0]
        w = jnp.repeat(w, rates.shape[0] // seeds, axis=0)

        def of_seed(w: Array, drawn: Any) -> tuple[Array, Array]:
            # All learning rates of a seed see the same minibatches.
            batch = drawn["batches"] if "batches" in drawn else self.task.batch(drawn["keys"])

            def loss(w: Array) -> Array:
                return self.task.loss(self._unravel(w), batch)

            return jax.vmap(jax.value_and_grad(loss))(w)

        def body(carry: tuple[Any, ...]) -> tuple[Any, ...]:
            t, rule, w, alive = carry
            now = jax.tree.map(lambda x: x[:, t - 1], drawn)
            loss, g = jax.vmap(of_seed)(w.reshape(seeds, -1, w.shape[1]), now)
            loss, g = loss.reshape(-1), g.reshape(w.shape)
            rule, w = stepper.step(rule, w, g, loss, t)
            return t + 1, rule, w, alive & jnp.isfinite(loss)

        def unfinished(carry: tuple[Any, ...]) -> Array:
            t, _, _, alive = carry
            return (t <= total) & jnp.any(alive)

        first = (jnp.asarray(1, jnp.int32), stepper.init(w), w, jnp.ones(w.shape[0], bool))
        t, rule, w, alive = lax.while_loop(unfinished, body, first)
        return w, stepper.eval_w(rule, w), alive, t - 1

    # --- the two ways to step ---

    def _machine_stepper(
        self, layout: machine.Layout, tables: Any, rates: Array, total: Array
    ) -> Stepper:
        return Stepper(
            init=lambda w: machine.init(tables, layout, w, rates, total),
            step=lambda banks, w, g, loss, t: machine.step(tables, banks, layout, w, g, loss, t),
            eval_w=lambda banks, w: machine.evaluation_point(tables, banks, w),
        )

    def _fused_stepper(self, program: Program, rates: Array, total: Array) -> Stepper:
        parts = self._layout.pieces(Kind.TENSOR)
        rule = bind_jax(program)
        tunes = LEARNING_RATE in program.defaults

        def split(w: Array) -> Leaves:
            return Leaves(w[part].reshape(shape) for part, shape in parts)

        def join(leaves: Leaves) -> Array:
            return jnp.concatenate([jnp.ravel(x) for x in leaves])

        def init(w: Array) -> Any:
            return {"rule": rule.init(split(w)), "eval_w": w}

        def step(
            carry: Any, w: Array, g: Array, loss: Array, t: Array, rate: Array
        ) -> tuple[Any, Array]:
            new_w, state, eval_w = rule.step(
                split(w),
                split(g),
                carry["rule"],
                t=t,
                T=total,
                loss=loss,
                hyper={LEARNING_RATE: rate} if tunes else None,
            )
            return {"rule": state, "eval_w": join(eval_w)}, join(new_w)

        return Stepper(
            init=jax.vmap(init),
            step=lambda carry, w, g, loss, t: jax.vmap(step, in_axes=(0, 0, 0, 0, None, 0))(
                carry, w, g, loss, t, rates
            ),
            eval_w=lambda carry, w: carry["eval_w"],
        )


def _jit(function: Callable[..., Any]) -> Any:
    cpu = jax.default_backend() == "cpu"
    return jax.jit(function, compiler_options=_CPU_OPTIONS if cpu else None)
