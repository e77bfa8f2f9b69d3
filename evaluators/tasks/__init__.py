"""The built-in tasks: one table, listed without JAX, and each task built on first use.

Candidates evolve on proxies. Validation tasks have other models and losses and cost about ten times
as much; targets cost about a hundred times as much and are only for the best rules.
"""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING

from ...dsl.errors import UserError, did_you_mean
from .table import TASKS, TaskInfo

if TYPE_CHECKING:
    from ..task import Task

__all__ = ["TaskInfo", "get_task", "list_tasks", "task_info", "tier_of"]


def list_tasks(tier: str | None = None) -> tuple[TaskInfo, ...]:
    """The rows of one tier ("proxy", "validation" or "target"), or all of them."""
    tiers = tuple(dict.fromkeys(info.tier for info in TASKS))
    if tier is not None and tier not in tiers:
        raise UserError(f"there is no tier '{tier}'; the tiers are {', '.join(tiers)}")
    return tuple(info for info in TASKS if tier in (None, info.tier))


def tier_of(name: str) -> str:
    """The tier of a built-in task; empty for a task of the user's own."""
    return next((info.tier for info in TASKS if info.name == name), "")


def task_info(name: str) -> TaskInfo:
    """The row of a built-in task.

    Raises:
      UserError: no built-in task has this name.
    """
    known = {info.name: info for info in TASKS}
    if name not in known:
        near = did_you_mean(name, known)
        raise UserError(
            f"there is no task '{name}'{near or ';'} the tasks are {', '.join(known)}, "
            "and a task of your own is FILE.py:NAME"
        )
    return known[name]


@functools.cache
def get_task(name: str) -> Task:
    """Builds a task by name; the same name gives the same object, so JAX compiles it once.

    Raises:
      UserError: no built-in task has this name.
    """
    from ..task import Task

    info = task_info(name)
    module_name, function = info.factory.split(":")
    module = importlib.import_module(f".{module_name}", __name__)
    draw, init, batch, loss, score = getattr(module, function)()
    return Task(
        name=info.name,
        tier=info.tier,
        steps=info.steps,
        draw=draw,
        init=init,
        batch=batch,
        loss=loss,
        score=score,
        description=info.description,
        lowest=0.0,
        version=info.version,
    )
