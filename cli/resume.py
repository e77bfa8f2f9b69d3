"""`evoptax resume`: continue a run, or go on with a finished one."""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import replace
from typing import Any

from ..evaluators.task_names import whole_task
from .arguments import add_budget, add_runs_dir, add_workers, budget_of, command
from .output import print_note


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(subparsers, "resume", "continue a run, or give it a larger budget", run)
    parser.add_argument("run_name", metavar="RUN")
    add_workers(parser)
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
    from ..search.store.moving import point_elsewhere
    from ..search.store.outcome import read_outcome
    from ..search.store.runs import extend, find_run, stored_config
    from ..search.store.task_files import check_files, stored_checksums
    from .search import carry_out, finish, started_workers
    from .signals import interrupted_by_signals

    found = find_run(args.runs_dir, args.run_name)
    named = [whole_task(task) for task in args.task]
    with found.writing():
        if args.task or args.traces is not None:
            for words in point_elsewhere(found, args.task, args.traces):
                print_note(words)
        budget = budget_of(args)
        # To write, so that what a killed process left in the log becomes part of the ledger's file.
        with closing(found.write()) as opened:
            config = stored_config(opened)
            outcome = read_outcome(opened)
            if budget or outcome is None:
                files = stored_checksums(opened)
                check_files(found.name, config, files, named=named, trusting=args.trust_tasks)
        if budget:
            config, outcome = extend(found, budget), None
        if outcome is not None:
            # Killed while it wrote its files, or merely asked again.
            return finish(found, outcome)
        if args.workers is not None:
            config = replace(config, workers=args.workers)
        with interrupted_by_signals(), started_workers(config) as workers:
            return carry_out(found, config, workers)
