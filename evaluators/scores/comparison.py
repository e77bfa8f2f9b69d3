"""Several rules against one baseline over several tasks: how good, how fast, how sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .certainty import holm, side
from .profiles import (
    StepsToTarget,
    breakpoints,
    credit,
    performance_ratios,
    profile,
    steps_to_target,
    targets,
)
from .scoring import TaskScore, log_ratio, log_ratios
from .statistics import Estimate, bootstrap_interval, estimate

Scores = Mapping[tuple[str, str], TaskScore]  # by rule and task


@dataclass(frozen=True)
class Speed:
    """How soon a rule reaches the targets that the baseline set.

    Attributes:
      ratio: log of its steps to target relative to the baseline's, over tasks and seeds. A target
        that it never reached counts as reached at the end of the run, so the ratio is a lower
        bound wherever `reached` is less than `problems`.
      p_holm: the p-value after Holm's correction over all rules.
      reached: how many of the `problems` (tasks × seeds) it solved.
      profile: its performance profile as points (τ, ρ): from τ on the fraction is ρ.
      score: AlgoPerf's benchmark score, the area below the profile, with its interval.
      by_task: how it was tuned on each task, and its steps.
    """

    ratio: Estimate
    p_holm: float
    reached: int
    problems: int
    profile: tuple[tuple[float, float], ...]
    score: Estimate
    by_task: dict[str, StepsToTarget]


@dataclass(frozen=True)
class RuleResult:
    """A rule beside the baseline.

    Attributes:
      rule: its name.
      loss: log of its validation loss relative to the baseline's, over tasks and seeds.
      p_holm: the p-value after Holm's correction over all rules.
      speed: None where no task has a target.
    """

    rule: str
    loss: Estimate
    p_holm: float
    speed: Speed | None

    @property
    def side(self) -> int:
        """−1 where it is surely better than the baseline, 1 where surely worse, 0 where open."""
        return side(self.loss.mean, self.loss.low, self.loss.high, self.p_holm)


def compare_rules(
    scores: Scores, rules: Sequence[str], tasks: Sequence[str], baseline: str
) -> list[RuleResult]:
    """Results of all rules, best first.

    A task on which the baseline diverged compares nothing and is left out.

    Args:
      scores: of every rule on every task, with the same learning rates and seeds.
      rules: names, the baseline's among them.
      tasks: names.
      baseline: the rule that the others are compared with.
    """
    usable = [task for task in tasks if not scores[baseline, task].diverged]
    losses = {
        rule: _estimate(
            [log_ratios(scores[rule, task], scores[baseline, task]) for task in usable],
            is_baseline=rule == baseline,
        )
        for rule in rules
    }
    corrected = holm([losses[rule].p for rule in rules])
    speeds = _speeds(scores, rules, usable, baseline)
    results = [
        RuleResult(rule, losses[rule], p, speeds.get(rule))
        for rule, p in zip(rules, corrected, strict=True)
    ]
    # NaN, where no task is left, has no order; then the rules stay in theirs.
    return sorted(results, key=lambda result: result.loss.mean) if usable else results


def compare(rule: TaskScore, baseline: TaskScore) -> Estimate:
    """Compares two rules on a task, seed by seed, each at its own tuned learning rate.

    Returns:
      The log-ratio of validation losses above their task's floor, rule over baseline, over seeds;
      inf if the rule diverged, −inf if the baseline alone did, both without an interval.
    """
    if rule.diverged or baseline.diverged:
        return Estimate(log_ratio(rule, baseline))
    return estimate(log_ratios(rule, baseline)[None])


def _estimate(differences: Sequence[np.ndarray], *, is_baseline: bool) -> Estimate:
    """Of differences (T, S); the baseline is not compared with itself."""
    return Estimate(0.0) if is_baseline else estimate(np.asarray(differences, np.float64))


def _speeds(
    scores: Scores, rules: Sequence[str], tasks: Sequence[str], baseline: str
) -> dict[str, Speed]:
    """Speed of every rule on the tasks that have a target; empty if there is none."""
    set_by_baseline = {task: targets(scores[baseline, task]) for task in tasks}
    aims = {task: aim for task, aim in set_by_baseline.items() if aim is not None}
    if not aims:
        return {}
    found = {
        rule: {task: steps_to_target(scores[rule, task], aims[task]) for task in aims}
        for rule in rules
    }
    times = np.array([[found[rule][task].steps for task in aims] for rule in rules])  # (R, T, S)
    budgets = np.array([[found[rule][task].budget for task in aims] for rule in rules])
    logs = np.log(np.minimum(times, budgets[:, :, None]))
    own = {rule: logs[i] for i, rule in enumerate(rules)}
    steps = {
        rule: _estimate(list(own[rule] - own[baseline]), is_baseline=rule == baseline)
        for rule in rules
    }
    corrected = holm([steps[rule].p for rule in rules])
    # A problem is a task and a seed: each seed draws another.
    ratios = performance_ratios(times.reshape(len(rules), -1))
    tau = breakpoints(ratios)
    profiles = profile(ratios, tau)
    earned = credit(ratios).reshape(times.shape)
    return {
        rule: Speed(
            steps[rule],
            corrected[i],
            int(np.isfinite(times[i]).sum()),
            times[i].size,
            tuple((float(t), float(r)) for t, r in zip(tau, profiles[i], strict=True)),
            _fraction(earned[i]),
            found[rule],
        )
        for i, rule in enumerate(rules)
    }


def _fraction(values: np.ndarray) -> Estimate:
    """Mean of values between 0 and 1, and what of its interval lies there, unless that is all."""
    mean = float(values.mean())
    low, high = bootstrap_interval(values)
    if not np.isfinite([low, high]).all() or (low <= 0 and high >= 1):
        return Estimate(mean)
    return Estimate(mean, max(low, 0.0), min(high, 1.0))
