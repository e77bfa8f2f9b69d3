"""`evoptax evaluate`: rules on tasks, each with its learning rate tuned in the same way."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..dsl.errors import UserError
from ..dsl.program import LEARNING_RATE, Program
from ..evaluators.schedules import SCHEDULES
from ..evaluators.tasks import list_tasks, task_info
from ..rules import read_rule
from ..search.config.settings import Stage
from .arguments import (
    add_format,
    add_runs_dir,
    add_setting,
    add_workers,
    command,
    split_names,
)
from .entry import STOPPED
from .evaluation import Evaluation, as_json, print_evaluation
from .output import print_json, print_note
from .signals import interrupted_by_signals

if TYPE_CHECKING:
    from ..evaluators.scoring import TaskScore
    from ..search.execution.base import Executor

TIERS = ("proxy", "validation", "target")


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(subparsers, "evaluate", "compare rules on tasks", run)
    parser.add_argument("rules", nargs="+", metavar="RULE", help="with spaces or commas between")
    parser.add_argument(
        "--tasks",
        default="proxy",
        metavar="TASKS",
        help="proxy, validation, target, task names or FILE.py:NAME, with commas between"
        " (default: proxy)",
    )
    parser.add_argument(
        "--against",
        default="adamw",
        metavar="RULES",
        help="rules added to the table; scores are relative to the first (default: adamw)",
    )
    add_setting(
        parser,
        "--seeds",
        Stage,
        "seeds",
        default=3,
        metavar="N",
        help="training runs of each rule on each task (default: 3)",
    )
    parser.add_argument(
        "--schedule",
        default="constant",
        choices=SCHEDULES,
        help="what all learning rates are multiplied by at each step (default: constant;"
        " searches use cosine)",
    )
    add_workers(parser, default=0)
    add_format(parser, "text", "json")
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    asked, against = split_names(args.rules), split_names([args.against])
    if not asked or not against:
        what = "--against" if asked else "RULE"
        raise UserError(f"{what} names no rule; accepted: rules such as adamw")
    names = list(dict.fromkeys([*asked, *against]))
    programs = _trainable({name: read_rule(name, args.runs_dir) for name in names}, asked, against)
    from ..search.execution.base import open_executor

    tasks = _tasks(args.tasks)
    try:
        with interrupted_by_signals(), open_executor(tasks, args.workers) as workers:
            tiers = workers.tiers()
            scores = _scores(programs, tiers, args.seeds, args.schedule, workers)
    except KeyboardInterrupt:
        print(
            "\nevoptax: stopped; what was trained is kept, and the same command goes on from there",
            file=sys.stderr,
        )
        return STOPPED
    from ..evaluators.comparison import compare_rules

    results = compare_rules(scores, list(programs), list(tiers), against[0])
    tuned = {name for name, program in programs.items() if LEARNING_RATE in program.defaults}
    evaluation = Evaluation(
        against[0], list(tiers), args.seeds, args.schedule, results, scores, tuned
    )
    if args.format == "json":
        print_json(as_json(evaluation))
    else:
        print_evaluation(evaluation)
    return 0


def _trainable(
    programs: dict[str, Program], asked: list[str], against: list[str]
) -> dict[str, Program]:
    """Leaves out what no task can train, and says so."""
    solvers = [name for name, program in programs.items() if "A" in program.inputs]
    for name in solvers:
        reason = f"{name} solves linear systems A w = b and cannot train a model"
        if name == against[0] or all(rule in solvers for rule in asked):
            raise UserError(reason)
        print_note(f"{reason}; it is left out")
    return {name: program for name, program in programs.items() if name not in solvers}


def _tasks(text: str) -> list[str]:
    """The tasks that are named, or whose tier is, each once.

    Raises:
      UserError: no task is named, or a built-in one does not exist.
    """
    names: list[str] = []
    for name in split_names([text]):
        names += [info.name for info in list_tasks(name)] if name in TIERS else [name]
    if not names:
        raise UserError("--tasks names no task; accepted: proxy, digits_mlp, FILE.py:NAME, …")
    for name in names:
        if ":" not in name:
            task_info(name)
    return list(dict.fromkeys(names))


def _scores(
    programs: dict[str, Program],
    tiers: Mapping[str, str],
    seeds: int,
    schedule: str,
    workers: Executor,
) -> dict[tuple[str, str], TaskScore]:
    """Scores by rule and task, kept in the user's cache."""
    from ..evaluators.evaluate import Fidelity
    from ..evaluators.profiles import CHECKPOINTS
    from ..evaluators.scoring import LEARNING_RATES
    from ..search.config.stages import MOVES
    from ..search.execution.jobs import Job
    from .evaluation_training import Run, train

    fits = {name: _fits_the_plain_machine(program) for name, program in programs.items()}

    def trained(grids: dict[tuple[str, str], tuple[float, ...]]) -> dict[Any, TaskScore]:
        jobs = {}
        for (name, task), rates in grids.items():
            # Long runs repay a compilation of their own; short ones do not.
            path: Any = "machine" if tiers[task] == "proxy" and fits[name] else "fused"
            for seed in range(seeds):
                fidelity = Fidelity(rates, (seed,), checkpoints=CHECKPOINTS, schedule=schedule)
                job = Job(programs[name], task, fidelity, path, shared=True)
                jobs[Run(name, task, seed)] = job
        return train(jobs, workers)

    scores = trained({(name, task): LEARNING_RATES for name in programs for task in tiers})
    at_edge = {pair for pair in scores if LEARNING_RATE in programs[pair[0]].defaults}
    for _ in range(MOVES):
        at_edge = {pair for pair in at_edge if scores[pair].at_edge}
        further = trained({pair: scores[pair].moved_rates for pair in at_edge}) if at_edge else {}
        # Where the best rate is no better than before, it was the best there is.
        at_edge = {pair for pair, score in further.items() if score.is_ahead_of(scores[pair])}
        scores |= {pair: further[pair] for pair in at_edge}
    return scores


def _fits_the_plain_machine(program: Program) -> bool:
    """Whether the machine runs it faster than it compiles; the full machine does not."""
    from ..dsl.machine.bytecode import TooLarge, assemble

    try:
        return not assemble(program).full
    except TooLarge:
        return False
