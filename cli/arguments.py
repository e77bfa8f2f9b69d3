"""Arguments that several commands share, and what they stand for."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from ..dsl.errors import UserError
from ..dsl.files import replace_text
from ..rules import runs_folder
from ..search.config.ranges import accepted_by
from ..search.config.settings import Budget, SearchConfig
from .output import print_text


def add_runs_dir(parser: argparse.ArgumentParser) -> None:
    """Adds --runs-dir."""
    parser.add_argument(
        "--runs-dir",
        type=Path,
        default=runs_folder(),
        metavar="DIR",
        help="where runs are kept (default: $EVOPTAX_RUNS_DIR or ./runs)",
    )


def add_setting(
    parser: argparse.ArgumentParser, option: str, table: type, name: str, **more: Any
) -> None:
    """Adds an option that takes a number, and accepts what a setting does; see `config.ranges`.

    Args:
      parser: that it is added to. option: its name, with the dashes.
      table: of the configuration. name: of its field, which is an int or a float.
      more: for `add_argument`.
    """
    accepted = accepted_by(table)[name]
    whole = "int" in str(table.__annotations__[name])
    kind, words = (int, "a whole number") if whole else (float, "a number")

    def read(text: str) -> float:
        try:
            value: float = kind(text)
        except ValueError:  # of text that is no number, or has more than 4,300 digits
            given = repr(text) if len(text) <= 40 else f"a text of {len(text):,} characters"
            raise UserError(f"{option} is {given}; accepted: {words}, {accepted}") from None
        if refusal := accepted.refusal(value):
            raise UserError(f"{option} {refusal}")
        return value

    parser.add_argument(option, type=read, **more)


def add_workers(parser: argparse.ArgumentParser, default: int | None = None) -> None:
    """Adds --workers: a number of processes, or the name of an executor."""
    words = "processes that train (default: one per core), or where else to train, as in in_process"

    def read(text: str) -> int | str:
        try:
            value: int | str = int(text)
        except ValueError:  # of text that is no number, or has more than 4,300 digits
            value = text
        if refusal := accepted_by(SearchConfig)["workers"].refusal(value):
            raise UserError(f"--workers {refusal}")
        return value

    parser.add_argument("--workers", type=read, default=default, metavar="N", help=words)


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Adds --backend: what trains."""

    def read(text: str) -> str:
        if refusal := accepted_by(SearchConfig)["backend"].refusal(text):
            raise UserError(f"--backend {refusal}")
        return text

    words = "what trains rules, as in machine or fused (default: what is quickest)"
    parser.add_argument("--backend", type=read, metavar="NAME", help=words)


def add_budget(parser: argparse.ArgumentParser) -> None:
    """Adds --budget.seconds and --budget.candidates."""
    for name, metavar in (("seconds", "S"), ("candidates", "N")):
        add_setting(parser, f"--budget.{name}", Budget, name, dest=name, metavar=metavar)


def budget_of(args: argparse.Namespace) -> dict[str, float]:
    """The limits of `add_budget` that were given, by their names in a configuration."""
    given = {key: getattr(args, key) for key in ("seconds", "candidates")}
    return {key: value for key, value in given.items() if value is not None}


def add_format(parser: argparse.ArgumentParser, *formats: str) -> None:
    """Adds --format with some choices, the first being the default."""
    parser.add_argument(
        "--format", choices=formats, default=formats[0], help=f"default: {formats[0]}"
    )


# Bytes of a file's name, on every system in use.
_LONGEST_NAME = 255


def check_output(path: Path | None) -> None:
    """Refuses, before any work, a file that cannot be written. Raises UserError."""
    if path is None:
        return
    if os.path.isdir(path):
        raise UserError(f"cannot write '{path}': it is a folder")
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise UserError(f"cannot write '{path}': the name is too long")
    if not os.path.isdir(path.parent):
        raise UserError(f"cannot write '{path}': there is no folder '{path.parent}'")
    if not os.access(path if os.path.exists(path) else path.parent, os.W_OK):
        raise UserError(f"cannot write '{path}': permission denied")


def write_output(text: str, path: Path | None) -> None:
    """Writes to a file, or prints. Raises UserError if the file cannot be written."""
    if path is None:
        # What holds such characters as data (JSON, GraphML, program text) has escaped them.
        print_text(text, end="" if text.endswith("\n") else "\n")
        return
    replace_text(path, text)


def split_names(values: list[str]) -> list[str]:
    """Names given with commas, spaces or both, each once, in order."""
    names = [name.strip() for value in values for name in value.split(",")]
    return list(dict.fromkeys(name for name in names if name))
