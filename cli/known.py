"""`evoptax known`: lists the documented optimizers, or shows one."""

from __future__ import annotations

import argparse
from typing import Any

from ..dsl.algebra.gradient_cost import gradient_evaluations
from ..dsl.export.formats.latex import to_latex
from ..dsl.expressions import format_number
from ..dsl.inputs import INPUTS
from ..dsl.oracles import oracles_of
from ..dsl.program import Program
from ..dsl.syntax import format_program
from ..known_algorithms.catalogue import SCHEDULES, SCHEDULES_TIER, get_known, known_rules
from ..known_algorithms.parity import load_parity
from ..known_algorithms.rule import KnownRule
from .arguments import add_format
from .output import print_json, print_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="show this one")
    parser.add_argument("--tier", help="only this tier, such as 1a or 2")
    add_format(parser, "text", "json")


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    if args.name is not None:
        rule = get_known(args.name)
        if args.format == "json":
            print_json(_data(rule))
        else:
            _show(rule)
        return 0
    rules = known_rules(args.tier) if args.tier != SCHEDULES_TIER else ()
    rules += tuple(SCHEDULES.values()) if args.tier in (None, SCHEDULES_TIER) else ()
    if args.format == "json":
        print_json([_data(rule) for rule in rules])
        return 0
    print_table(
        ("name", "tier", "year", "paper"),
        [(r.name, r.tier, r.paper.year, r.paper.title) for r in rules],
    )
    return 0


def _show(rule: KnownRule) -> None:
    """Prints one rule."""
    print(rule.text)
    for called in rule.calls:
        print(f"It calls {called.name}; the equations below include it.\n")
    print(to_latex(rule.program))
    defaults = rule.program.defaults.items()
    print(f"Defaults: {', '.join(f'{name} = {format_number(v)}' for name, v in defaults)}.")
    if rule.program.is_schedule:
        print("A schedule: it multiplies the learning rate; rules call it by name.")
    else:
        print(f"Gradient evaluations per step: {gradient_evaluations(rule.program)}.")
    for need in _needs(rule.program):
        print(f"Needs: {need}.")
    arxiv = f" arXiv {rule.paper.arxiv}." if rule.paper.arxiv else ""
    print(
        f"{rule.paper.authors} ({rule.paper.year}). {rule.paper.title}. {rule.paper.venue}.{arxiv}"
    )
    if rule.caveat:
        print(f"Note: {rule.caveat}")
    if rule.matches:
        print(f"\nLargest difference of a weight over {load_parity().steps} steps in float64:\n")
        print_table(
            ("reference", "version", "difference", "accepted"),
            [(m.source, m.version[:10], f"{m.largest:.1e}", m.tolerance) for m in rule.matches],
        )


def _needs(program: Program) -> list[str]:
    """What a rule needs besides weights, gradients and the number of the step."""
    inputs = (row for row in map(INPUTS.get, program.inputs) if row and row.name not in "wgt")
    needs = [f"{row.name}, {row.meaning}" for row in inputs]
    return needs + [f"{row.name}, {row.oracle.meaning}" for row in oracles_of(program)]


def _data(rule: KnownRule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "row": rule.row,
        "tier": rule.tier,
        "paper": rule.paper.title,
        "authors": rule.paper.authors,
        "year": rule.paper.year,
        "venue": rule.paper.venue,
        "arxiv": rule.paper.arxiv,
        "seeds": list(rule.seeds),
        "defaults": rule.program.defaults,
        "needs": _needs(rule.program),
        "gradients": float(gradient_evaluations(rule.program)),
        "references": [
            {
                "source": match.source,
                "version": match.version,
                "provenance": match.provenance,
                "tensors": list(match.tensors),
                "tolerance": match.tolerance,
                "differences": dict(match.differences),
                "note": match.note,
            }
            for match in rule.matches
        ],
        "note": rule.caveat,
        "calls": [called.name for called in rule.calls],
        "text": rule.text,
        "program": format_program(rule.program),
        "latex": to_latex(rule.program),
    }
