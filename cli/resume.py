"""`evoptax resume`: continue a run, or go on with a finished one."""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import replace
from typing import Any

from .arguments import add_budget, add_runs_dir, add_workers, budget_of, command


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(subparsers, "resume", "continue a run, or give it a larger budget", run)
    parser.add_argument("run_name", metavar="RUN")
    add_workers(parser)
    add_budget(parser)
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from ..search.outcome import outcome_from_json
    from ..search.runs import extend, find_run, stored_config
    from .search import carry_out, finish, started_workers
    from .signals import interrupted_by_signals

    found = find_run(args.runs_dir, args.run_name)
    with found.writing():
        if budget := budget_of(args):
            extend(found, budget)
        # To write, so that what a killed process left in the log becomes part of the ledger's file.
        with closing(found.write()) as opened:
            config = stored_config(opened)
            outcome = opened.fact("outcome")
        if outcome is not None:
            # Killed while it wrote its files, or merely asked again.
            return finish(found, outcome_from_json(outcome))
        if args.workers is not None:
            config = replace(config, workers=args.workers)
        with interrupted_by_signals(), started_workers(config) as workers:
            return carry_out(found, config, workers)
