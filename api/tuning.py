"""`evoptax.tune`: tunes the constants of a rule."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from .dsl.errors import UserError
from .dsl.program import Program
from .rules import Rule, rule
from .search.config.stages import TUNE_SEEDS, TUNE_TRIALS
from .tasks import Tasks, task_names, workers_for

if TYPE_CHECKING:
    from .evaluators.protocol import Protocol
    from .evaluators.scores.statistics import Estimate
    from .search.selection.tuning.tune import Change, Tuned


@dataclass(frozen=True)
class TunedRule:
    """The result of `tune`. A notebook displays the rule.

    Attributes:
      rule: the rule with its new constants, which are the old ones if those are not worse, and with
        the median of its best learning rates on the tasks as default.
      changes: the constants that differ, with their values before and after.
      effect: log-ratio of validation losses, new over old constants, on unseen seeds.
      runs: the number of training runs.
      trials: the number of sets of constants that were tried; less than the budget if no better
        ones were found for long.
      protocol: the warm-up, final rate and gradient clipping to train with; the usual ones if they
        were not tuned.
    """

    rule: Rule
    changes: tuple[Change, ...]
    effect: Estimate
    runs: int
    trials: int
    protocol: Protocol

    def _repr_html_(self) -> str:
        return self.rule._repr_html_()


def tune(
    source: str | os.PathLike[str] | Program | Rule,
    tasks: Tasks = "proxy",
    *,
    trials: int = TUNE_TRIALS,
    protocol: bool = False,
    seeds: int = TUNE_SEEDS,
    seed: int = 0,
    schedule: str = "cosine",
    workers: int | str = 0,
    runs_dir: Any = None,
    report: Callable[[int], None] = lambda tried: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TunedRule:
    """Tunes the constants of a rule on some tasks, with the best learning rate on each task.

    Args:
      source: a rule, as `evoptax.rule` accepts it.
      tasks: see `evoptax.evaluate`.
      trials: the largest number of sets of constants to try.
      protocol: whether warm-up, final rate and gradient clipping are tuned too.
      seeds: the number of unseen seeds per task on which the new constants must be better.
      seed: of the evolution strategy.
      schedule: of the learning rate; see `evoptax.evaluate`.
      workers: the number of processes, 0 for one per core; or the name of another executor.
      runs_dir: the folder of runs; see `rules.runs_folder`.
      report: called with the number of sets tried so far.
      should_stop: polled while waiting.

    Raises:
      UserError: names the mistake.
      Stopped: `should_stop` returned true.
    """
    from .evaluators.scores.learning_rates import with_median_rate

    program, names = rule(source, runs_dir=runs_dir).program, task_names(tasks)
    (found,) = tuned_programs(
        {program.name: program},
        names,
        workers_for(tasks, workers) or 0,
        budget=trials,
        protocol=protocol,
        seeds=seeds,
        seed=seed,
        schedule=schedule,
        report=lambda name, tried: report(tried),
        should_stop=should_stop,
    ).values()
    return TunedRule(
        Rule(with_median_rate(found.program, found.rates.values())),
        found.changes,
        found.effect,
        found.runs,
        found.trials,
        found.protocol,
    )


def tuned_programs(
    programs: Mapping[str, Program],
    tasks: Sequence[str],
    workers: int | str,
    *,
    report: Callable[[str, int], None],
    should_stop: Callable[[], bool],
    **options: Any,
) -> dict[str, Tuned]:
    """Programs with tuned constants by name, each found in the user's cache if it was tuned before.

    Args:
      programs: by name. tasks: names. workers, options: see `tune`.
      report: called with a name and the number of sets tried so far.
      should_stop: polled while waiting.

    Raises:
      UserError: a task cannot be loaded, or training does not provide what a rule needs.
      Stopped: `should_stop` returned true.
    """
    from .dsl.inputs import Source, refusal
    from .search.execution.base import open_executor
    from .search.execution.jobs import Memory, Trials
    from .search.selection.tuning.kept import tuned_once

    for name, program in programs.items():
        if lack := refusal(program, Source.TRAINING):
            raise UserError(f"{name} {lack}")
    with open_executor(tasks, workers) as opened:
        trials = Trials(opened, Memory(), should_stop)
        on = dict.fromkeys(tasks)
        return {
            name: tuned_once(program, on, trials, report=partial(report, name), **options)
            for name, program in programs.items()
        }
