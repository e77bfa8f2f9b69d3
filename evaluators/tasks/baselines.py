"""Scores of known rules on every task, measured by `benchmarks/tasks.py`. Needs no JAX."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..task_names import split_scale

PATH = Path(__file__).with_name("baselines.json")


@dataclass(frozen=True)
class Baseline:
    """AdamW on a task, with its learning rate tuned on the default grid.

    Attributes:
      learning_rate: the best of the grid.
      score: mean over seeds; each seed is another problem.
      low, high: the range of the seeds' scores.
      milliseconds: one training run, by the machine, at one learning rate.
      others: scores of other rules, tuned in the same way, by name; None if all runs diverged.
    """

    learning_rate: float
    score: float
    low: float
    high: float
    milliseconds: float
    others: dict[str, float | None]


@dataclass(frozen=True)
class Reached:
    """What a known rule reaches on a task, as in `Baseline`; no score where all runs diverged."""

    rule: str
    learning_rate: float
    score: float | None
    low: float | None
    high: float | None


@functools.cache
def baselines() -> dict[str, Baseline]:
    """The baselines by task name."""
    return {name: Baseline(**row) for name, row in _kept()["tasks"].items()}


@functools.cache
def special_baselines() -> dict[str, tuple[Reached, ...]]:
    """By name of a task that asks something special of a rule, what known rules reach."""
    return {
        task: tuple(Reached(rule, **row) for rule, row in rows.items())
        for task, rows in _kept()["special"].items()
    }


def _kept() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(PATH.read_text(encoding="utf-8"))
    return found


def baseline_of(task: str) -> Baseline | None:
    """AdamW on a task; on a longer or wider one what it was as the task is listed, but for the
    duration, which is estimated: proportional to the steps and to the square of the width. None if
    it was never measured.
    """
    base, scale = split_scale(task)
    found = baselines().get(base)
    if found is None:
        return None
    return replace(found, milliseconds=found.milliseconds * scale.steps * scale.width**2)
