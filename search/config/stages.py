"""The jobs of a stage: the learning rates and seeds with which a rule is trained on its tasks."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ...dsl.program import Program
from ...evaluators.fidelity import Fidelity
from ...evaluators.task_names import split_scale
from ...evaluators.tasks.baselines import baseline_of
from ..execution.jobs import Job
from .settings import Stage

# The number of learning rates in the grid, and how often it may move by half its width until the
# best rate lies inside. A fixed grid of nine rates takes 1.6 times as long.
GRID = 5
MOVES = 6
# The number of learning rates on a longer or wider task, around the one of the task itself.
NEAR = 3
# Sets of constants that `tune` tries, and unseen seeds per task on which it compares the best with
# the initial one, where the caller gives no numbers.
TUNE_TRIALS, TUNE_SEEDS = 108, 6
# AdamW's learning rate on tasks where it was never tuned.
USUAL_RATE = 1e-2


def fidelity(stage: Stage, task: str, first_seed: int = 0, checkpoints: int = 1) -> Fidelity:
    """The learning rates and seeds of a task in a stage."""
    rates = stage.learning_rates or first_grid(task)
    seeds = tuple(range(first_seed, first_seed + stage.seeds))
    return Fidelity(rates, seeds, checkpoints=checkpoints, moves=MOVES, schedule=stage.schedule)


def first_grid(task: str) -> tuple[float, ...]:
    """The initial grid of learning rates, for every rule: centred on AdamW's best on the task.

    Steps are half a decade, as in `evaluators.fidelity`. It is small because it may move.
    """
    known = baseline_of(task)
    return _around(known.learning_rate if known else USUAL_RATE, GRID)


def scaled_from(tasks: Iterable[str]) -> dict[str, str]:
    """The longer and wider ones among tasks of which the listed one is there too, which it gives.

    They say how far a result holds, and are no part of it.
    """
    names = list(tasks)
    bases = {task: split_scale(task)[0] for task in names}
    return {task: base for task, base in bases.items() if base != task and base in names}


def scaled_grid(rate: float) -> tuple[float, ...]:
    """The initial grid on a longer or wider task: the learning rate that is best on the task as it
    is listed, and half a decade on either side.
    """
    return _around(rate, NEAR)


def _around(rate: float, count: int) -> tuple[float, ...]:
    middle = round(2 * math.log10(rate))
    places = range(middle - count // 2, middle + count // 2 + 1)
    return tuple(float(f"{3 if place % 2 else 1}e{place // 2}") for place in places)


def jobs_of(
    program: Program,
    stage: Stage,
    path: str,
    first_seed: int = 0,
    *,
    checkpoints: int = 1,
    shared: bool = False,
) -> list[Job]:
    """The jobs of one rule in one stage."""
    return [
        Job(program, task, fidelity(stage, task, first_seed, checkpoints), path, shared)
        for task in stage.tasks
    ]
