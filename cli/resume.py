"""`evoptax resume`: continues a run, or extends a finished one."""

from __future__ import annotations

import argparse
from functools import partial

from .arguments import add_budget, add_runs_dir, add_workers, budget_of
from .watching import carry_out


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("run_name", metavar="RUN")
    add_workers(parser)
    parser.add_argument(
        "--task",
        action="append",
        default=[],
        metavar="FILE.py:NAME",
        help="new path of the file of the run's own task NAME, if moved",
    )
    parser.add_argument("--traces", metavar="FILE", help="new path of the traces, if moved")
    parser.add_argument(
        "--trust-tasks",
        action="store_true",
        help="execute the task files named in the run, which may be another person's code",
    )
    add_budget(parser)
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from ..searching import resume

    return carry_out(
        partial(
            resume,
            args.run_name,
            tasks=args.task,
            traces=args.traces,
            budget=budget_of(args),
            workers=args.workers,
            trust_tasks=args.trust_tasks,
            runs_dir=args.runs_dir,
        )
    )
