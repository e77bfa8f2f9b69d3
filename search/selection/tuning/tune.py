"""Tunes the constants of a rule with an evolution strategy.

A point has a value for every constant. Constants are data for the machine, so a generation of
points trains without compilation. The result is kept only if it is better on unseen seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....dsl.machine.bytecode import TooLarge, assemble
from ....dsl.machine.constants import tunable
from ....dsl.program import Program
from ....evaluators.fidelity import Fidelity
from ....evaluators.scores.statistics import Estimate, estimate
from ...config.stages import MOVES, first_grid
from ...execution.jobs import Trials
from .coordinates import DIGITS, Coordinate, coordinates_of, rounded
from .points import PROBLEMS, Point, Points, Tasks
from .strategy import Strategy

POPULATION = 9
GENERATIONS = 12
# Seeds of the final comparison between tuned and initial constants.
SEEDS = 6
# Standard deviation of the first generation, in units of `Coordinate`: a factor of two.
_SPREAD = 0.7
# Log-ratios of validation losses below this count as no difference.
_NOTHING = 1e-3


@dataclass(frozen=True)
class Change:
    """One tuned constant.

    Attributes:
      name: of the hyperparameter; for a literal, its place in words.
      before, after: its values.
    """

    name: str
    before: float
    after: float


@dataclass(frozen=True)
class Tuned:
    """The result of tuning.

    Attributes:
      program: the rule with its new constants; unchanged if they are not better.
      changes: the constants that differ; none if the program is unchanged.
      effect: log-ratios of validation losses on unseen seeds, new over old constants, whether or
      not
        the new ones are kept. NaN if there was nothing to tune.
      runs: the number of training runs, each with as many replicates as learning rates.
    """

    program: Program
    changes: tuple[Change, ...]
    effect: Estimate
    runs: int


def tune(
    program: Program,
    tasks: Tasks,
    trials: Trials,
    *,
    judged_on: Tasks | None = None,
    seed: int = 0,
    generations: int = GENERATIONS,
    seeds: int = SEEDS,
    learning_rates: Sequence[float] = (),
    schedule: str = "cosine",
    most_gain: float = math.inf,
) -> Tuned:
    """Tunes a rule's constants, without its learning rate; the structure stays as it is.

    The result depends only on the arguments, not on the number of workers.

    Args:
      program: the rule.
      tasks: to train on, each with its number of steps (None: the task's own).
      trials: the workers, with all tasks loaded, and the store of results; `most_gain` is relative
        to its baseline.
      judged_on: tasks of the comparison that decides whether the new constants are kept; default:
        `tasks`.
      seed: of the evolution strategy.
      generations: of `POPULATION` points each.
      seeds: the number of seeds per task in that comparison.
      learning_rates: the grid of learning rates; default: `first_grid`.
      schedule: name of the learning-rate schedule; see `evaluators/schedules.py`.
      most_gain: the cap on a task's gain over the baseline, so that a gain on one task does not
        make up for losses on others; see `bounded`.

    Raises:
      Stopped: when asked to stop; finished results are stored.
    """
    rule = tunable(program)
    try:
        assemble(rule.program, bound_hyperparameters=False)
    except TooLarge:  # named constants take more room in the machine than literals
        return Tuned(program, (), Estimate(math.nan), 0)
    if not rule.names:
        return Tuned(program, (), Estimate(math.nan), 0)
    rates = tuple(learning_rates) or first_grid("")
    tried = Fidelity(rates, moves=MOVES, schedule=schedule)
    points = Points(rule, tasks, trials, tried, most_gain)
    points.look_around()
    coordinates = coordinates_of(rule)
    found = _searched(points, coordinates, generations, seed)
    found = _plain(points, rule.values, found, coordinates)
    after = rule.with_values(found)
    effect = estimate(points.differences(after, program, judged_on or tasks, seeds))
    if not effect.mean < 0:
        return Tuned(program, (), effect, points.runs)
    changes = tuple(
        Change(rule.literals.get(name, name), rule.values[name], found[name])
        for name in rule.names
        if found[name] != rule.values[name]
    )
    return Tuned(after, changes, effect, points.runs)


def _searched(
    points: Points, coordinates: Sequence[Coordinate], generations: int, seed: int
) -> Point:
    """The final mean of the evolution strategy, which is less noisy than its best point."""
    strategy = Strategy(len(coordinates), POPULATION, _SPREAD, seed)

    def point(place: np.ndarray) -> Point:
        return {c.name: c.value(float(x)) for c, x in zip(coordinates, place, strict=True)}

    for generation in range(generations):
        places = strategy.ask()
        losses = points.losses([point(place) for place in places], generation % PROBLEMS)
        points.follow(losses)
        strategy.tell(places, losses.values)
    return point(strategy.mean)


def _plain(points: Points, before: Point, found: Point, coordinates: Sequence[Coordinate]) -> Point:
    """Undoes changes that make no difference, then drops digits that make none."""
    single = [{**found, name: before[name]} for name in found]
    cost, error = points.costs(single, found)
    # A constant keeps its old value unless that is worse by more than one standard error.
    kept = cost <= np.maximum(error, _NOTHING)
    found = {name: before[name] if k else found[name] for name, k in zip(found, kept, strict=True)}
    shorter = [
        {
            c.name: found[c.name]
            if found[c.name] == before[c.name]
            else rounded(found[c.name], digits, is_share=c.is_share)
            for c in coordinates
        }
        for digits in range(1, DIGITS)
    ]
    cost, _ = points.costs(shorter, found)
    fine = [point for point, c in zip(shorter, cost, strict=True) if c <= _NOTHING]
    return fine[0] if fine else found
