"""Names of tasks: tiers, FILE.py:NAME for a task of the user's, and TASK@4steps or TASK@4width for
a longer or wider one. Nothing here needs JAX.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ..dsl.errors import UserError

# Tasks of rising cost, about 1x, 10x, 100x.
TIERS = ("proxy", "validation", "target")

_SCALED = re.compile(r"(.*?)(?:@([1-9]\d{0,3})steps)?(?:@([1-9]\d?)width)?", re.DOTALL)


@dataclass(frozen=True)
class Scale:
    """How much longer a task trains, and how much wider its model is, than as it is listed."""

    steps: int = 1
    width: int = 1

    def __str__(self) -> str:
        parts = [f"{times}× {what}" for what, times in vars(self).items() if times > 1]
        return ", ".join(parts) or "1×"


def split_scale(task: str) -> tuple[str, Scale]:
    """A task as it is listed and its scale: text_lstm@4steps@4width is text_lstm, 4, 4."""
    found = _SCALED.fullmatch(task)
    assert found is not None  # everything is optional
    name, steps, width = found.groups()
    return name, Scale(int(steps or 1), int(width or 1))


def is_own(task: str) -> bool:
    """Whether a name is FILE.py:NAME, so a task of the user's and not a built-in one."""
    return ":" in task


def split_task(task: str) -> tuple[str, str]:
    """File and name of FILE.py:NAME, or NAME@4steps.

    Raises:
      UserError: it is not of that form.
    """
    file, colon, name = task.rpartition(":")
    if not colon or not file or not split_scale(name)[0].isidentifier():
        raise UserError(f"task {task!r} is not of the form FILE.py:NAME, as in my_task.py:task")
    return file, name


def whole_path(file: str, folder: Path = Path()) -> Path:
    """The absolute path of a file given relative to a folder; `~` is the user's home.

    Raises:
      UserError: no file can have this name.
    """
    try:
        # Unlike pathlib, these do not raise for broken links, loops, or a missing home.
        return Path(os.path.realpath(os.path.join(folder, os.path.expanduser(file))))
    except ValueError as error:
        raise UserError(f"{file!r} cannot be the name of a file: {error}") from None


def whole_task(task: str, folder: Path = Path()) -> str:
    """FILE.py:NAME with the absolute path of the file, given relative to a folder."""
    file, name = split_task(task)
    return f"{whole_path(file, folder)}:{name}"


def short_task(task: str) -> str:
    """A task's name without the folder of its file, which does not affect training."""
    return os.path.basename(task)
