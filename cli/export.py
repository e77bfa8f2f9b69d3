"""`evoptax export`: writes a rule as Optax code, LaTeX or JSON."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..dsl.export.base import formats
from ..rules import Rule, read_rule
from .arguments import add_runs_dir, check_output, write_output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("rule", metavar="RULE")
    parser.add_argument("--to", required=True, choices=formats())
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: print")
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    check_output(args.output)
    program = read_rule(args.rule, args.runs_dir)
    write_output(Rule(program).export(args.to), args.output)
    return 0
