"""`evoptax simplify`: the same rule in fewer words."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ..dsl.simplifier import simplify
from ..dsl.syntax import format_program
from .arguments import add_runs_dir, command, read_rule


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(subparsers, "simplify", "simplify a rule", run)
    parser.add_argument("rule", metavar="RULE")
    parser.add_argument(
        "--exact",
        action="store_true",
        help="only rewrites that change no floating-point result"
        " (otherwise also such as m / sqrt(m*m) = sign(m))",
    )
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    program = read_rule(args.rule, args.runs_dir)
    simpler = simplify(program, exact=args.exact)
    print(format_program(simpler), end="")
    print(f"{program.size} operations → {simpler.size}", file=sys.stderr)
    return 0
