"""How far a result holds: the same rules on longer and wider versions of the tasks they were
compared on, with the constants that they were compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from ...dsl.program import Program
from ...dsl.syntax import format_program
from ...evaluators.backends.base import COMPILED
from ...evaluators.scores.cost import Cost
from ...evaluators.scores.learning_rates import Grid
from ...evaluators.scores.scoring import TaskScore
from ...evaluators.task_names import split_scale
from ..config.seeds import FRESH
from ..config.settings import Stage
from ..config.stages import jobs_of, scaled_grid
from ..execution.base import Executor
from ..execution.jobs import Job
from ..store.outcome import Overall, Row
from .final_comparison import compared


@dataclass(frozen=True)
class Scaled:
    """How far the final comparison of a search holds; see `Outcome`."""

    rows: tuple[Row, ...] = ()
    overall: tuple[Overall, ...] = ()
    costs: Mapping[str, Cost] = field(default_factory=dict)


def grid_on(base: TaskScore | None) -> Grid | None:
    """The initial learning rates on a longer or wider task, from the score on the task as it is
    listed; None, for the usual grid, where there is no such score, or the rule diverged.
    """
    return None if base is None or base.diverged else scaled_grid(base.learning_rate)


def scaled_jobs(
    rules: Sequence[Program], scores: Sequence[Sequence[TaskScore]], stage: Stage
) -> list[Job]:
    """The jobs of a stage of longer and wider tasks, rule by rule.

    Args:
      rules: the best rule first. scores: of each on the tasks that it was compared on.
    """
    jobs: list[Job] = []
    for place, (rule, own) in enumerate(zip(rules, scores, strict=True)):
        found = {score.task: score for score in own}
        for task in stage.tasks:
            grid = grid_on(found.get(split_scale(task)[0]))
            on = replace(stage, tasks=(task,), learning_rates=grid or stage.learning_rates)
            # Known rules score the same in every run, so their scores go to the user's cache.
            jobs += jobs_of(rule, on, COMPILED, FRESH, shared=place > 0)
    return jobs


def compared_by_scale(
    names: Sequence[str],
    scores: Sequence[TaskScore],
    tasks: Sequence[str],
    costs: Mapping[str, Cost],
    *,
    tuned: bool,
) -> Scaled:
    """The comparison on longer and wider tasks.

    Args:
      names: the best rule, the baseline, its rivals. scores: of each on all tasks, rule by rule.
      costs: by rule. tuned: whether all but the first have tuned constants.
    """
    by_rule = [scores[i * len(tasks) :][: len(tasks)] for i in range(len(names))]
    by_scale: dict[str, list[int]] = {}
    for place, task in enumerate(tasks):
        by_scale.setdefault(str(split_scale(task)[1]), []).append(place)
    rows: list[Row] = []
    overall: list[Overall] = []
    for scale, places in by_scale.items():
        first, *rest = ([own[place] for place in places] for own in by_rule)
        lines, over = compared(names, [first, *rest], rest if tuned else ())
        rows += [line for line in lines if line.tuned == tuned or line.rule == names[0]]
        overall += [
            replace(line, tier=scale) for line in over if not line.tier and line.tuned == tuned
        ]
    return Scaled(tuple(rows), tuple(overall), costs)


def costs_of(
    rules: Mapping[str, Program],
    tasks: Sequence[str],
    workers: Executor,
    wait: Callable[[Future[Any]], Any],
) -> dict[str, Cost]:
    """What each rule costs on the largest of some tasks, measured one after the other.

    Args:
      rules: by name. tasks: those that the workers have loaded.
      wait: waits for an answer of a worker.
    """
    found: dict[str, Cost] = {}
    for name, program in rules.items():
        request = {"do": "cost", "program": format_program(program), "tasks": list(tasks)}
        found[name] = Cost(**wait(workers.submit(request, f"timing {name}")))
    return found
