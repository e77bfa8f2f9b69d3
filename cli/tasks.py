"""`evoptax tasks`: the built-in tasks."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from ..evaluators.tasks import list_tasks
from .arguments import add_format, command
from .output import print_json, print_table


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(subparsers, "tasks", "list the built-in tasks", run)
    add_format(parser, "text", "json")


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    infos = list_tasks()
    if args.format == "json":
        print_json([{k: v for k, v in asdict(i).items() if k != "factory"} for i in infos])
        return 0
    print_table(
        ("name", "tier", "steps", "weights", "what"),
        [(i.name, i.tier, i.steps, i.weights, i.description) for i in infos],
    )
    print("\nA task of your own: --task FILE.py:NAME")
    return 0
