"""`evoptax.tune`: tunes the constants of a rule."""

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
    """The result of `tune`. A notebook displays the rule.

    Attributes:
      rule: the rule with its new constants; unchanged if they are not better.
      changes: the constants that differ, with their values before and after.
      effect: log-ratio of validation losses, new over old constants, on unseen seeds.
      runs: the number of training runs.
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
    """Tunes the constants of a rule on some tasks, with the best learning rate on each task.

    Args:
      source: a rule, as `evoptax.rule` accepts it.
      tasks: see `evoptax.evaluate`.
      trials: the number of sets of constants to try, rounded up to whole generations of nine.
      seeds: the number of unseen seeds per task on which the new constants must be better.
      seed: of the evolution strategy.
      schedule: of the learning rate; see `evoptax.evaluate`.
      workers: the number of processes, 0 for one per core; or the name of another executor.
      runs_dir: the folder of runs; see `rules.runs_folder`.
      should_stop: polled while waiting.

    Raises:
      UserError: names the mistake.
      Stopped: `should_stop` returned true.
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
