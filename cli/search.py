"""`evoptax search`: starts a run."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from ..dsl.errors import UserError
from ..search.config.settings import SearchConfig
from .arguments import (
    add_backend,
    add_budget,
    add_grammar,
    add_runs_dir,
    add_setting,
    add_workers,
    budget_of,
    split_names,
)
from .watching import carry_out


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "config",
        nargs="?",
        type=Path,
        metavar="CONFIG.toml",
        help="settings, over those of --preset",
    )
    parser.add_argument(
        "--preset", metavar="NAME", help="quick, standard, lion, structure, distill, or an ablation"
    )
    parser.add_argument("--name", metavar="RUN", help="name of the run (default: date and time)")
    add_setting(
        parser, "--seed", SearchConfig, "seed", metavar="N", help="seed of all random draws"
    )
    add_workers(parser)
    add_backend(parser)
    add_grammar(parser)
    add_budget(parser)
    parser.add_argument(
        "--task",
        action="append",
        default=[],
        metavar="FILE.py:NAME",
        help="a task of your own; every candidate is trained on it",
    )
    for option, words in (
        ("--start", "rules that the search starts from (default: adamw)"),
        ("--against", "more rules that the best one is compared with at the end"),
    ):
        parser.add_argument(
            option, nargs="+", action="extend", default=[], metavar="RULE", help=words
        )
    parser.add_argument(
        "--baseline", metavar="RULE", help="the rule that scores are relative to (default: adamw)"
    )
    parser.add_argument(
        "--traces",
        type=Path,
        metavar="FILE",
        help="with --preset distill: recorded steps of a black box, to be explained by a program",
    )
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from ..search.config.presets import DISTILL
    from ..searching import discover

    if (args.preset == DISTILL) != (args.traces is not None):
        raise UserError(
            "--preset distill needs --traces FILE; docs/distill.md says how to record one"
            if args.traces is None
            else "--traces FILE is for --preset distill"
        )
    start, against = split_names(args.start), split_names(args.against)
    if misplaced := [rule for rule in (*start, *against) if rule.endswith(".toml")]:
        raise UserError(
            f"'{misplaced[0]}' is no rule; a configuration comes before --start and --against"
        )
    return carry_out(
        partial(
            discover,
            args.config,
            preset=args.preset,
            name=args.name,
            tasks=args.task,
            start=start,
            baseline=args.baseline,
            against=against,
            traces=args.traces,
            budget=budget_of(args),
            seed=args.seed,
            workers=args.workers,
            backend=args.backend,
            grammar=args.grammar,
            runs_dir=args.runs_dir,
        )
    )
