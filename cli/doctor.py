"""`evoptax doctor`: checks this installation."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..dsl.errors import UserError
from .arguments import add_format, add_runs_dir
from .output import print_json

PACKAGES = ("evoptax", "jax", "jaxlib", "optax", "numpy", "scikit-learn", "networkx", "evosax")
# The test of training: the cheapest task, for two steps.
TASK, STEPS = "quadratic", 2


class Problem(str):
    """The result of a failed check: the error in words."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_format(parser, "text", "json")
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command. The exit status is 2 if a check fails."""
    from ..dsl.primitives import PRIMITIVES
    from ..evaluators.cache import cache_folder

    checks = {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        **{name: _version(name) for name in PACKAGES},
        "devices": _devices(),
        "training": _training(),
        "cache folder": str(cache_folder()),
        "cache folder writable": _writable(cache_folder()),
        "runs folder": str(args.runs_dir),
        "runs folder writable": _writable(args.runs_dir),
        "primitives": ", ".join(PRIMITIVES),
    }
    wrong = [key for key, value in checks.items() if value is False or isinstance(value, Problem)]
    if args.format == "json":
        print_json({**checks, "wrong": wrong})
    else:
        for key, value in checks.items():
            print(f"{key:22} {value}")
        print("\nAll is well." if not wrong else f"\nWrong: {', '.join(wrong)}.")
    return 2 if wrong else 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return Problem("missing")


def _devices() -> str:
    from ..dsl.devices import devices

    try:
        return ", ".join(map(str, devices()))
    except (ImportError, UserError) as error:
        return Problem(error)


def _training() -> str:
    """Trains a rule for two steps in a worker process, as every search does."""
    from ..evaluators.fidelity import Fidelity
    from ..known_algorithms.catalogue import get_known
    from ..search.execution.base import WorkerError, open_executor
    from ..search.execution.jobs import Job, submit

    job = Job(get_known("adamw").program, TASK, Fidelity(steps=STEPS), "machine")
    try:
        with open_executor([TASK], 1) as workers:
            submit(workers, job, essential=True).result()
    except (UserError, WorkerError) as error:
        return Problem(error)
    return f"works (AdamW on {TASK})"


def _writable(folder: Any) -> bool:
    """Whether the folder, or else its nearest existing parent, is writable."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)
