"""Hurdles: a run that is hopelessly behind the baseline is stopped long before its end.

At each checkpoint, the best of a rule's learning rates is compared with the best of the baseline's
on the same seed. Nothing is compiled for it: the training loop stops at checkpoints anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .scoring import TaskScore, log_ratio


@dataclass(frozen=True)
class Hurdle:
    """What a rule must keep up with.

    Attributes:
      baseline: its score, with a curve.
      behind: the log-ratio of validation losses, rule over baseline, beyond which a run is
        stopped (0.4: about 50 % higher).
    """

    baseline: TaskScore
    behind: float

    def cleared(self, seed: int, steps: int, scores: np.ndarray) -> bool:
        """Whether to go on.

        Args:
          seed: one of the baseline's. steps: a checkpoint of the baseline's.
          scores: validation loss of every learning rate, shape (L,); inf where diverged.
        """
        curves = np.array(self.baseline.curve[self.baseline.seeds.index(seed)])
        base = curves[:, self.baseline.curve_steps.index(steps)].min()
        # As a product: losses may be zero, and a baseline that has diverged stops nobody.
        return bool(scores.min() <= base * np.exp(self.behind))


def log_ratio_when_stopped(rule: TaskScore, baseline: TaskScore) -> float:
    """Mean over seeds of log(rule / baseline) at the step where the rule was stopped."""
    assert rule.stopped_at is not None
    place = baseline.curve_steps.index(rule.stopped_at)
    scores = tuple(tuple(rate[place] for rate in row) for row in baseline.curve)
    return log_ratio(rule, TaskScore(rule.task, baseline.learning_rates, baseline.seeds, scores))
