"""The final comparison: task by task, over all of them, and over each tier that has several."""

from __future__ import annotations

import math

import pytest
from evoptax.evaluators.scores.scoring import TaskScore
from evoptax.search.selection.final_comparison import compared

TASKS = ("digits_conv", "cancer_mlp", "digits_autoencoder")  # a proxy, two validation tasks


def _scores(*factors: float, luck: int = 0) -> list[TaskScore]:
    """A score per task, of four seeds that differ a little."""
    noise = ((1.0, 1.01, 0.99, 1.02) * 2)[luck:][:4]
    return [
        TaskScore(task, (0.1,), (0, 1, 2, 3), tuple((factor * n,) for n in noise))
        for task, factor in zip(TASKS, factors, strict=True)
    ]


def test_tiers_are_compared_apart_where_they_have_several_tasks() -> None:
    rules = [
        _scores(0.5, 0.8, 0.9, luck=1),
        _scores(1.0, 1.0, 1.0),
        _scores(1.0, math.inf, 1.0, luck=2),
    ]
    rows, overall = compared(["ours", "adamw", "lion"], rules)
    assert [(row.rule, row.task) for row in rows[:3]] == [("ours", task) for task in TASKS]
    lines = {(o.against, o.tier): o for o in overall}
    assert list(lines) == [
        ("adamw", ""),
        ("lion", ""),
        ("adamw", "validation"),
        ("lion", "validation"),
    ]
    everywhere, tier = lines["adamw", ""], lines["adamw", "validation"]
    assert everywhere.mean == pytest.approx(math.log(0.5 * 0.8 * 0.9) / 3)
    assert tier.mean == pytest.approx(math.log(0.8 * 0.9) / 2)
    assert (everywhere.tasks, tier.tasks, tier.seeds) == (3, 2, 4)
    # Where a rival diverged, nothing is compared, and that is said.
    assert (lines["lion", ""].tasks, lines["lion", ""].left_out) == (2, 1)
    assert (lines["lion", "validation"].tasks, lines["lion", "validation"].left_out) == (1, 1)


def test_one_tier_alone_is_not_listed_twice() -> None:
    both = [_scores(0.5, 0.5, 0.5, luck=1)[1:], _scores(1.0, 1.0, 1.0)[1:]]
    _, overall = compared(["ours", "adamw"], both)
    assert [o.tier for o in overall] == [""]
