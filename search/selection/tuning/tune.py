"""Tuning the constants of a rule: an evolution strategy over what the machine takes as data.

A point is a value for every constant of a program; a whole generation of them trains without a
compilation. What the strategy ends with has to prove itself on seeds that it has not seen.
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
# Seeds that tuned and untuned constants are compared on in the end.
SEEDS = 6
# The first generation spreads by this much, in units of `Coordinate`: a factor of two.
_SPREAD = 0.7
# What costs less than this, as a log-ratio of validation losses, costs nothing.
_NOTHING = 1e-3


@dataclass(frozen=True)
class Change:
    """One tuned constant.

    Attributes:
      name: of the hyperparameter, or where the literal is, in words.
      before, after: its values.
    """

    name: str
    before: float
    after: float


@dataclass(frozen=True)
class Tuned:
    """What tuning found.

    Attributes:
      program: the rule with its new constants, or as it was if they are no better.
      changes: the constants that differ; none if it is as it was.
      effect: of the constants found, kept or not, on seeds that tuning has not seen: log-ratios of
        validation losses, new over old. NaN where nothing was found to compare.
      runs: how many training runs it took, each of as many replicates as there are learning rates.
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
    """Tunes a rule's constants; its structure stays as it is, and so does its learning rate.

    The outcome depends on the arguments alone, not on how many workers there are.

    Args:
      program: the rule.
      tasks: to train on, each with its number of steps (None: the task's own).
      trials: who train, on all tasks, and where results are kept; `most_gain` is measured from its
        baseline.
      judged_on: the tasks of the comparison that decides whether the rule keeps what was found;
        unless given, those that it is tuned on.
      seed: of the evolution strategy.
      generations: of `POPULATION` points each.
      seeds: of every task, for that comparison.
      learning_rates: the grid that every rule gets, that of `first_grid` unless given.
      schedule: what they are multiplied by at each step; see `evaluators/schedules.py`.
      most_gain: a task's gain over the baseline counts at most so much, see `bounded`, so that
        a gain on one task does not make up for losses on the others.

    Raises:
      Stopped: when asked to stop; what was finished is kept.
    """
    rule = tunable(program)
    try:
        assemble(rule.program, bound_hyperparameters=False)
    except TooLarge:  # constants with names need a little more of the machine's room
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
    """Where the evolution strategy ends: its mean, which is surer than any one point."""
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
    """The constants without what makes no difference: changes first, then digits."""
    single = [{**found, name: before[name]} for name in found]
    cost, error = points.costs(single, found)
    # A constant stays what it was unless that is worse by more than chance alone would make it.
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
