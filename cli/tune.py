"""`evoptax tune`: tunes the constants of a rule."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..dsl.program import LEARNING_RATE
from ..evaluators.formatting import percent, plural
from ..search.config.settings import Funnel, SearchConfig, Stage
from ..search.config.stages import TUNE_SEEDS, TUNE_TRIALS
from .arguments import (
    add_format,
    add_runs_dir,
    add_schedule,
    add_setting,
    add_tasks,
    add_workers,
)
from .entry import STOPPED
from .output import print_json, print_table, print_text
from .progress import line_display
from .signals import interrupted_by_signals, stop_on_signals

if TYPE_CHECKING:
    from ..dsl.program import Program
    from ..tuning import TunedRule


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("rule", metavar="RULE")
    add_tasks(parser)
    add_setting(
        parser,
        "--trials",
        Funnel,
        "opponent_trials",
        default=TUNE_TRIALS,
        metavar="N",
        help=f"the most sets of constants to try (default: {TUNE_TRIALS})",
    )
    parser.add_argument(
        "--protocol",
        action="store_true",
        help="tune warm-up, final rate and gradient clipping too",
    )
    add_setting(
        parser,
        "--seeds",
        Stage,
        "seeds",
        default=TUNE_SEEDS,
        metavar="N",
        help=f"unseen seeds per task on which the result is reported (default: {TUNE_SEEDS})",
    )
    add_setting(parser, "--seed", SearchConfig, "seed", default=0, metavar="N", help="of tuning")
    add_schedule(parser, "cosine")
    add_workers(parser, default=0)
    add_format(parser, "text", "json")
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from ..rules import rule
    from ..search.execution.jobs import Stopped
    from ..tasks import task_names
    from ..tuning import tune

    program = rule(args.rule, runs_dir=args.runs_dir).program
    tasks = task_names(args.tasks)
    try:
        with interrupted_by_signals(), stop_on_signals() as stop, line_display() as show:
            show(f"tuning {program.name} on {plural(len(tasks), 'task')}")
            found = tune(
                program,
                tasks,
                trials=args.trials,
                protocol=args.protocol,
                seeds=args.seeds,
                seed=args.seed,
                schedule=args.schedule,
                workers=args.workers,
                report=lambda tried: show(f"{tried} of {args.trials} trials"),
                should_stop=lambda: bool(stop),
            )
    except (KeyboardInterrupt, Stopped):
        print("\nevoptax: stopped", file=sys.stderr)
        return STOPPED
    if args.format == "json":
        print_json(_as_json(program, tasks, args.seeds, found))
    else:
        _print(program, tasks, args.seeds, found)
    return 0


def _constants(program: Program, found: TunedRule) -> list[tuple[str, float, float]]:
    """The learning rate, every constant that can be tuned, and every changed setting of the
    protocol: name and values before and after.
    """
    from ..dsl.machine.constants import tunable

    rule = tunable(program)
    before = {rule.literals.get(name, name): value for name, value in rule.values.items()}
    before |= {change.name: change.before for change in found.changes}
    after = before | {change.name: change.after for change in found.changes}
    rows = [(name, value, after[name]) for name, value in before.items()]
    if (rate := program.defaults.get(LEARNING_RATE)) is not None:
        rows.insert(0, (LEARNING_RATE, rate, found.rule.program.defaults[LEARNING_RATE]))
    return rows


def _as_json(program: Program, tasks: list[str], seeds: int, found: TunedRule) -> dict[str, Any]:
    effect = found.effect
    return {
        "rule": program.name,
        "tasks": tasks,
        "trials": found.trials,
        "seeds": seeds,
        "constants": [
            {"name": name, "before": before, "after": after}
            for name, before, after in _constants(program, found)
        ],
        "changed": bool(found.changes),
        "log_ratio": effect.mean,
        "low": effect.low,
        "high": effect.high,
        "p": effect.p,
        "protocol": asdict(found.protocol),
        "program": str(found.rule),
    }


def _print(program: Program, tasks: list[str], seeds: int, found: TunedRule) -> None:
    on = f"{plural(len(tasks), 'task')} and {plural(seeds, 'seed')} each that tuning has not seen"
    tried = plural(found.trials, "set") + " of constants tried"
    if found.changes:
        effect = found.effect
        interval = (
            f" (95 % interval {percent(effect.low)} to {percent(effect.high)})"
            if effect.bounded
            else ""
        )
        print_text(f"{percent(effect.mean)} loss{interval} over {on}; {tried}.\n")
    elif found.trials:
        print_text(f"No better constants were found, over {on}; {tried}.\n")
    else:
        print_text("Nothing was tuned.\n")
    rows = [(name, f"{a:g}", f"{b:g}") for name, a, b in _constants(program, found)]
    if rows:
        print_table(("constant", "before", "after"), rows)
        print_text()
    print_text(str(found.rule), end="")
