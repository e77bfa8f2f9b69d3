"""`evoptax lineage`: shows the ancestry of a run's rules."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from ..dsl.errors import UserError
from .arguments import add_format, add_runs_dir, check_output, write_output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("run_name", metavar="RUN", help="or RUN:RULE")
    parser.add_argument("rule", nargs="?", metavar="RULE", help="best or a candidate's number")
    add_format(parser, "text", "html", "graphml", "gexf", "dot", "json")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: print")
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from ..search.report.lineage.graph import lineage_graph, write
    from ..search.store.runs import find_run, ordinal_in_run

    check_output(args.output)
    run_name, rule = args.run_name, args.rule
    if rule is None and ":" in run_name:
        run_name, _, rule = run_name.rpartition(":")
    found = find_run(args.runs_dir, run_name)
    ordinal = None
    if rule is not None:
        name, _, which = rule.rpartition(":")
        if name not in ("", run_name):
            raise UserError(f"'{rule}' is not of run '{run_name}'")
        ordinal = ordinal_in_run(found, which)
    with closing(found.read()) as opened:
        graph = lineage_graph(opened, ordinal=ordinal)
    write_output(write(graph, args.format), args.output)
    return 0
