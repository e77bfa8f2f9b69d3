"""`evoptax export`: a rule in the notations of others."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..dsl.errors import UserError
from ..dsl.export.base import formats
from .arguments import add_runs_dir, check_output, command, read_rule, write_output


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(subparsers, "export", "export a rule as code, LaTeX or JSON", run)
    parser.add_argument("rule", metavar="RULE")
    parser.add_argument("--to", required=True, choices=formats())
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: print")
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    check_output(args.output)
    program = read_rule(args.rule, args.runs_dir)
    from ..dsl.export.check import ExportError, export

    try:
        text = export(program, args.to)
    except ExportError as error:
        raise UserError(str(error)) from None
    write_output(text, args.output)
    return 0
