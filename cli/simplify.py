"""`evoptax simplify`: simplifies a rule, exactly and by effect."""

from __future__ import annotations

import argparse
import difflib
import math
import os
import re
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..dsl.algebra.simplifier import Step, explain
from ..dsl.errors import UserError
from ..dsl.expressions import format_number
from ..dsl.program import Constant, Program, subexpressions
from ..dsl.syntax import format_program
from ..known_algorithms.catalogue import KNOWN
from ..known_algorithms.nearest import nearest_known
from ..rules import read_rule
from .arguments import add_format, add_runs_dir
from .output import print_json, print_note, print_text

if TYPE_CHECKING:
    from ..evaluators.scores.statistics import Estimate

# Most rules take two seconds, one of a hundred operations twenty.
SECONDS = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("rule", metavar="RULE")
    parser.add_argument(
        "--exact",
        action="store_true",
        help="only changes that keep the rule the same (default: also changes that do not affect"
        " training, which takes minutes to test)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=SECONDS,
        metavar="S",
        help=f"time limit of exact simplification (default: {SECONDS:g})",
    )
    add_format(parser, "text", "json")
    add_runs_dir(parser)


class _Deadline:
    """Returns whether the time is up; `reached` tells whether it ever was when called."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.reached = False

    def __call__(self) -> bool:
        self.reached = self.reached or time.monotonic() >= self.end
        return self.reached


def run(args: argparse.Namespace) -> int:
    """Runs the command. The program goes to stdout, the steps to stderr."""
    if not 0 < args.seconds < math.inf:
        raise UserError(f"--seconds is {args.seconds:g}; accepted: a positive number")
    program = read_rule(args.rule, args.runs_dir)
    deadline = _Deadline(args.seconds)
    steps = explain(program, deadline)
    found = steps[-1].after if steps else program
    for step in steps:
        print_note(f"{step.name}  ({_sizes(step.before, step.after)})")
        _say_difference(step.before, step.after)
    if deadline.reached:
        print_note(
            f"stopped after {args.seconds:g} seconds: this is the simplest so far;"
            " a larger --seconds may find a simpler one"
        )
    if not args.exact:
        found = _pruned(found, _selected_on(args.rule, args.runs_dir))
    nearest = str(nearest_known(found))
    if args.format == "json":
        print_json(_as_json(program, steps, found, nearest, complete=not deadline.reached))
    else:
        print_text(format_program(found), end="")
    print_note(f"{program.size} operations → {found.size}")
    print_note(nearest)
    return 0


def _as_json(
    program: Program, steps: list[Step], found: Program, nearest: str, *, complete: bool
) -> dict[str, Any]:
    return {
        "program": format_program(found),
        "operations": {"before": program.size, "after": found.size},
        "complete": complete,
        "steps": [{"name": s.name, "program": format_program(s.after)} for s in steps],
        "nearest": nearest,
    }


def _sizes(before: Program, after: Program) -> str:
    if before.size == after.size:
        return f"still {before.size} operations"
    return f"{before.size} → {after.size} operations"


def _say_difference(before: Program, after: Program) -> None:
    """Prints the lines that a step changed, and its long constants rounded."""
    old, new = (format_program(p).splitlines() for p in (before, after))
    for line in difflib.ndiff(old, new):
        if line[0] in "+-":
            print_note(f"  {line[0]} {line[2:].strip()}")
    held = _constants(before)
    long = [x for x in _constants(after) if x not in held and len(format_number(x)) > 8]
    if long:
        print_note(f"    {', '.join(f'{format_number(x)} is about {x:.5g}' for x in long)}")


def _constants(program: Program) -> list[float]:
    inside = [e for root in program.expressions() for e in subexpressions(root)]
    return [e.value for e in inside if isinstance(e, Constant)]


# --- by effect -------------------------------------------------------------------------------


def _pruned(program: Program, selected_on: tuple[str, ...]) -> Program:
    """The program without parts that training does not need; prints each step."""
    from ..search.config.pruning_tasks import tasks_for
    from ..search.execution.base import open_executor
    from ..search.execution.jobs import Memory, Trials
    from ..search.selection.pruning import prune

    tasks = tasks_for(selected_on)
    if not tasks:
        print_note("by effect: skipped, because the rule was selected on all tasks for it")
        return program
    print_note(f"by effect on {', '.join(tasks)}, relative to the program before each step:")
    with open_executor(tasks) as workers:
        for step in prune(program, tasks, Trials(workers, Memory(), lambda: False)):
            print_note(f"{step.name}  ({_sizes(program, step.after)}; {_cost(step.effect)})")
            _say_difference(program, step.after)
            program = step.after
    return program


def _cost(effect: Estimate | None) -> str:
    """The effect on the validation loss in words."""
    if effect is None:
        return "changes only the unit"
    low, mean, high = (100 * math.expm1(x) for x in (effect.low, effect.mean, effect.high))
    if not effect.mean and not effect.bounded:
        return "the same validation loss on every seed"
    interval = f"95 % interval {low:+.2f} to {high:+.2f}" if effect.bounded else "no interval"
    return f"validation loss {mean:+.2f} %, {interval}"


def _selected_on(text: str, runs_dir: Path) -> tuple[str, ...]:
    """The tasks on which a rule of a run was selected; none for other rules."""
    if text in KNOWN or os.path.isfile(text) or not re.search(":", text):
        return ()
    from ..search.store.runs import find_run, stored_config

    with closing(find_run(runs_dir, text.rpartition(":")[0]).read()) as opened:
        return stored_config(opened).tasks
