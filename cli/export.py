"""`evoptax export`: a rule in the notations of others."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..dsl.errors import UserError
from .arguments import add_runs_dir, check_output, command, read_rule, write_output


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(subparsers, "export", "export a rule as Optax code, LaTeX or JSON", run)
    parser.add_argument("rule", metavar="RULE")
    parser.add_argument("--to", required=True, choices=("optax", "latex", "json"))
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: print")
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    check_output(args.output)
    program = read_rule(args.rule, args.runs_dir)
    if args.to == "optax":
        from ..dsl.export.check import ExportError, export_optax

        try:
            text = export_optax(program)
        except ExportError as error:
            raise UserError(str(error)) from None
    elif args.to == "latex":
        from ..dsl.export.latex import to_latex

        text = to_latex(program)
    else:
        from ..dsl.export.json import to_json

        text = to_json(program)
    write_output(text, args.output)
    return 0
