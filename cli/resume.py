"""`evoptax resume`: continue a run, or go on with a finished one."""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import replace
from typing import Any

from .arguments import add_budget, add_runs_dir, budget_of, command


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(subparsers, "resume", "continue a run, or give it a larger budget", run)
    parser.add_argument("run_name", metavar="RUN")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that train candidates")
    add_budget(parser)
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from ..search.outcome import read_outcome
    from ..search.runs import extend, find_run, stored_config
    from .search import carry_out, finish, started_workers

    found = find_run(args.runs_dir, args.run_name)
    if budget := budget_of(args):
        extend(found, budget)
    with closing(found.read()) as opened:
        config = stored_config(opened)
        outcome = read_outcome(opened)
    if outcome is not None:
        # Killed while it wrote its files, or merely asked again.
        return finish(found, outcome)
    if args.workers is not None:
        config = replace(config, workers=args.workers)
    with started_workers(config) as workers:
        return carry_out(found, config, workers)
