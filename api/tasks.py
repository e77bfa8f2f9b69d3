"""Resolves tasks that a caller gives as tiers, names, files or objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .dsl.errors import UserError
from .evaluators.task_names import TIERS
from .evaluators.tasks import list_tasks, task_info

Tasks = str | Iterable[Any]
# The executor for task objects, which exist only in this process.
_HERE = "in_process"


def task_names(tasks: Tasks) -> list[str]:
    """The names of tasks, each once.

    Args:
      tasks: names of tasks, tiers ("proxy", "validation", "target") or FILE.py:NAME, separated by
        commas; or a list of these and of task objects.

    Raises:
      UserError: no task is given, a built-in one does not exist, or an object is not a task.
    """
    names: list[str] = []
    for task in tasks.split(",") if isinstance(tasks, str) else tasks:
        if not isinstance(task, str):
            from .evaluators.tasks.given import give

            names.append(give(task))
        elif (name := task.strip()) in TIERS:
            names += [info.name for info in list_tasks(name)]
        elif name:
            names.append(name if ":" in name else task_info(name).name)
    if not names:
        raise UserError("no task is named; accepted: proxy, digits_mlp, FILE.py:NAME, …")
    return list(dict.fromkeys(names))


def workers_for(tasks: Tasks, workers: int | str | None) -> int | str | None:
    """The executor to use: `in_process` if any task is an object, else `workers`.

    Raises:
      UserError: a task is an object, and another executor was requested.
    """
    if isinstance(tasks, str):
        return workers
    objects = [task for task in tasks if not isinstance(task, str)]
    if not objects:
        return workers
    if workers not in (None, 0, _HERE):
        raise UserError(
            f"workers is {workers!r}, but a task that is an object is trained in this process:"
            " leave workers out, or put the task in a file and name it FILE.py:NAME"
        )
    return _HERE
