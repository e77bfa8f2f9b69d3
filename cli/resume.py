"""`evoptax resume`: continue a run, or go on with a finished one."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from dataclasses import replace
from typing import Any

from ..evaluators.task_names import whole_task
from .arguments import add_budget, add_runs_dir, budget_of, command


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(subparsers, "resume", "continue a run, or give it a larger budget", run)
    parser.add_argument("run_name", metavar="RUN")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that train candidates")
    parser.add_argument(
        "--task",
        action="append",
        default=[],
        metavar="FILE.py:NAME",
        help="where the file of the run's own task NAME is now",
    )
    parser.add_argument("--traces", metavar="FILE", help="where the traces are now")
    parser.add_argument(
        "--trust-tasks",
        action="store_true",
        help="run the task files that the run names, which somebody else may have written",
    )
    add_budget(parser)
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from ..search.moving import point_elsewhere
    from ..search.outcome import read_outcome
    from ..search.runs import extend, find_run, stored_config
    from ..search.task_files import check_files, stored_checksums
    from .search import carry_out, finish, started_workers

    found = find_run(args.runs_dir, args.run_name)
    if args.task or args.traces is not None:
        for words in point_elsewhere(found, args.task, args.traces):
            print(words, file=sys.stderr)
    budget = budget_of(args)
    with closing(found.read()) as opened:
        config = stored_config(opened)
        outcome = read_outcome(opened)
        if budget or outcome is None:
            named = [whole_task(task) for task in args.task]
            files = stored_checksums(opened)
            check_files(found.name, config, files, named=named, trusting=args.trust_tasks)
    if budget:
        config, outcome = extend(found, budget), None
    if outcome is not None:
        # Killed while it wrote its files, or merely asked again.
        return finish(found, outcome)
    if args.workers is not None:
        config = replace(config, workers=args.workers)
    with started_workers(config) as workers:
        return carry_out(found, config, workers)
