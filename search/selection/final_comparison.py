"""The best rule beside the baseline and its rivals, on tasks by which nothing was chosen."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...evaluators.scores.comparison import compare
from ...evaluators.scores.scoring import TaskScore, log_ratios
from ...evaluators.scores.statistics import estimate
from ...evaluators.tasks import tier_of
from ..store.outcome import Overall, Row


def compared(
    names: Sequence[str],
    scores: Sequence[Sequence[TaskScore]],
    tuned: Sequence[Sequence[TaskScore]] = (),
) -> tuple[tuple[Row, ...], tuple[Overall, ...]]:
    """The final comparison.

    Args:
      names: the best rule, the baseline, its rivals.
      scores: of each, a score per task, with the same seeds.
      tuned: the same of the baseline and its rivals with tuned constants; none if they have none.

    Returns:
      A row per rule and task, relative to the baseline with tuned constants if there is one, and
      the best rule against each other one over all tasks, then over those of each tier that has
      several, but not all.
    """
    best, base = scores[0], (tuned or scores[1:])[0]
    # A search that found nothing better would list its starter and baseline twice.
    places = range(1 if names[0] == names[1] else 0, len(names))
    listed = [(names[place], scores[place], False) for place in places]
    listed += [(name, own, True) for name, own in zip(names[1:], tuned, strict=False)]
    rows = [
        replace(_row(name, own, other, is_baseline=of_all is base), tuned=is_tuned)
        for name, of_all, is_tuned in listed
        for own, other in zip(of_all, base, strict=True)
    ]
    tiers = Counter(tier_of(score.task) for score in best)
    # A tier of one task is the task's own line again.
    several = [tier for tier, tasks in tiers.items() if tier and 1 < tasks < len(best)]
    overall = [
        replace(_overall(name, best, of_all, tier), tuned=is_tuned)
        for tier in ["", *several]
        for wanted in (True, False)
        for name, of_all, is_tuned in listed
        if name != names[0] and is_tuned == wanted
    ]
    return tuple(rows), tuple(overall)


def _overall(
    against: str, best: Sequence[TaskScore], other: Sequence[TaskScore], tier: str
) -> Overall:
    """Only tasks on which the other did not diverge compare anything."""
    every = [pair for pair in zip(best, other, strict=True) if tier in ("", tier_of(pair[0].task))]
    pairs = [(a, b) for a, b in every if not b.diverged]
    found = estimate(np.array([log_ratios(a, b) for a, b in pairs]))
    seeds = min((len(a.seeds) for a, _ in pairs), default=0)
    sure = (found.mean, found.low, found.high, found.p)
    return Overall(against, *sure, len(pairs), seeds, len(every) - len(pairs), tier)


def _row(rule: str, score: TaskScore, base: TaskScore, *, is_baseline: bool) -> Row:
    row = Row(
        rule,
        score.task,
        score.learning_rate,
        score.value,
        len(score.seeds),
        solved=score.solved,
    )
    if is_baseline or score.diverged or base.diverged:
        return row
    found = compare(score, base)
    return replace(
        row,
        log_ratio=found.mean,
        low=found.low if found.bounded else None,
        high=found.high if found.bounded else None,
        p=None if math.isnan(found.p) else found.p,
    )
