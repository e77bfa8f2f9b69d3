"""Trains in worker processes on this machine."""

from __future__ import annotations

from collections.abc import Iterable

from .....dsl.errors import UserError
from ...base import Executor
from .workers import Workers


def _open(tasks: Iterable[str], count: int, where: str) -> Executor:
    if where and not where.isdecimal():
        raise UserError(f"processes take a number of them, not {where!r}, as in processes:4")
    return Workers(tasks, int(where or count))


EXECUTOR = _open
