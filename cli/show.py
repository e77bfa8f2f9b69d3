"""`evoptax show`: shows a run or a rule."""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..dsl.errors import UserError
from ..dsl.files import printable
from ..dsl.syntax import format_program
from ..known_algorithms.catalogue import KNOWN, SCHEDULES
from ..known_algorithms.raw import RAW
from ..rules import read_rule
from .arguments import add_format, add_runs_dir
from .output import print_json, print_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("what", metavar="RUN|RULE")
    add_format(parser, "text", "latex", "json")
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from ..search.store.runs import find_run

    named = args.what in {*KNOWN, *SCHEDULES, *RAW}
    if not named and ":" not in args.what and not Path(args.what).is_file():
        try:
            found = find_run(args.runs_dir, args.what)
        except UserError as error:
            raise UserError(
                f"'{args.what}' is neither a run nor a rule: {error};"
                " `evoptax known` lists the rules"
            ) from None
        return _show_run(found, args.format)
    program = read_rule(args.what, args.runs_dir)
    if args.format == "latex":
        from ..dsl.export.formats.latex import to_latex

        print(to_latex(program))
    elif args.format == "json":
        from ..dsl.export.formats.json import to_json

        print(to_json(program))
    else:
        print(printable(format_program(program)), end="")
    return 0


def _show_run(found: Any, format: str) -> int:
    from ..search.report.facts import read_facts
    from ..search.store.outcome import read_outcome
    from .summary import print_outcome, print_unfinished, search_as_json

    with closing(found.read()) as opened:
        outcome, counts = read_outcome(opened), opened.counts()
    if format == "json":
        search, stored = search_as_json(read_facts(found)), outcome and asdict(outcome)
        print_json({"run": found.name, "counts": counts, "outcome": stored, **search})
    elif format == "latex":
        from ..dsl.export.formats.latex import to_latex
        from ..search.store.runs import rule_of_run

        print(to_latex(rule_of_run(found, "best")))
    else:
        facts = read_facts(found)  # may raise, so before anything is printed
        print_text(f"run {found.name}: {'done' if outcome else 'unfinished'}")
        if outcome:
            print_outcome(outcome, facts)
        else:
            print_unfinished(facts)
    return 0
