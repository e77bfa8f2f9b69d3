"""`evoptax tasks`: lists the built-in tasks."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict

from ..evaluators.tasks import list_tasks, special_tasks
from ..evaluators.tasks.baselines import Reached, baselines, special_baselines
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
        rows += [
            asdict(info) | {"reached": [asdict(x) for x in special_baselines()[info.name]]}
            for info in special_tasks()
        ]
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
    print("\nTasks that ask something special of a rule; in games it has to read 'role':\n")
    print_table(
        ("name", "family", "weights", "steps", "rule", "score", "at", "what"),
        [
            (
                info.name,
                info.family,
                info.weights,
                info.steps,
                best.rule,
                best.score,
                best.learning_rate,
                info.description,
            )
            for info in special_tasks()
            for best in (min(special_baselines()[info.name], key=_score),)
        ],
    )
    print("\nrule: the documented one of these that does best.")
    print("A task of your own: --task FILE.py:NAME")
    return 0


def _score(reached: Reached) -> float:
    return math.inf if reached.score is None else reached.score
