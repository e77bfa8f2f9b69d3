"""The baseline's curve: what candidates are measured by, and stopped by when hopelessly behind.

At each checkpoint the best of a rule's learning rates is compared with the best of the baseline's
on the same seed. Nothing is compiled for it: the training loop stops at checkpoints anyway.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .scoring import TaskScore, above_floor, bounded, log_losses


@dataclass(frozen=True)
class BaselineCurve:
    """How a tuned rule does on a task, seed by seed.

    Attributes:
      seeds: S numbers.
      final: validation loss at the end, at the tuned learning rate, shape (S,).
      steps: of C checkpoints. losses: validation loss there at the best rate of each, shape (S, C).
      floor: what losses on the task are measured from; see `floor_of`.
    """

    seeds: tuple[int, ...]
    final: tuple[float, ...]
    steps: tuple[int, ...]
    losses: tuple[tuple[float, ...], ...]
    floor: float = 0.0

    def at(self, seed: int, step: int) -> float:
        """The loss of a seed at a checkpoint."""
        return self.losses[self.seeds.index(seed)][self.steps.index(step)]

    def log_ratio(self, rule: TaskScore, most_gain: float = math.inf) -> float:
        """Mean over seeds of log(rule / this): at the end, or where the rule was stopped.

        Args:
          rule: its score with the same seeds and checkpoints.
          most_gain: see `bounded`.

        Returns:
          Negative is better; inf if the rule diverged.
        """
        if rule.diverged:
            return math.inf
        if rule.stopped_at is None:
            own, base = rule.by_seed, self.final
        else:
            own = tuple(min(rates) for rates in rule.scores)
            base = tuple(self.at(seed, rule.stopped_at) for seed in rule.seeds)
        ratios = log_losses(own, self.floor) - log_losses(base, self.floor)
        return float(bounded(np.mean(ratios), most_gain))


def baseline_curve(score: TaskScore) -> BaselineCurve:
    """The curve of a rule from its score, which has a curve."""
    losses = np.array(score.curve).min(axis=1)
    rows = tuple(tuple(map(float, x)) for x in losses)
    return BaselineCurve(score.seeds, score.by_seed, score.curve_steps, rows, score.floor)


def curve_from_plain(data: dict[str, Any]) -> BaselineCurve:
    """From JSON, which has lists for tuples."""
    return BaselineCurve(
        tuple(data["seeds"]),
        tuple(data["final"]),
        tuple(data["steps"]),
        tuple(tuple(row) for row in data["losses"]),
        data["floor"],
    )


@dataclass(frozen=True)
class EarlyStopping:
    """What a rule must keep up with.

    Attributes:
      baseline: its curve.
      behind: the log-ratio of validation losses, rule over baseline, beyond which a run is
        stopped (0.4: about 50 % higher).
    """

    baseline: BaselineCurve
    behind: float

    def stops(self, seed: int, steps: int, scores: np.ndarray) -> bool:
        """Whether a run is too far behind to go on.

        Args:
          seed: one of the baseline's. steps: a checkpoint of the baseline's.
          scores: validation loss of every learning rate, shape (L,); inf where diverged.
        """
        # As a product: a baseline that has diverged stops nobody.
        floor = self.baseline.floor
        own, base = (
            above_floor(scores.min(), floor),
            above_floor(self.baseline.at(seed, steps), floor),
        )
        return not own <= base * np.exp(self.behind)
