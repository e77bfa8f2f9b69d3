"""`evoptax runs`: lists the runs."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import Any

from ..dsl.errors import UserError
from ..evaluators.formatting import percent, printable
from .arguments import add_format, add_runs_dir
from .output import print_json, print_table, print_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_format(parser, "text", "json")
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from ..search.store.runs import list_runs

    rows = [_summary(found) for found in list_runs(args.runs_dir)]
    if args.format == "json":
        print_json(rows)
    elif not rows:
        print_text(f"no runs in '{args.runs_dir}'; start one with `evoptax search --preset quick`")
    else:
        print_table(
            ("run", "state", "rounds", "trained", "best on proxies", "held-out", "seconds"),
            [
                (
                    *(r["run"], _state(r), r["rounds"], r["trained"]),
                    *(percent(r["best"]), percent(r["held_out"]), round(r["seconds"])),
                )
                for r in rows
            ],
        )
    return 0


def _summary(found: Any) -> dict[str, Any]:
    nothing = {"confirmed": None, "rounds": 0, "trained": 0}
    nothing |= {"best": None, "held_out": None, "seconds": 0}
    try:
        return _read(found)
    except UserError as error:  # this run cannot be read; the others are still listed
        return {"run": found.name, "state": printable(str(error)), **nothing}


def _read(found: Any) -> dict[str, Any]:
    from ..search.store.outcome import best_champion, read_outcome, read_rounds
    from ..search.store.runs import stored_config

    with closing(found.read()) as opened:
        outcome, counts, rounds = read_outcome(opened), opened.counts(), read_rounds(opened)
        champion = best_champion(rounds)
        config = stored_config(opened)
        return {
            "run": found.name,
            "state": "done" if outcome else "unfinished",
            "confirmed": outcome.confirmed if outcome else None,
            "rounds": len(rounds),
            "trained": counts["new"] + counts["again"],
            # Without training, fitness is not a loss relative to a baseline.
            "best": opened.best_fitness() if config.is_trained else None,
            "held_out": champion[1].validation if champion else None,
            "seconds": opened.seconds(),
        }


def _state(row: dict[str, Any]) -> str:
    return "done, nothing confirmed" if row["confirmed"] is False else row["state"]
