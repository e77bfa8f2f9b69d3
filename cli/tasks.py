"""`evoptax tasks`: lists the built-in tasks."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from ..evaluators.tasks import list_tasks
from ..evaluators.tasks.baselines import baselines
from .arguments import add_format
from .output import print_json, print_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_format(parser, "text", "json")


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    infos, reached = list_tasks(), baselines()
    if args.format == "json":
        rows = [asdict(info) | {"adamw": asdict(reached[info.name])} for info in infos]
        print_json([{k: v for k, v in row.items() if k != "factory"} for row in rows])
        return 0
    print_table(
        ("name", "tier", "family", "weights", "steps", "ms", "adamw", "at", "what"),
        [
            (
                info.name,
                info.tier,
                info.family,
                info.weights,
                info.steps,
                reached[info.name].milliseconds,
                reached[info.name].score,
                reached[info.name].learning_rate,
                info.description,
            )
            for info in infos
        ],
    )
    print("\nadamw: AdamW's score at its best learning rate (at); lower is better.")
    print("ms: duration of one training run of AdamW, if measured. More in docs/tasks.md.")
    print("A task of your own: --task FILE.py:NAME")
    return 0
