"""`evoptax doctor`: what this installation has."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .arguments import add_format, add_runs_dir, command
from .output import print_json

PACKAGES = ("evoptax", "jax", "jaxlib", "optax", "numpy", "scikit-learn", "networkx", "evosax")


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(subparsers, "doctor", "check this installation", run)
    add_format(parser, "text", "json")
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command. Exit status 1 when something is wrong."""
    import jax

    from ..dsl.primitives import PRIMITIVES
    from ..evaluators.cache import cache_folder

    checks = {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        **{name: _version(name) for name in PACKAGES},
        "devices": ", ".join(str(d) for d in jax.devices()),
        "cache folder": str(cache_folder()),
        "cache folder writable": _writable(cache_folder()),
        "runs folder": str(args.runs_dir),
        "runs folder writable": _writable(args.runs_dir),
        "primitives": ", ".join(PRIMITIVES),
    }
    wrong = [key for key, value in checks.items() if value in (False, "missing")]
    if args.format == "json":
        print_json({**checks, "wrong": wrong})
    else:
        for key, value in checks.items():
            print(f"{key:22} {value}")
        print("\nAll is well." if not wrong else f"\nWrong: {', '.join(wrong)}.")
    return 1 if wrong else 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _writable(folder: Any) -> bool:
    """Whether the folder, or the nearest one above it that exists, can be written."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)
