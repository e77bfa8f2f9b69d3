"""`evoptax evaluate`: compares rules on tasks, each with its learning rate tuned the same way."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..dsl.errors import UserError
from ..search.config.settings import Funnel, Stage
from .arguments import (
    add_backend,
    add_format,
    add_runs_dir,
    add_schedule,
    add_setting,
    add_tasks,
    add_workers,
    split_names,
)
from .entry import STOPPED
from .evaluation import print_evaluation
from .evaluation_json import as_json
from .output import print_json, print_note
from .progress import line_display
from .signals import interrupted_by_signals, stop_on_signals

if TYPE_CHECKING:
    from ..search.execution.scheduling import Report, Run, Training


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("rules", nargs="+", metavar="RULE", help="separated by spaces or commas")
    add_tasks(parser)
    parser.add_argument(
        "--against",
        default="adamw",
        metavar="RULES",
        help="rules added to the table; scores are relative to the first (default: adamw)",
    )
    add_setting(
        parser,
        "--seeds",
        Stage,
        "seeds",
        default=3,
        metavar="N",
        help="training runs of each rule on each task (default: 3)",
    )
    add_setting(
        parser,
        "--rate-seeds",
        Stage,
        "seeds",
        default=0,
        metavar="N",
        help="choose learning rates by N other training runs, then train with the chosen ones"
        " alone: several times faster (default: 0, all rates with all seeds)",
    )
    add_schedule(parser, "constant")
    add_setting(
        parser,
        "--tune",
        Funnel,
        "opponent_trials",
        default=0,
        metavar="TRIALS",
        help="first tune the constants of every rule: try at most TRIALS sets of them",
    )
    parser.add_argument(
        "--tune-on",
        default="proxy",
        metavar="TASKS",
        help="tasks for --tune, on other seeds than those compared on (default: proxy)",
    )
    parser.add_argument(
        "--protocol",
        action="store_true",
        help="with --tune: tune warm-up, final rate and gradient clipping too",
    )
    add_backend(parser)
    add_workers(parser, default=0)
    add_format(parser, "text", "json")
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from ..evaluating import evaluate
    from ..search.execution.jobs import Stopped

    if args.protocol and not args.tune:
        raise UserError("--protocol is for --tune TRIALS")
    try:
        with interrupted_by_signals(), stop_on_signals() as stop, _progress(args.tune) as shown:
            found = evaluate(
                split_names(args.rules),
                args.tasks,
                against=split_names([args.against]),
                seeds=args.seeds,
                rate_seeds=args.rate_seeds,
                schedule=args.schedule,
                tune=args.tune,
                tune_on=args.tune_on,
                protocol=args.protocol,
                workers=args.workers,
                backend=args.backend or "",
                runs_dir=args.runs_dir,
                report=shown[0],
                should_stop=lambda: bool(stop),
                note=print_note,
                tuning=shown[1],
            )
    except (KeyboardInterrupt, Stopped):
        print(
            "\nevoptax: stopped; finished training is kept, and the same command continues from"
            " there",
            file=sys.stderr,
        )
        return STOPPED
    if args.format == "json":
        print_json(as_json(found))
    else:
        print_evaluation(found)
    return 0


@contextmanager
def _progress(trials: int) -> Iterator[tuple[Report, Callable[[str, int], None]]]:
    """Yields two functions that show progress: of the comparison, and of tuning before it.

    They show one changing line on a terminal; elsewhere a line per finished rule and task, and
    every few seconds of tuning.
    """

    on_terminal = sys.stderr.isatty()
    with line_display() as show:

        def comparing(at: Training) -> None:
            if on_terminal:
                show(f"{_left(at)}: {_names(at.running)}")
            elif at.finished is not None:
                print_note(f"{_names([at.finished])} done, {_left(at)}")

        yield comparing, lambda rule, tried: show(f"tuning {rule}: {tried} of {trials} trials")


def _names(runs: Iterable[Run]) -> str:
    return ", ".join(dict.fromkeys(f"{run.rule} on {run.task}" for run in runs))


def _left(at: Training) -> str:
    """The number of pairs left, and the time left if more than a minute."""
    seconds = at.seconds_left or 0
    return f"{at.left} to go" + (f", about {math.ceil(seconds / 60)} min" if seconds > 60 else "")
