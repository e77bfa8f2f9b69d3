"""Optax code: a file of its own that needs jax and optax alone."""

from __future__ import annotations

from functools import partial

from ....program import Program
from ...base import Runnable
from .running import run
from .write import to_optax


class _Optax:
    suffix = ".py"

    def write(self, program: Program) -> str:
        return to_optax(program)

    def load(self, program: Program, text: str) -> Runnable:
        return partial(run, program, text)


EXPORTER = _Optax()
