"""Recording traces: a black box, or a rule, is fed streams of gradients of many kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....dsl.numpy.stepping import Stepper
from ....dsl.program import LEARNING_RATE, Program
from ..randomness import derive
from .traces import Array, Trace

SHAPES = ((4, 3), (5,), ())
STEPS = 36
# How gradients come about; the traces take turns. The last two follow the weights.
KINDS = ("independent", "correlated", "sparse", "drifting", "quadratic", "noisy quadratic")
# Powers of ten between which the size of a weight's gradients is drawn.
_SCALES = (-3.0, 1.5)

# `init(weights) -> state` and `update(gradients, state, weights) -> (updates, state)`, where the
# updates are to be ADDED to the weights, as in Optax; lists with one array for each tensor.
Init = Callable[[list[Array]], Any]
Update = Callable[[list[Array], Any, list[Array]], tuple[Sequence[Any], Any]]


@dataclass(frozen=True)
class Stream:
    """Where a trace starts and what gradients it meets: g = curvature * (w - centre) + noise.

    Attributes:
      start, curvature, centre: one array for each tensor; without curvature, the gradients do not
        depend on what the rule does.
      noise: one array (steps, *shape) for each tensor.
    """

    start: tuple[Array, ...]
    curvature: tuple[Array, ...]
    centre: tuple[Array, ...]
    noise: tuple[Array, ...]

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.noise[0])

    def gradients(self, t: int, weights: Sequence[Array]) -> list[Array]:
        """The gradients at step t, from 1."""
        parts = zip(self.curvature, self.centre, self.noise, weights, strict=True)
        return [np.asarray(h * (w - c) + e[t - 1]) for h, c, e, w in parts]


def streams(
    seed: int,
    count: int = 2 * len(KINDS),
    *,
    steps: int = STEPS,
    shapes: Sequence[tuple[int, ...]] = SHAPES,
) -> list[Stream]:
    """Streams of gradients whose sizes span orders of magnitude, between weights and over time.

    Args:
      seed: decides all.
      count: how many; their kinds take turns, see `KINDS`.
      steps: of each.
      shapes: of the tensors.
    """
    return [_stream(seed, i, steps, shapes) for i in range(count)]


def _stream(seed: int, index: int, steps: int, shapes: Sequence[tuple[int, ...]]) -> Stream:
    rng = np.random.default_rng(derive(seed, index, "stream").getrandbits(64))
    kind = KINDS[index % len(KINDS)]
    start, curvature, centre, noise = [], [], [], []
    for shape in shapes:
        scale = 10 ** rng.uniform(*_SCALES, shape)
        # Student's t with three degrees of freedom: now and then ten times as large.
        draws = rng.standard_t(3, (steps, *shape))
        if kind == "correlated":
            for t in range(1, steps):
                draws[t] = 0.8 * draws[t - 1] + 0.6 * draws[t]
        elif kind == "sparse":
            draws *= rng.random((steps, *shape)) < 0.6
        elif kind == "drifting":
            phase, speed = rng.uniform(0, 6, shape), rng.uniform(0.1, 1.0, shape)
            times = np.arange(steps).reshape(-1, *[1] * len(shape))
            draws = 0.2 * draws + 2 * np.sin(phase + speed * times)
        follows = kind.endswith("quadratic")
        start.append(np.asarray(rng.normal(size=shape)))
        curvature.append(np.asarray(np.minimum(scale, 1.0) * follows))
        centre.append(np.asarray(rng.normal(size=shape)))
        noise.append(scale * draws * (0.02 if kind == "quadratic" else 1.0))
    return Stream(tuple(start), tuple(curvature), tuple(centre), tuple(noise))


def record(
    make: Callable[[float], tuple[Init, Update]],
    seed: int = 0,
    *,
    learning_rates: Sequence[float] = (1e-2, 1e-3, 1e-1),
    count: int = 2 * len(KINDS),
    steps: int = STEPS,
    shapes: Sequence[tuple[int, ...]] = SHAPES,
) -> list[Trace]:
    """Records traces of a black box.

    Args:
      make: for a learning rate, a pair `init, update` as Optax has them: what `update` returns is
        added to the weights. An `optax.GradientTransformation` is such a pair.
      seed: of the streams of gradients.
      learning_rates: the traces take turns.
      count, steps, shapes: see `streams`.
    """
    traces = []
    for i, stream in enumerate(streams(seed, count, steps=steps, shapes=shapes)):
        lr = learning_rates[i % len(learning_rates)]
        init, update = make(lr)
        weights = [w.copy() for w in stream.start]
        state = init(weights)
        seen: list[list[Array]] = []
        met: list[list[Array]] = []
        answered: list[list[Array]] = []
        for t in range(1, stream.steps + 1):
            gradients = stream.gradients(t, weights)
            added, state = update(gradients, state, weights)
            updates = [-np.asarray(u, np.float64) for u in added]
            seen.append(weights)
            met.append(gradients)
            answered.append(updates)
            weights = [w - u for w, u in zip(weights, updates, strict=True)]
        names = tuple(f"tensor{k}" for k in range(len(shapes)))
        rates = np.full(stream.steps, lr)
        traces.append(Trace(names, _stacked(seen), _stacked(met), _stacked(answered), rates))
    return traces


def _stacked(steps: Sequence[Sequence[Array]]) -> tuple[Array, ...]:
    """For each tensor, its arrays of all steps as one."""
    return tuple(np.stack(arrays) for arrays in zip(*steps, strict=True))


def record_rule(program: Program, seed: int = 0, **how: Any) -> list[Trace]:
    """Records traces of a program in float64, its hyperparameters but `lr` at their defaults.

    Args:
      program: a rule that reads what traces have.
      seed, how: see `record`.
    """
    steps = int(how.get("steps", STEPS))

    def make(lr: float) -> tuple[Init, Update]:
        hyper = {LEARNING_RATE: lr}

        def update(
            gradients: list[Array], state: Stepper, weights: list[Array]
        ) -> tuple[list[Array], Stepper]:
            return [-u for u in state.update(weights, gradients, hyper=hyper)], state

        return lambda weights: Stepper(program, weights, T=steps), update

    return record(make, seed, **how)
