"""Tuning the constants of a rule."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .dsl.program import Program
from .rules import Rule, rule
from .tasks import Tasks, task_names, workers_for

if TYPE_CHECKING:
    from .evaluators.scores.statistics import Estimate
    from .search.selection.tuning.tune import Change


@dataclass(frozen=True)
class TunedRule:
    """What tuning found. It shows itself in a notebook.

    Attributes:
      rule: with its new constants, or as it was if they are no better.
      changes: the constants that differ, with their values before and after.
      effect: log-ratio of validation losses, new over old, on seeds that tuning has not seen.
      runs: how many training runs it took.
    """

    rule: Rule
    changes: tuple[Change, ...]
    effect: Estimate
    runs: int

    def _repr_html_(self) -> str:
        return self.rule._repr_html_()


def tune(
    source: str | os.PathLike[str] | Program | Rule,
    tasks: Tasks = "proxy",
    *,
    trials: int = 108,
    seeds: int = 6,
    seed: int = 0,
    schedule: str = "cosine",
    workers: int | str = 0,
    runs_dir: Any = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TunedRule:
    """Tunes the constants of a rule on some tasks, its learning rate on each task alike.

    Args:
      source: what `evoptax.rule` takes.
      tasks: see `evoptax.evaluate`.
      trials: how many sets of constants are tried, rounded up to whole generations of nine.
      seeds: of every task, on which the new constants have to be better.
      seed: of the evolution strategy.
      schedule: what learning rates are multiplied by at each step.
      workers: processes that train, 0 for one per core; or the name of another executor.
      runs_dir: where runs are kept; see `rules.runs_folder`.
      should_stop: asked while waiting.

    Raises:
      UserError: naming what is wrong.
      Stopped: `should_stop` said so.
    """
    from .search.execution.base import open_executor
    from .search.execution.jobs import Memory, Trials
    from .search.selection.tuning.tune import POPULATION
    from .search.selection.tuning.tune import tune as tuned

    program, names = rule(source, runs_dir=runs_dir).program, task_names(tasks)
    with open_executor(names, workers_for(tasks, workers) or 0) as opened:
        found = tuned(
            program,
            dict.fromkeys(names),
            Trials(opened, Memory(), should_stop),
            seed=seed,
            generations=-(-trials // POPULATION),
            seeds=seeds,
            schedule=schedule,
        )
    return TunedRule(Rule(found.program), found.changes, found.effect, found.runs)
