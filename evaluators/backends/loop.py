"""The training loop for any stepper: all learning rates at once, one seed after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..fidelity import Fidelity
from .base import Stop, TrainingResult
from .compilation import jit
from .problems import Drawn, Problems
from .stepper import StepContext, Stepper

Array = jax.Array


class Given(NamedTuple):
    """Arguments of the compiled loop besides problems; new values need no compilation.

    Attributes:
      rates: learning rates, (R,). total: number of steps. rule: further data for the stepper.
      clip: the largest norm of each replicate's gradient, (R,); None if no gradient is clipped.
    """

    rates: np.ndarray
    total: np.int32
    rule: Any
    clip: np.ndarray | None = None


class _Position(NamedTuple):
    """The state of a run: the next step, the stepper's carry, which replicates are still finite."""

    t: Array
    carry: Any
    alive: Array


class TrainingLoop:
    """Trains on one task with a stepper."""

    def __init__(
        self,
        problems: Problems,
        stepper: Callable[[Given], Stepper],
        progress: Callable[[], None],
    ) -> None:
        """Compiles at the first run, and once for each number of learning rates.

        Args:
          problems: the task's problems.
          stepper: makes a stepper from traced arguments; all values must come from them.
          progress: called whenever a run reaches a checkpoint.
        """
        self._problems = problems
        self._stepper = stepper
        self._progress = progress
        self._begin = jit(self._begun)
        self._advance = jit(self._advanced, donate_argnums=2)

    def run(
        self,
        give: Callable[[np.ndarray, np.int32], Any],
        fidelity: Fidelity,
        stop: Stop | None,
        clip: np.ndarray | None = None,
        cost: Fraction = Fraction(1),
    ) -> TrainingResult:
        """Trains with every seed.

        Seeds are trained one after the other: on a CPU all at once would not be faster, and would
        need more memory.

        Args:
          give: makes `Given.rule` from learning rates (R,) and the number of steps.
          fidelity, stop: see `Backend.train`.
          clip: see `Given`; with one, the loop is compiled once more.
          cost: of a step, in gradient evaluations, at least 1. A run is as long as it may cost, so
            that of a rule with a cost of 2 takes half the steps.
        """
        last = self._problems.task.steps if fidelity.steps is None else fidelity.steps
        count = min(fidelity.checkpoints, last)  # a run has no more checkpoints than steps
        spent = [last * (i + 1) // count for i in range(count)]
        until = {gradients: max(1, int(gradients / cost)) for gradients in spent}
        rates = np.asarray(fidelity.learning_rates, np.float32)
        total = np.int32(until[last])
        norms = None if clip is None else np.asarray(clip, np.float32)
        given = Given(rates, total, give(rates, total), norms)
        runs = [self._run(given, seed, until, stop) for seed in fidelity.seeds]
        return _joined(runs)

    def _run(
        self, given: Given, seed: int, until: Mapping[int, int], stop: Stop | None
    ) -> TrainingResult:
        """One seed; `until` has the step of each checkpoint, by the gradients spent there."""
        last, shape = max(until), (1, len(given.rates))
        drawn = self._problems.draw((seed,))
        position = self._begin(drawn, given)
        curve: list[np.ndarray] = []
        diverged = np.zeros(shape, bool)
        for spent, step in until.items():
            position, w, at = self._advance(drawn, given, position, np.int32(step))
            scores, lost = jax.device_get(self._problems.score(drawn, w, at, position.alive))
            diverged |= lost.reshape(shape)
            curve.append(np.where(diverged, np.inf, scores.reshape(shape).astype(np.float64)))
            self._progress()
            if diverged.all() or (spent < last and stop and stop(seed, spent, curve[-1][0])):
                break
        if diverged.all():  # fill the remaining checkpoints, at which it has diverged too
            curve += [curve[-1]] * (len(until) - len(curve))
        return TrainingResult(
            curve[-1],
            diverged,
            int(position.t) - 1,
            np.stack(curve, axis=-1),
            np.array([*until][: len(curve)]),
        )

    # --- what is compiled ---

    def _begun(self, drawn: Drawn, given: Given) -> _Position:
        """The position before the first step of R = S × L replicates, of M rows each."""
        rates = given.rates
        rows = rates.shape[0] * self._problems.members
        w = jnp.repeat(drawn.w, rows // len(drawn.w), axis=0)
        alive = jnp.ones(len(rates), bool)
        return _Position(jnp.int32(1), self._stepper(given).init(w), alive)

    def _advanced(
        self, drawn: Drawn, given: Given, position: _Position, until: Array
    ) -> tuple[_Position, Array, Array]:
        """Trains up to and including step `until`, or until all replicates have diverged.

        Returns:
          The position, weights (R·M, N), and where to evaluate (R·M, N).
        """
        stepper = self._stepper(given)
        members = self._problems.members

        def unfinished(position: _Position) -> Array:
            return (position.t <= until) & jnp.any(position.alive)

        def one(position: _Position) -> _Position:
            t, carry, alive = position
            w = stepper.weights(carry)
            loss, g = self._problems.losses(drawn, w, t)
            oracles = self._problems.oracles(drawn, w, t)
            if given.clip is not None:
                most = jnp.repeat(jnp.asarray(given.clip), members)
                g = _clipped(g, most)
                gradient = oracles["grad"]
                # Clipped as g is, which it equals at w.
                oracles["grad"] = lambda x: _clipped(gradient(x), most)
            noise = self._problems.noise(drawn, t, len(w))
            further = self._problems.given(drawn, t, len(w))
            context = StepContext(t, jnp.asarray(given.total), loss, g, oracles, noise, further)
            finite = jnp.all(jnp.isfinite(loss).reshape(-1, members), axis=1)
            return _Position(t + 1, stepper.step(carry, context), alive & finite)

        position = lax.while_loop(unfinished, one, position)
        return position, stepper.weights(position.carry), stepper.eval_w(position.carry)


def _clipped(g: Array, most: Array) -> Array:
    """Gradients (R, N), each scaled down to a norm of at most `most`, (R,)."""
    norm = jnp.sqrt(jnp.sum(g * g, axis=1))
    return g * jnp.where(norm > most, most / norm, 1.0)[:, None]


def _joined(runs: Sequence[TrainingResult]) -> TrainingResult:
    """Joins the results of several seeds, up to the first checkpoint at which one was stopped."""
    taken = min(len(run.curve_steps) for run in runs)
    curve = np.concatenate([run.curve[..., :taken] for run in runs])
    return TrainingResult(
        curve[..., -1],
        np.isinf(curve[..., -1]),
        max(run.steps for run in runs),
        curve,
        runs[0].curve_steps[:taken],
    )
