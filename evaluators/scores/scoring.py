"""Scores: every rule gets the same learning rates and seeds, and is compared with tuned AdamW."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...dsl.errors import UserError

if TYPE_CHECKING:
    from ..backends.base import TrainingResult

# A loss of exactly zero has no logarithm: what is no further than this above a task's floor counts
# as solved, and two rules that solve a task count as equal on it.
SMALLEST_LOSS = 1e-12
# What rounding may take from a score in float32, at a size of 1 or less.
ROUNDING = 1e-6


@dataclass(frozen=True)
class TaskScore:
    """How a rule does on a task with its learning rate tuned.

    Attributes:
      task: the task's name.
      learning_rates: the grid, L numbers.
      seeds: S numbers.
      scores: validation loss, shape (S, L) as nested tuples; inf where the run diverged.
      curve: validation loss at C checkpoints of every run, shape (S, L, C); the last is the end of
        training; inf from the checkpoint on at which the run had diverged. Empty where only the
        end was looked at.
      curve_steps: the gradient evaluations after which the checkpoints were taken, shape (C,): the
        steps of a rule that asks no oracle.
      stopped_at: the gradient evaluations after which early stopping ended the run; the scores are
        of that step.
      exploits: how many of the scores were below what the task allows; they count as diverged.
      floor: what losses are measured from when they are compared; see `floor_of`.
      failure: why there are no scores ("hung"), all of which count as diverged then.

    Raises:
      UserError: a loss lies below the floor, so that it cannot be compared.
    """

    task: str
    learning_rates: tuple[float, ...]
    seeds: tuple[int, ...]
    scores: tuple[tuple[float, ...], ...]
    curve: tuple[tuple[tuple[float, ...], ...], ...] = ()
    curve_steps: tuple[int, ...] = ()
    stopped_at: int | None = None
    exploits: int = 0
    floor: float = 0.0
    failure: str = ""

    def __post_init__(self) -> None:
        least = self.floor - rounding_at(self.floor)
        losses = itertools.chain(*self.scores, *itertools.chain(*self.curve))
        below = [x for x in losses if -math.inf < x < least]  # what is not finite has diverged
        if below:
            raise UserError(
                f"task '{self.task}' has a validation loss of {min(below):.4g}; losses are compared"
                " by their ratio, which means nothing below 0; give the task a number `lowest` that"
                " its score cannot be below, and losses are measured from there"
            )

    @property
    def means(self) -> tuple[float, ...]:
        """Mean over seeds for each learning rate; inf where any seed diverged."""
        means = (float(np.mean(column)) for column in zip(*self.scores, strict=True))
        # NaN is the least of all numbers to argmin, and so would be chosen.
        return tuple(mean if math.isfinite(mean) else math.inf for mean in means)

    @property
    def best(self) -> int:
        """Index of the learning rate with the lowest mean."""
        return int(np.argmin(self.means))

    @property
    def learning_rate(self) -> float:
        """The tuned learning rate."""
        return self.learning_rates[self.best]

    @property
    def value(self) -> float:
        """Mean validation loss at the tuned learning rate; inf if every rate diverged."""
        return self.means[self.best]

    @property
    def by_seed(self) -> tuple[float, ...]:
        """Validation loss of each seed at the tuned learning rate."""
        return tuple(row[self.best] for row in self.scores)

    @property
    def diverged(self) -> bool:
        """Whether no learning rate gave a finite score with every seed."""
        return not math.isfinite(self.value)

    @property
    def solved(self) -> bool:
        """Whether the loss of every seed is as low as can be told, at the tuned learning rate."""
        return not self.diverged and bool(
            (np.asarray(self.by_seed) - self.floor <= _smallest(self.floor)).all()
        )

    @property
    def at_edge(self) -> bool:
        """Whether the tuned learning rate is the grid's lowest or highest, so may not be tuned."""
        return len(self.learning_rates) > 1 and self.best in (0, len(self.learning_rates) - 1)

    @property
    def moved_rates(self) -> tuple[float, ...]:
        """The grid moved by half its width, towards the side where the best rate is."""
        rates, half = self.learning_rates, len(self.learning_rates) // 2
        factor = rates[0] / rates[half] if self.best < half else rates[-1] / rates[-1 - half]
        return tuple(float(f"{rate * factor:.3g}") for rate in rates)

    def is_ahead_of(self, other: TaskScore) -> bool:
        """Whether this run of the same rule got further than another, or as far and not higher.

        The same learning rate in two grids may differ in the last digits.
        """
        ours, theirs = (math.inf if s.stopped_at is None else s.stopped_at for s in (self, other))
        own, bound = self.value - self.floor, (other.value - self.floor) * (1 + 1e-5)
        return ours > theirs or (ours == theirs and own <= bound)


def floor_of(lowest: float) -> float:
    """What the losses of a task are measured from: 0, or the task's `lowest` if that is below 0.

    Losses are compared by their ratio, so they need a floor. A task that says nothing (−inf) has
    its floor at 0, and is refused when a loss lies below; see `TaskScore`.
    """
    return lowest if -math.inf < lowest < 0 else 0.0


def rounding_at(floor: float) -> float:
    """How far below its floor a loss in float32 may lie by rounding alone."""
    return ROUNDING * max(1.0, abs(floor))


def log_losses(losses: Sequence[float] | np.ndarray, floor: float = 0.0) -> np.ndarray:
    """Logarithms of how far losses lie above the floor of their task, of the same shape.

    The only place that takes a logarithm of a loss; every comparison is a difference of these.
    """
    return np.log(above_floor(losses, floor))


def above_floor(losses: Sequence[float] | np.ndarray | float, floor: float) -> np.ndarray:
    """How far losses lie above the floor of their task; never so near that it cannot be told."""
    return np.maximum(np.asarray(losses, np.float64) - floor, _smallest(floor))


def _smallest(floor: float) -> float:
    return SMALLEST_LOSS + ROUNDING * abs(floor)


def task_score(
    task: str,
    result: TrainingResult,
    learning_rates: Sequence[float],
    seeds: Sequence[int],
    stopped_at: int | None = None,
    lowest: float = -math.inf,
    with_curve: bool = False,
) -> TaskScore:
    """The score of a training result, and its curve if that is asked for.

    A rule that gets below the lowest score that the task allows has found a mistake, not a minimum:
    that counts as diverged, and is noted.

    Raises:
      UserError: see `TaskScore`.
    """
    least = lowest - rounding_at(floor_of(lowest))
    below = result.score < least
    rows = tuple(tuple(float(x) for x in row) for row in np.where(below, math.inf, result.score))
    score = TaskScore(
        task,
        tuple(learning_rates),
        tuple(seeds),
        rows,
        stopped_at=stopped_at,
        exploits=int(below.sum()),
        floor=floor_of(lowest),
    )
    if not with_curve:
        return score
    steps = tuple(int(t) for t in result.curve_steps)
    honest = np.where(result.curve < least, math.inf, result.curve)
    curve = tuple(tuple(tuple(float(x) for x in rate) for rate in row) for row in honest)
    return dataclasses.replace(score, curve=curve, curve_steps=steps)


def failed_score(
    task: str, learning_rates: Sequence[float], seeds: Sequence[int], failure: str
) -> TaskScore:
    """The score of a rule that could not be trained on a task: it counts as diverged."""
    scores = ((math.inf,) * len(learning_rates),) * len(seeds)
    return TaskScore(task, tuple(learning_rates), tuple(seeds), scores, failure=failure)


def joined(scores: Sequence[TaskScore]) -> TaskScore:
    """One score from those of the same rule with different seeds, on the same grid to the end."""
    return dataclasses.replace(
        scores[0],
        seeds=tuple(seed for score in scores for seed in score.seeds),
        scores=tuple(row for score in scores for row in score.scores),
        curve=tuple(rates for score in scores for rates in score.curve),
        exploits=sum(score.exploits for score in scores),
    )


def log_ratios(rule: TaskScore, baseline: TaskScore) -> np.ndarray:
    """log(rule / baseline), one per seed, each at its own tuned learning rate; (S,).

    All inf if the rule diverged, all −inf if only the baseline did.
    """
    if rule.diverged or baseline.diverged:
        return np.full(len(rule.seeds), math.inf if rule.diverged else -math.inf)
    return log_losses(rule.by_seed, rule.floor) - log_losses(baseline.by_seed, baseline.floor)


def log_ratio(rule: TaskScore, baseline: TaskScore) -> float:
    """Mean over seeds of log(rule / baseline); inf if the rule diverged."""
    return float(np.mean(log_ratios(rule, baseline)))


def mean_log_ratio(
    rule: Iterable[TaskScore], baseline: Iterable[TaskScore], most_gain: float = math.inf
) -> float:
    """Mean log-ratio over tasks, given in the same order; inf if the rule diverged on any.

    Gains are bounded; see `bounded`.
    """
    pairs = zip(rule, baseline, strict=True)
    return mean_over_tasks(float(bounded(log_ratio(r, b), most_gain)) for r, b in pairs)


def bounded(log_ratios: np.ndarray | float, most_gain: float) -> np.ndarray:
    """Log-ratios to the baseline of which no gain is more than a limit, so that no task carries a
    rule: a gain x counts as x / (1 + x / G), half of it where x = G, a loss in full. However large
    a gain is, a larger one counts a little more; what ends in a plateau guides no search.
    """
    ratios = np.asarray(log_ratios, np.float64)
    if math.isinf(most_gain):
        return ratios
    with np.errstate(divide="ignore", invalid="ignore"):
        gains = 1 / (1 / -ratios + 1 / np.float64(most_gain))
    return np.where(ratios < 0, -gains, ratios)


def mean_over_tasks(ratios: Iterable[float]) -> float:
    """The mean of log-ratios; inf if the rule diverged on any task."""
    values = list(ratios)
    # Where the baseline diverged on another task, the mean of both infinities would be NaN.
    return math.inf if math.inf in values else float(np.mean(values))
