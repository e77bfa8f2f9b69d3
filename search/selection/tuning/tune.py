"""Tunes the constants of a rule with an evolution strategy.

A point has a value for every constant. Constants are data for the machine, so a generation of
points trains without compilation. The result is kept only if it is better on unseen seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ....dsl.machine.constants import tunable
from ....dsl.program import Program
from ....evaluators.fidelity import Fidelity
from ....evaluators.protocol import PREFIX, SETTINGS, USUAL, Protocol
from ....evaluators.scores.statistics import Estimate, estimate
from ...config.stages import MOVES, TUNE_SEEDS, TUNE_TRIALS, first_grid
from ...execution.jobs import Trials
from .coordinates import DIGITS, PROTOCOL, Coordinate, coordinates_of, rounded
from .points import PROBLEMS, Point, Points, Tasks
from .strategy import Strategy

POPULATION = 9
# A cycle is a generation on each problem. The search ends when the median loss has fallen by at
# most `_LITTLE` (a log-ratio) in each of `SETTLED` cycles.
SETTLED, _LITTLE = 3, 0.005
# Standard deviation of the first generation, in units of `Coordinate`: a factor of two.
_SPREAD = 0.7
# Log-ratios of validation losses below this count as no difference.
_NOTHING = 1e-3


@dataclass(frozen=True)
class Change:
    """One tuned constant.

    Attributes:
      name: of the hyperparameter; for a literal, its place in words; for a setting of the protocol,
        its name behind "protocol.".
      before, after: its values.
    """

    name: str
    before: float
    after: float

    def __str__(self) -> str:
        return f"{self.name}: {self.before:g} → {self.after:g}"


@dataclass(frozen=True)
class Tuned:
    """The result of tuning.

    Attributes:
      program: the rule with its new constants; unchanged if they are not better.
      changes: the constants that differ; none if nothing changed.
      effect: log-ratios of validation losses on unseen seeds, new over old constants, whether or
        not the new ones are kept. NaN if there was nothing to tune.
      runs: the number of training runs, each with as many replicates as learning rates.
      trials: the number of sets of constants that were tried; less than the budget if it settled.
      protocol: with which it is to be trained; the usual one if that was not tuned.
      rates: the best learning rate of the program, by task; empty if there was nothing to tune.
    """

    program: Program
    changes: tuple[Change, ...]
    effect: Estimate
    runs: int
    trials: int = 0
    protocol: Protocol = USUAL
    rates: Mapping[str, float] = field(default_factory=dict)


def tune(
    program: Program,
    tasks: Tasks,
    trials: Trials,
    *,
    budget: int = TUNE_TRIALS,
    protocol: bool = False,
    judged_on: Tasks | None = None,
    seed: int = 0,
    seeds: int = TUNE_SEEDS,
    learning_rates: Sequence[float] = (),
    schedule: str = "cosine",
    most_gain: float = math.inf,
    tidy: bool = True,
    report: Callable[[int], None] = lambda tried: None,
) -> Tuned:
    """Tunes a rule's constants, without its learning rate; the structure stays as it is.

    The result depends only on the arguments, not on the number of workers.

    Args:
      program: the rule.
      tasks: to train on, each with its number of steps (None: the task's own).
      trials: the workers, with all tasks loaded, and the store of results; `most_gain` is relative
        to its baseline.
      budget: the largest number of sets of constants to try, each at the best learning rate of each
        task. The search ends before where it has settled; see `SETTLED`.
      protocol: whether warm-up, final rate and gradient clipping are tuned too.
      judged_on: tasks of the comparison that decides whether the new constants are kept; default:
        `tasks`.
      seed: of the evolution strategy.
      seeds: the number of seeds per task in that comparison, none of which tuning has seen.
      learning_rates: the grid of learning rates; default: `first_grid`.
      schedule: name of the learning-rate schedule; see `evaluators/schedules.py`.
      most_gain: the cap on a task's gain over the baseline, so that a gain on one task does not
        make up for losses on others; see `bounded`.
      tidy: whether changes that make no difference are undone, and digits that make none dropped.
        That trains further sets of constants, which `budget` does not count.
      report: called with the number of sets tried so far.

    Raises:
      Stopped: when asked to stop; finished results are stored.
    """
    rule = tunable(program)
    coordinates = (*coordinates_of(rule), *(PROTOCOL if protocol else ()))
    if not coordinates or not budget:
        return Tuned(program, (), Estimate(math.nan), 0)
    rates = tuple(learning_rates) or first_grid("")
    tried = Fidelity(rates, moves=MOVES, schedule=schedule)
    settings = tuple(c.name for c in coordinates[len(rule.names) :])
    points = Points(rule, tasks, trials, tried, most_gain, settings)
    points.look_around()
    rates_before = points.rates
    found, spent = _searched(points, coordinates, budget, seed, report)
    before = {c.name: c.start for c in coordinates}
    if tidy:
        found = _plain(points, before, found, coordinates)
    after = rule.with_values({name: found[name] for name in rule.names})
    under = _protocol(found)
    effect = estimate(points.differences(after, under, judged_on or tasks, seeds))
    if not effect.mean < 0:
        return Tuned(program, (), effect, points.runs, spent, rates=rates_before)
    changes = tuple(
        Change(rule.literals.get(name, name), before[name], value)
        for name, value in found.items()
        if value != before[name]
    )
    return Tuned(after, changes, effect, points.runs, spent, under, points.rates)


def _protocol(point: Point) -> Protocol:
    """The settings of the protocol in a point; the usual ones where it has none."""
    given = {name: point[f"{PREFIX}{name}"] for name in SETTINGS if f"{PREFIX}{name}" in point}
    if math.isinf(given.get("clip", 0.0)):
        del given["clip"]
    return Protocol(**given)


def _searched(
    points: Points,
    coordinates: Sequence[Coordinate],
    budget: int,
    seed: int,
    report: Callable[[int], None],
) -> tuple[Point, int]:
    """The final mean of the evolution strategy, which is less noisy than its best point.

    Returns:
      The point, and how many were tried.
    """
    population = min(POPULATION, budget)
    strategy = Strategy(len(coordinates), population, _SPREAD, seed)
    cycle: list[float] = []  # median losses of its generations
    lowest = math.inf
    spent = since = 0

    def point(place: np.ndarray) -> Point:
        return {c.name: c.value(float(x)) for c, x in zip(coordinates, place, strict=True)}

    for generation in range(budget // population):
        places = strategy.ask()
        losses = points.losses([point(place) for place in places], generation % PROBLEMS)
        points.follow(losses)
        strategy.tell(places, losses.values)
        spent += population
        report(spent)
        cycle.append(float(np.median(losses.values)))
        if len(cycle) == PROBLEMS:
            mean, cycle = float(np.mean(cycle)), []
            since = 0 if mean < lowest - _LITTLE else since + 1
            lowest = min(lowest, mean) if since == 0 else lowest
            if since == SETTLED:
                break
    return point(strategy.mean), spent


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
            if found[c.name] == before[c.name] or math.isinf(found[c.name])
            else rounded(found[c.name], digits, is_share=c.is_share)
            for c in coordinates
        }
        for digits in range(1, DIGITS)
    ]
    cost, _ = points.costs(shorter, found)
    fine = [point for point, c in zip(shorter, cost, strict=True) if c <= _NOTHING]
    return fine[0] if fine else found
