"""The built-in tasks: one table, listed without JAX, and each task built on first use.

Candidates evolve on proxies. Validation tasks have other models and losses and cost about ten times
as much; targets cost about a hundred times as much and are only for the best rules.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from dataclasses import replace
from typing import TYPE_CHECKING

from ...dsl.errors import UserError, did_you_mean
from ..task_names import Scale, split_scale
from .table import SPECIAL, TASKS, TaskInfo

if TYPE_CHECKING:
    from ..task import Task

__all__ = [
    "TaskInfo",
    "get_task",
    "list_tasks",
    "longer",
    "special_tasks",
    "task_info",
    "tier_of",
]


def list_tasks(tier: str | None = None) -> tuple[TaskInfo, ...]:
    """The rows of one tier ("proxy", "validation" or "target"), or all of them, without those that
    ask something special of a rule.
    """
    tiers = tuple(dict.fromkeys(info.tier for info in TASKS))
    if tier is not None and tier not in tiers:
        raise UserError(f"there is no tier '{tier}'; the tiers are {', '.join(tiers)}")
    return tuple(info for info in TASKS if tier in (None, info.tier))


def special_tasks() -> tuple[TaskInfo, ...]:
    """The rows of tasks that ask something special of a rule, as games do."""
    return SPECIAL


def tier_of(name: str) -> str:
    """The tier of a built-in task; empty for a task of the user's own."""
    base, _ = split_scale(name)
    return next((info.tier for info in (*TASKS, *SPECIAL) if info.name == base), "")


def task_info(name: str) -> TaskInfo:
    """The row of a built-in task; of a longer or wider one, with its name and steps.

    Raises:
      UserError: no built-in task has this name.
    """
    known = {info.name: info for info in (*TASKS, *SPECIAL)}
    base, scale = split_scale(name)
    if base not in known:
        near = did_you_mean(name, known)
        raise UserError(
            f"there is no task '{name}'{near or ';'} the tasks are {', '.join(known)}, "
            "each also longer or wider, as in text_lstm@4steps, and a task of your own is"
            " FILE.py:NAME"
        )
    info = known[base]
    if scale == Scale():
        return info
    description = f"{info.description.removesuffix('.')}, {scale}."
    return replace(info, name=name, steps=info.steps * scale.steps, description=description)


def longer(task: Task, name: str) -> Task:
    """A task of the user's under its name with a scale, as long as that says.

    Raises:
      UserError: it is to be wider, or has too many steps.
    """
    from ..task import MOST_STEPS

    _, scale = split_scale(name)
    if scale.width > 1:
        raise UserError(
            f"task '{name}': only built-in tasks can be made wider; write the wider model as"
            " another task"
        )
    if (steps := task.steps * scale.steps) > MOST_STEPS:
        raise UserError(f"task '{name}' has {steps:,} steps; accepted: at most {MOST_STEPS:,}")
    return task if scale == Scale() else replace(task, name=name, steps=steps)


@functools.cache
def get_task(name: str) -> Task:
    """Builds a task by name; the same name gives the same object, so JAX compiles it once.

    Raises:
      UserError: no built-in task has this name, or it cannot be made wider.
    """
    from ..task import Task

    info, width = task_info(name), split_scale(name)[1].width
    module_name, function = info.factory.split(":")
    factory = getattr(importlib.import_module(f".{module_name}", __name__), function)
    if width > 1 and not inspect.signature(factory).parameters:
        raise UserError(f"task '{name}': {split_scale(name)[0]} cannot be made wider")
    functions = factory(width) if width > 1 else factory()
    return Task(
        name=info.name,
        tier=info.tier,
        steps=info.steps,
        **functions._asdict(),
        description=info.description,
        lowest=0.0,
        version=info.version,
    )
