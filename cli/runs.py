"""`evoptax runs`: the runs there are."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import Any

from ..dsl.errors import UserError
from ..search.wording import percent
from .arguments import add_format, add_runs_dir, command
from .output import print_json, print_table


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(subparsers, "runs", "list the runs", run)
    add_format(parser, "text", "json")
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from ..search.runs import list_runs

    rows = [_summary(found) for found in list_runs(args.runs_dir)]
    if args.format == "json":
        print_json(rows)
    elif not rows:
        print(f"no runs in '{args.runs_dir}'; start one with `evoptax search --preset quick`")
    else:
        print_table(
            ("run", "state", "trained", "best vs AdamW", "seconds"),
            [
                (r["run"], r["state"], r["trained"], percent(r["best"]), round(r["seconds"]))
                for r in rows
            ],
        )
    return 0


def _summary(found: Any) -> dict[str, Any]:
    try:
        opened = found.read()
    except UserError as error:
        return {"run": found.name, "state": str(error), "trained": 0, "best": None, "seconds": 0}
    with closing(opened):
        fitness = opened.best_fitness()
        return {
            "run": found.name,
            "state": "done" if opened.fact("outcome") else "unfinished",
            "trained": opened.counts()["new"],
            "best": fitness,
            "seconds": opened.seconds(),
        }
