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
    names: Sequence[str], scores: Sequence[Sequence[TaskScore]]
) -> tuple[tuple[Row, ...], tuple[Overall, ...]]:
    """The final comparison.

    Args:
      names: the best rule, the baseline, its rivals.
      scores: of each, a score per task, with the same seeds.

    Returns:
      A row per rule and task, and the best rule against each other one over all tasks, then over
      those of each tier that has several, but not all.
    """
    best, base = scores[0], scores[1]
    # A search that found nothing better would list its starter and baseline twice.
    places = range(1 if names[0] == names[1] else 0, len(names))
    rows = [
        _row(names[place], own, other, is_baseline=place == 1)
        for place in places
        for own, other in zip(scores[place], base, strict=True)
    ]
    tiers = Counter(tier_of(score.task) for score in best)
    # A tier of one task is the task's own line again.
    several = [tier for tier, tasks in tiers.items() if tier and 1 < tasks < len(best)]
    overall = [
        _overall(names[place], best, scores[place], tier)
        for tier in ["", *several]
        for place in range(1, len(names))
        if names[place] != names[0]
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
