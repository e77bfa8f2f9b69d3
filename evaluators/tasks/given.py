"""Tasks given as objects, by name; they exist only in this process."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

from ...dsl.errors import UserError
from .table import SPECIAL, TASKS

if TYPE_CHECKING:
    from ..task import Task

_given: dict[str, Task] = {}
# An object's results may depend on anything in this process, so its scores are not shared between
# processes: each object gets a new version.
_versions = itertools.count(time.time_ns() // 1_000_000)


def give(found: Any) -> str:
    """Registers a task object, so that executors in this process can train on it.

    Args:
      found: what a task's file may define; see `task.load_task_file`. Its class's name is its own,
        unless it has a `name`.

    Returns:
      Its name. It replaces an earlier object of the same name.

    Raises:
      UserError: it is not a task, or has the name of a built-in one.
    """
    from ..task import task_from

    if isinstance(found, type):
        what = found.__name__
        raise UserError(f"'{what}' is a class, not a task; give an object of it, as in {what}()")
    name = str(getattr(found, "name", type(found).__name__))
    if ":" in name or any(info.name == name for info in (*TASKS, *SPECIAL)):
        raise UserError(f"a task of your own cannot be named '{name}'; give it another `name`")
    if name not in _given or _given[name] is not found:
        _given[name] = task_from(name, found, version=next(_versions))
    return name


def given(name: str) -> Task | None:
    """The registered task of that name, or None."""
    return _given.get(name)
