"""Training a task with a rule, for a grid of learning rates and several seeds at once.

One loop serves both paths. The machine takes a program as data, so one compiled function trains
with every rule; the fused path compiles each program into its own function, which pays where a
run takes longer than its compilation, and which confirms what the machine reports.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..dsl.machine import machine
from ..dsl.machine.bytecode import assemble
from ..dsl.machine.layout import Layout
from ..dsl.program import Program
from .compilation import jit
from .parameters import Parameters
from .schedules import multipliers
from .steppers import Stepper, fused_stepper, machine_stepper
from .task import Task

Array = jax.Array

# Minibatches of a training run that fit are drawn before it, once for all rules; larger ones are
# drawn inside the loop from their keys, which gives the same minibatches.
MOST_BYTES_OF_MINIBATCHES = 2**28

# Draws are kept for the seeds used last.
MOST_DRAWS = 8

# Schedules are computed for a multiple of so many steps, because each number compiles anew.
SCHEDULED = 128

# Whether to go on after a checkpoint: (seed, steps taken, scores (L,)) -> bool.
GoOn = Callable[[int, int, np.ndarray], bool]


@dataclass(frozen=True)
class TrainingResult:
    """What S seeds × L learning rates gave.

    Attributes:
      score: validation loss at the last checkpoint, shape (S, L); inf where the run diverged.
      diverged: shape (S, L): whether a minibatch loss, the final weights or the score were not
        finite. A run is never scored through non-finite weights, whatever the task says.
      steps: how many steps were taken: all, unless the run was stopped at a checkpoint or all
        replicates had diverged.
      curve: scores at C checkpoints, shape (S, L, C); inf from where a run had diverged.
      curve_steps: their steps, shape (C,).
    """

    score: np.ndarray
    diverged: np.ndarray
    steps: int
    curve: np.ndarray
    curve_steps: np.ndarray


class _Position(NamedTuple):
    """Where a training run is: the next step, the rule's carry, which replicates are finite."""

    t: Array
    carry: Any
    alive: Array


class _Loop(NamedTuple):
    """A compiled training loop.

    begin: (start, given) -> position. advance: (start, given, position, until) -> (position,
    weights (R, N), evaluation points (R, N)). What is given are the learning rates (R,) and what
    else the rule needs.
    """

    begin: Callable[[Any, Any], _Position]
    advance: Callable[[Any, Any, _Position, np.int32], tuple[_Position, Array, Array]]


class Trainer:
    """Trains one task with any rule.

    Everything that does not depend on the rule is compiled apart and once: drawing problems,
    initial weights and minibatches (JAX's random numbers are slow to compile), and the score.
    """

    def __init__(self, task: Task, progress: Callable[[], None] = lambda: None) -> None:
        """Compiles nothing yet.

        Args:
          task: to be trained. progress: called whenever a run has got to a checkpoint.
        """
        self.task = task
        self._progress = progress
        # The key is irrelevant: only shapes are used.
        key = jax.random.key(0)
        params = jax.eval_shape(task.init, key, jax.eval_shape(task.draw, key))
        # A leaf without numbers has nothing to train, and its mean is NaN: rules see the others.
        shapes = (tuple(leaf.shape) for leaf in jax.tree.leaves(params) if leaf.size)
        self._layout = Layout(tuple(shapes))
        self._parameters = Parameters(params)
        self._draw = jax.jit(self._drawn)
        self._finish = jax.jit(self._finished)
        # The full machine compiles only when a program needs it.
        self._machines = {full: self._machine(full) for full in (False, True)}
        self._draws: dict[tuple[int, ...], Any] = {}
        self._lock = threading.Lock()

    @property
    def weights(self) -> int:
        """N, the number of weights."""
        return self._layout.weights

    def with_machine(
        self,
        program: Program,
        learning_rates: Sequence[float],
        seeds: Sequence[int],
        *,
        steps: int | None = None,
        schedule: str = "constant",
        checkpoints: int = 1,
        go_on: GoOn = lambda seed, steps, scores: True,
        hyperparameters: Mapping[str, Sequence[float]] | None = None,
    ) -> TrainingResult:
        """Trains with a program handed to the machine as data.

        Compiles once for each number of learning rates; seeds are trained one after the other.

        Args:
          program: the rule; its `lr` takes the values of `learning_rates`.
          learning_rates: the grid.
          seeds: of the problem, its initial weights and minibatches.
          steps: of training; the task's own number unless given.
          schedule: what the learning rates are multiplied by at each step; see `schedules`.
          checkpoints: how many times to score, evenly spaced, the last at the end; at most once
            for each step.
          go_on: asked after each checkpoint but the last.
          hyperparameters: values of others than `lr`, one for each of `learning_rates`. They need
            no compilation either, but a little more of the machine's room.

        Raises:
          TooLarge: when the program does not fit the machine.
        """
        bytecode = assemble(program, bound_hyperparameters=hyperparameters is None)
        tables = bytecode.arrays()
        # Every replicate has constants of its own, equal or not: one compilation serves both.
        values = {**program.defaults, **(hyperparameters or {})}
        tables["constants"] = bytecode.constants_for(values, len(learning_rates))

        def given(rates: np.ndarray, total: np.int32) -> Any:
            count = SCHEDULED * math.ceil(total / SCHEDULED)
            by_step = multipliers(schedule, int(total), count)[:, None] * rates
            return rates, tables, machine.schedule(tables, by_step, total, steps=count)

        loop = self._machines[bytecode.full]
        runs = [
            self._run(loop, given, learning_rates, [seed], steps, checkpoints, partial(go_on, seed))
            for seed in seeds
        ]
        return _joined(runs)

    def fused(
        self,
        program: Program,
        learning_rates: Sequence[float],
        seeds: Sequence[int],
        *,
        steps: int | None = None,
        schedule: str = "constant",
        checkpoints: int = 1,
    ) -> TrainingResult:
        """Trains with a program compiled into the training loop, as `with_machine` does.

        Compiles at every call, which pays where training takes longer than that. Seeds are trained
        one after the other here too: all at once are no faster on a processor, and need the memory
        of all.
        """
        run = self.compiled(program)
        return run(learning_rates, seeds, steps=steps, schedule=schedule, checkpoints=checkpoints)

    def compiled(self, program: Program) -> Callable[..., TrainingResult]:
        """A function that takes the other arguments of `fused` and compiles at its first call."""
        loop = self._loop(
            lambda rates, by_step, total: fused_stepper(self._layout, program, by_step, total)
        )

        def run(
            learning_rates: Sequence[float],
            seeds: Sequence[int],
            *,
            steps: int | None = None,
            schedule: str = "constant",
            checkpoints: int = 1,
        ) -> TrainingResult:
            def given(rates: np.ndarray, total: np.int32) -> Any:
                return rates, multipliers(schedule, int(total), int(total))[:, None] * rates, total

            return _joined(
                [
                    self._run(
                        loop, given, learning_rates, [seed], steps, checkpoints, lambda *at: True
                    )
                    for seed in seeds
                ]
            )

        return run

    def _machine(self, full: bool) -> _Loop:
        """The training loop of the machine, which takes the program as data."""

        def stepper(rates: Array, tables: Any, schedule: Array) -> Stepper:
            layout = replace(self._layout, replicates=len(rates), full=full)
            return machine_stepper(layout, tables, schedule)

        return self._loop(stepper)

    def _loop(self, stepper: Callable[..., Stepper]) -> _Loop:
        return _Loop(
            jit(lambda start, given: self._begin(stepper(*given), start, given[0])),
            jit(
                lambda start, given, position, until: self._advance(
                    stepper(*given), start, position, until
                ),
                donate_argnums=2,
            ),
        )

    def _run(
        self,
        loop: _Loop,
        give: Callable[[np.ndarray, np.int32], Any],
        learning_rates: Sequence[float],
        seeds: Sequence[int],
        steps: int | None,
        checkpoints: int,
        go_on: Callable[[int, np.ndarray], bool],
    ) -> TrainingResult:
        last = self.task.steps if steps is None else steps
        rates = np.tile(np.asarray(learning_rates, np.float32), len(seeds))
        given = give(rates, np.int32(last))
        shape = (len(seeds), len(learning_rates))
        start = self._start(tuple(seeds))
        position = loop.begin(start, given)
        curve: list[np.ndarray] = []
        count = min(checkpoints, last)  # a run has no more checkpoints than steps
        curve_steps = [last * (i + 1) // count for i in range(count)]
        diverged = np.zeros(shape, bool)
        for until in curve_steps:
            position, w, at = loop.advance(start, given, position, np.int32(until))
            scores, lost = jax.device_get(self._finish(start, w, at, position.alive))
            diverged |= lost.reshape(shape)
            curve.append(np.where(diverged, np.inf, scores.reshape(shape).astype(np.float64)))
            self._progress()
            if until < last and (diverged.all() or not go_on(until, curve[-1][0])):
                break
        if diverged.all():  # then it has diverged at all checkpoints that are left
            curve += [curve[-1]] * (count - len(curve))
        return TrainingResult(
            curve[-1],
            diverged,
            int(position.t) - 1,
            np.stack(curve, axis=-1),
            np.array(curve_steps[: len(curve)]),
        )

    def _start(self, seeds: tuple[int, ...]) -> Any:
        """Initial weights and all minibatches of some seeds, drawn once."""
        with self._lock:
            drawn = self._draws.pop(seeds, None)
            if drawn is None:
                drawn = self._draw(jnp.stack([jax.random.key(s) for s in seeds]))
                while len(self._draws) >= MOST_DRAWS:
                    del self._draws[next(iter(self._draws))]
            self._draws[seeds] = drawn  # the latest used comes last
            return drawn

    def _drawn(self, keys: Array) -> Any:
        """Initial weights (S, N); minibatches (S, steps, …) or, if too large, their keys; problems;
        where each tensor begins.

        A seed decides the first three, each from a key of its own. A problem's leaves are (S, …).
        """
        draws, inits, batches = jnp.moveaxis(jax.vmap(partial(jax.random.split, num=3))(keys), 1, 0)
        problems = jax.vmap(self.task.draw)(draws)
        w = self._parameters.flat(jax.vmap(self.task.init)(inits, problems))
        starts = self._parameters.starts()

        def keys_of(key: Array) -> Array:
            return jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(1, self.task.steps + 1))

        def batches_of(seed: tuple[Array, Any]) -> Any:
            step_keys, problem = seed
            return lax.map(lambda key: self.task.batch(key, problem), step_keys)

        step_keys = jax.vmap(keys_of)(batches)
        one = jax.eval_shape(batches_of, (step_keys[0, :1], jax.tree.map(lambda x: x[0], problems)))
        size = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(one))
        if size * step_keys.size > MOST_BYTES_OF_MINIBATCHES:
            return w, {"keys": step_keys}, problems, starts
        return w, {"batches": lax.map(batches_of, (step_keys, problems))}, problems, starts

    def _finished(self, start: Any, w: Array, at: Array, alive: Array) -> tuple[Array, Array]:
        """Scores (R,), and which replicates diverged. Only finite weights are scored."""
        first, _, problems, starts = start

        def scores_of_seed(params: Any, problem: Any) -> Array:
            return jax.vmap(lambda x: self.task.score(x, problem))(params)

        params = self._parameters.tensors(at.reshape(len(first), -1, at.shape[1]), starts)
        score = jax.vmap(scores_of_seed)(params, problems).ravel()
        alive &= jnp.all(jnp.isfinite(w), axis=1) & jnp.all(jnp.isfinite(at), axis=1)
        alive &= jnp.isfinite(score)
        return jnp.where(alive, score, jnp.inf), ~alive

    # --- the loop ---

    def _begin(self, stepper: Stepper, start: Any, rates: Array) -> _Position:
        """The position before the first step of R = S × L replicates; see `_drawn`."""
        w = jnp.repeat(start[0], rates.shape[0] // len(start[0]), axis=0)
        return _Position(jnp.int32(1), stepper.init(w), jnp.ones(len(rates), bool))

    def _advance(
        self, stepper: Stepper, start: Any, position: _Position, until: Array
    ) -> tuple[_Position, Array, Array]:
        """Trains up to and including step `until`, or until all replicates have diverged."""
        first, drawn, problems, starts = start

        def of_seed(params: Any, drawn: Any, problem: Any) -> tuple[Array, Any]:
            # All learning rates of a seed see the same problem and minibatches.
            drawn_before = "batches" in drawn
            batch = drawn["batches"] if drawn_before else self.task.batch(drawn["keys"], problem)
            return jax.vmap(jax.value_and_grad(lambda x: self.task.loss(x, batch)))(params)

        def unfinished(position: _Position) -> Array:
            return (position.t <= until) & jnp.any(position.alive)

        def one(position: _Position) -> _Position:
            t, carry, alive = position
            now = jax.tree.map(lambda x: x[:, t - 1], drawn)
            w = stepper.weights(carry)
            params = self._parameters.tensors(w.reshape(len(first), -1, w.shape[1]), starts)
            loss, gradients = jax.vmap(of_seed)(params, now, problems)
            loss, g = loss.reshape(-1), self._parameters.flat(gradients).reshape(w.shape)
            return _Position(t + 1, stepper.step(carry, t, g, loss), alive & jnp.isfinite(loss))

        position = lax.while_loop(unfinished, one, position)
        return position, stepper.weights(position.carry), stepper.eval_w(position.carry)


def _joined(runs: Sequence[TrainingResult]) -> TrainingResult:
    """One result of several seeds. If one seed was stopped, all are judged there."""
    taken = min(len(run.curve_steps) for run in runs)
    curve = np.concatenate([run.curve[..., :taken] for run in runs])
    return TrainingResult(
        curve[..., -1],
        np.isinf(curve[..., -1]),
        max(run.steps for run in runs),
        curve,
        runs[0].curve_steps[:taken],
    )
