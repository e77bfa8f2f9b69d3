"""`evoptax known`: the documented optimizers."""

from __future__ import annotations

import argparse
from typing import Any

from ..dsl.syntax import format_program
from ..known_algorithms.catalogue import get_known, known_rules
from .arguments import add_format, command
from .output import print_json, print_table


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(subparsers, "known", "list the documented optimizers, or show one", run)
    parser.add_argument("name", nargs="?", metavar="NAME", help="show this one")
    parser.add_argument("--tier", help="only this tier, such as 1a or 2")
    add_format(parser, "text", "json")


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    if args.name:
        rule = get_known(args.name)
        if args.format == "json":
            print_json(_data(rule))
        else:
            print(format_program(rule.program))
            print(f"{rule.paper.authors} ({rule.paper.year}). {rule.paper.title}.")
            print(f"Matches: {', '.join(rule.references)}.")
            if rule.trap:
                print(f"Note: {rule.trap}")
        return 0
    rules = known_rules(args.tier)
    if args.format == "json":
        print_json([_data(rule) for rule in rules])
        return 0
    print_table(
        ("name", "tier", "year", "paper"),
        [(r.name, r.tier, r.paper.year, r.paper.title) for r in rules],
    )
    return 0


def _data(rule: Any) -> dict[str, Any]:
    return {
        "name": rule.name,
        "row": rule.row,
        "tier": rule.tier,
        "paper": rule.paper.title,
        "authors": rule.paper.authors,
        "year": rule.paper.year,
        "arxiv": rule.paper.arxiv,
        "seeds": list(rule.seeds),
        "defaults": rule.program.defaults,
        "references": list(rule.references),
        "note": rule.trap,
        "program": format_program(rule.program),
    }
