"""Steps to a target, and performance profiles over them, as AlgoPerf scores training algorithms.

Definitions: Dahl et al. 2023, "Benchmarking Neural Network Training Algorithms", section 4, and
Dolan & Moré 2002, "Benchmarking Optimization Software with Performance Profiles". Where this
differs from AlgoPerf, docs/evaluation.md says how and why. Steps are counted in gradient
evaluations: a step of SAM, which asks for two, counts as two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .scoring import TaskScore

# Validation scores taken over a run: its steps to target are known to 5 % of its length.
CHECKPOINTS = 20
# AlgoPerf's target-setting runs had three quarters of the budget that others get.
TARGET_AT = 0.75
# Who needs more than four times the fastest rule's steps gets no credit, as in AlgoPerf.
MOST_TAU = 4.0


@dataclass(frozen=True)
class StepsToTarget:
    """How soon a rule reaches the targets of a task, with its learning rate tuned for that.

    Attributes:
      targets: validation loss to reach, one per seed.
      learning_rate: the one that reaches the target on most seeds; of those, in the fewest steps.
      at_edge: whether that is the grid's lowest or highest.
      steps: one per seed; inf where the target was never reached.
      budget: steps of the whole run.
    """

    targets: tuple[float, ...]
    learning_rate: float
    at_edge: bool
    steps: tuple[float, ...]
    budget: int


def targets(baseline: TaskScore) -> tuple[float, ...] | None:
    """Validation loss to reach, one per seed, for each seed draws another problem.

    It is what the tuned baseline has three quarters through the run: the mean of its last two
    checkpoints by then. A target on a checkpoint would favour the baseline, which meets it just
    there, while an equally good rule comes a little earlier or later and is counted at the next
    checkpoint; and its best score so far would be a lucky one, which it alone has reached.

    Returns:
      None where there is no target: the baseline diverged, or its curve has not been taken at two
      checkpoints or more by then.
    """
    early = [i for i, t in enumerate(baseline.curve_steps) if t <= TARGET_AT * _budget(baseline)]
    if baseline.diverged or len(early) < 2:
        return None
    last_two = np.asarray(baseline.curve, np.float64)[:, baseline.best][:, early[-2:]]
    found = tuple(float(x) for x in last_two.mean(axis=1))
    return found if np.isfinite(found).all() else None


def first_reached(curve: np.ndarray, steps: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The step of the first checkpoint at or below the target; inf where there is none.

    A non-finite score reaches nothing, and nothing reaches a non-finite target. Nothing is
    interpolated: what counts was measured.

    Args:
      curve: validation scores, (…, C). steps: of the checkpoints, (C,), rising.
      target: (…).
    """
    aims = np.asarray(target, np.float64)[..., None]
    reached = np.isfinite(curve) & np.isfinite(aims) & (curve <= aims)
    first = np.asarray(steps, np.float64)[np.argmax(reached, axis=-1)]
    return np.where(reached.any(axis=-1), first, np.inf)


def steps_to_target(score: TaskScore, aims: tuple[float, ...]) -> StepsToTarget:
    """How soon a rule reaches the targets, one per seed of its score.

    The learning rate is tuned for just this, over all seeds at once, in the same way for every
    rule, the baseline included.

    Raises:
      ValueError: the score has no curve, or another number of seeds.
    """
    if not score.curve or len(aims) != len(score.seeds):
        raise ValueError(
            f"{score.task}: a curve for each of {len(aims)} seeds is needed;"
            f" the score has {len(score.curve)}"
        )
    curve = np.asarray(score.curve, np.float64)  # (S, L, C)
    checkpoints = np.asarray(score.curve_steps)
    steps = first_reached(curve, checkpoints, np.asarray(aims)[:, None])  # (S, L)
    best = min(range(steps.shape[1]), key=lambda rate: (*_order(steps[:, rate]), score.means[rate]))
    return StepsToTarget(
        aims,
        score.learning_rates[best],
        steps.shape[1] > 1 and best in (0, steps.shape[1] - 1),
        tuple(float(x) for x in steps[:, best]),
        _budget(score),
    )


def _order(steps: np.ndarray) -> tuple[int, float]:
    """Sorts a learning rate's steps, one per seed: most seeds first, then fewest steps."""
    reached = steps[np.isfinite(steps)]
    return -len(reached), float(np.mean(np.log(reached))) if len(reached) else math.inf


def _budget(score: TaskScore) -> int:
    return score.curve_steps[-1] if score.curve_steps else 0


def performance_ratios(times: np.ndarray) -> np.ndarray:
    """Each rule's time relative to the fastest rule's on the same problem.

    Args:
      times: (R, P): R rules, P problems; whatever is not finite was not reached.

    Returns:
      (R, P), at least 1; inf where the rule never arrived, so also where no rule did.

    Raises:
      ValueError: a time is not positive.
    """
    arrived = np.isfinite(times)
    if (times[arrived] <= 0).any():
        raise ValueError(f"times must be positive; the smallest is {times[arrived].min():g}")
    usable = np.where(arrived, times, np.inf)
    fastest = usable.min(axis=0)
    ratios = np.full(usable.shape, np.inf)
    np.divide(usable, fastest, out=ratios, where=arrived)
    return ratios


def profile(ratios: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """ρ(τ): the fraction of problems on which a rule is within a factor τ of the fastest.

    Args:
      ratios: (R, P). tau: (K,).

    Returns:
      (R, K), between 0 and 1, rising in τ.
    """
    return (ratios[:, :, None] <= tau).mean(axis=1)


def credit(ratios: np.ndarray, most: float = MOST_TAU) -> np.ndarray:
    """What each problem adds to a rule's score: 1 if it is the fastest, 0 from τ = `most` on.

    The score is AlgoPerf's: the area below the profile between 1 and `most`, divided by
    `most` − 1. A profile is a staircase, so its area is the mean of these, exactly; no grid of τ
    is needed, which would be off by up to a step.
    """
    return np.clip((most - ratios) / (most - 1), 0.0, 1.0)


def breakpoints(ratios: np.ndarray, most: float = MOST_TAU) -> np.ndarray:
    """The factors up to `most` at which any rule's profile rises, and both ends."""
    steps = ratios[np.isfinite(ratios) & (ratios < most)]
    return np.unique(np.concatenate([[1.0, most], steps]))
