"""`evoptax evaluate`: rules on tasks, each with its learning rate tuned in the same way."""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ..dsl.errors import UserError
from ..dsl.program import LEARNING_RATE, Program
from ..evaluators.tasks import list_tasks
from .arguments import add_format, add_runs_dir, command, read_rule, split_names
from .evaluation import Evaluation, as_json, print_evaluation
from .output import print_json

if TYPE_CHECKING:
    from ..evaluators.scoring import TaskScore
    from ..evaluators.task import Task

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
    parser.add_argument(
        "--seeds",
        type=int,
        default=3,
        metavar="N",
        help="training runs of each rule on each task (default: 3)",
    )
    add_format(parser, "text", "json")
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    if args.seeds < 1:
        raise UserError(f"--seeds is {args.seeds}; accepted: 1 or more")
    against = split_names([args.against])
    if not against:
        raise UserError("--against names no rule; accepted: rules such as adamw")
    asked = split_names(args.rules)
    names = list(dict.fromkeys([*asked, *against]))
    programs = _trainable({name: read_rule(name, args.runs_dir) for name in names}, asked, against)
    tasks = _tasks(args.tasks)
    scores = _scores(programs, tasks, args.seeds)
    from ..evaluators.comparison import compare_rules

    results = compare_rules(scores, list(programs), list(tasks), against[0])
    tuned = {name for name, program in programs.items() if LEARNING_RATE in program.defaults}
    evaluation = Evaluation(against[0], list(tasks), args.seeds, results, scores, tuned)
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
        print(f"{reason}; it is left out", file=sys.stderr)
    return {name: program for name, program in programs.items() if name not in solvers}


def _tasks(text: str) -> dict[str, Task]:
    names: list[str] = []
    for name in split_names([text]):
        names += [info.name for info in list_tasks(name)] if name in TIERS else [name]
    from ..evaluators.task import load_task_file
    from ..evaluators.tasks import get_task

    unique = dict.fromkeys(names)
    return {n: load_task_file(n) if ":" in n else get_task(n) for n in unique}


def _scores(
    programs: dict[str, Program], tasks: dict[str, Task], seeds: int
) -> dict[tuple[str, str], TaskScore]:
    """Scores by rule and task, kept in the user's cache."""
    from ..evaluators.cache import ScoreStore, enable_compilation_cache
    from ..evaluators.evaluate import Evaluator, Fidelity
    from ..evaluators.profiles import CHECKPOINTS

    enable_compilation_cache()
    evaluator = Evaluator(tasks, ScoreStore())
    fidelity = Fidelity(seeds=tuple(range(seeds)), checkpoints=CHECKPOINTS)
    fits = {name: _fits_the_plain_machine(program) for name, program in programs.items()}
    pairs = [(name, task) for task in tasks for name in programs]
    left = len(pairs)

    def score(pair: tuple[str, str]) -> TaskScore:
        name, task = pair
        # Long runs repay a compilation of their own; short ones do not.
        by_machine = tasks[task].tier == "proxy" and fits[name]
        return evaluator.cached_score(
            programs[name], task, fidelity, "machine" if by_machine else "fused"
        )

    results = {}
    with ThreadPoolExecutor() as workers:
        for pair, result in zip(pairs, workers.map(score, pairs), strict=True):
            results[pair] = result
            left -= 1
            print(f"{pair[0]} on {pair[1]} done, {left} to go", file=sys.stderr)
    return results


def _fits_the_plain_machine(program: Program) -> bool:
    """Whether the machine runs it faster than it compiles; the full machine does not."""
    from ..dsl.bytecode import TooLarge, assemble

    try:
        return not assemble(program).full
    except TooLarge:
        return False
