"""`evoptax.evaluate`: compares rules on tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .dsl.errors import UserError
from .dsl.program import Program
from .rules import Rules, listed, rule
from .search.config.rules import is_text
from .tasks import Tasks, task_names, workers_for

if TYPE_CHECKING:
    from .search.execution.scheduling import Report
    from .search.selection.evaluation import Evaluation, Tuning


def evaluate(
    rules: Rules,
    tasks: Tasks = "proxy",
    *,
    against: Rules = "adamw",
    seeds: int = 3,
    rate_seeds: int = 0,
    schedule: str = "constant",
    tune: int = 0,
    tune_on: Tasks = "proxy",
    protocol: bool = False,
    workers: int | str = 0,
    backend: str = "",
    runs_dir: Any = None,
    report: Report = lambda training: None,
    should_stop: Callable[[], bool] = lambda: False,
    note: Callable[[str], None] = lambda sentence: None,
    tuning: Callable[[str, int], None] = lambda rule, tried: None,
) -> Evaluation:
    """Compares rules on tasks, each with its learning rate tuned in the same way.

    Args:
      rules: one or several rules, each as `evoptax.rule` accepts it.
      tasks: names of tasks, tiers ("proxy", "validation", "target") or FILE.py:NAME, separated by
        commas; or a list of these and of task objects.
      against: rules to compare with, in the same form; the first is the baseline.
      seeds: training runs of each rule on each task.
      rate_seeds: training runs, with other seeds, by which learning rates are chosen; then only
        those are trained with `seeds`, which is several times faster. 0: all rates are trained with
        all seeds, and the best one counts.
      schedule: of the learning rate: "constant", "cosine" or "linear".
      tune: if not 0, the constants of every rule, the baseline's too, are tuned before, with at
        most this many sets of them; see `evoptax.tune`.
      tune_on: the tasks on which that is done, with other seeds than those of the comparison.
      protocol: whether warm-up, final rate and gradient clipping are tuned with the constants.
      workers: the number of processes, 0 for one per core; or the name of another executor.
      backend: name of the backend; by default the fastest for each task.
      runs_dir: the folder of runs; see `rules.runs_folder`.
      report, should_stop: see `search.execution.scheduling.train`.
      note: called with a sentence for each rule that is left out.
      tuning: called with a rule's name and how many sets of constants were tried for it so far.

    Returns:
      The comparison; docs/evaluation.md explains every number.

    Raises:
      UserError: names the mistake.
      Stopped: `should_stop` returned true. Finished scores are stored; the same call continues.
    """
    asked, opponents = _named(rules, runs_dir), _named(against, runs_dir)
    if not asked or not opponents:
        what = "there is no rule to compare with" if asked else "there is no rule to evaluate"
        raise UserError(f"{what}; accepted: rules such as adamw")
    from .search.execution.base import open_executor
    from .search.selection import evaluation

    names, baseline = task_names(tasks), next(iter(opponents))
    programs, left_out = evaluation.trainable({**asked, **opponents}, list(asked), baseline)
    for sentence in left_out:
        note(sentence)
    tuned = None
    if tune:
        tuned = _tuned(
            programs,
            tune_on,
            tune,
            workers,
            protocol=protocol,
            schedule=schedule,
            report=tuning,
            should_stop=should_stop,
        )
        programs = {name: found.program for name, found in tuned.rules.items()}
    with open_executor(names, workers_for(tasks, workers) or 0) as opened:
        found = evaluation.evaluate(
            programs,
            baseline,
            opened,
            seeds=seeds,
            rate_seeds=rate_seeds,
            schedule=schedule,
            backend=backend,
            protocols={n: t.protocol for n, t in tuned.rules.items()} if tuned else None,
            report=report,
            should_stop=should_stop,
        )
    return replace(found, tuning=tuned)


def _tuned(
    programs: Mapping[str, Program],
    tasks: Tasks,
    trials: int,
    workers: int | str,
    *,
    report: Callable[[str, int], None],
    **options: Any,
) -> Tuning:
    """All rules with their constants tuned in the same way; see `evaluate`."""
    from .search.selection.evaluation import Tuning
    from .tuning import tuned_programs

    names = task_names(tasks)
    found = tuned_programs(
        programs,
        names,
        workers_for(tasks, workers) or 0,
        budget=trials,
        report=report,
        **options,
    )
    return Tuning(trials, names, options["protocol"], found)


def _named(rules: Rules, runs_dir: Any) -> Mapping[str, Program]:
    """Programs by the name that the caller gave, or else by their own name."""
    found: dict[str, Program] = {}
    for source in listed(rules):
        program = rule(source, runs_dir=runs_dir).program
        is_name = isinstance(source, str) and not is_text(source)
        name = str(source) if is_name else program.name
        if found.setdefault(name, program) != program:
            raise UserError(f"two rules are named '{name}'; give one of them another name")
    return found
