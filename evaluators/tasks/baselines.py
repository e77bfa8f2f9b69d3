"""Scores of known rules on every task, measured by `benchmarks/tasks.py`. Needs no JAX."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

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


@functools.cache
def baselines() -> dict[str, Baseline]:
    """The baselines by task name."""
    rows = json.loads(PATH.read_text(encoding="utf-8"))["tasks"]
    return {name: Baseline(**row) for name, row in rows.items()}
