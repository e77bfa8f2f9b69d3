"""Arguments that several commands share, and reading and writing their values."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from ..dsl.errors import UserError
from ..dsl.files import replace_text
from ..evaluators.schedules import SCHEDULES
from ..rules import runs_folder
from ..search.config.ranges import accepted_by
from ..search.config.settings import Budget, Evolution, SearchConfig, Stage
from .output import print_text


def add_runs_dir(parser: argparse.ArgumentParser) -> None:
    """Adds --runs-dir."""
    parser.add_argument(
        "--runs-dir",
        type=Path,
        default=runs_folder(),
        metavar="DIR",
        help="folder of runs (default: $EVOPTAX_RUNS_DIR or ./runs)",
    )


def add_setting(
    parser: argparse.ArgumentParser, option: str, table: type, name: str, **more: Any
) -> None:
    """Adds an option for a number with the range of a setting; see `config.ranges`.

    Args:
      parser: to add it to. option: its name, with the dashes.
      table: the dataclass of the configuration. name: of its field, an int or a float.
      more: arguments for `add_argument`.
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
    words = "number of worker processes (default: one per core), or an executor, as in in_process"

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
    """Adds --backend: the name of a backend."""
    words = (
        "how rules are trained, as in machine or fused (default: machine; in evaluate the faster)"
    )
    _add_name(parser, "backend", SearchConfig, words)


def add_grammar(parser: argparse.ArgumentParser) -> None:
    """Adds --grammar: the name of a grammar."""
    words = "the primitives that mutations draw: lion45, core or matrix (default: core)"
    _add_name(parser, "grammar", Evolution, words)


def _add_name(parser: argparse.ArgumentParser, name: str, table: type, words: str) -> None:
    """Adds an option for a setting that is one of some names."""

    def read(text: str) -> str:
        if refusal := accepted_by(table)[name].refusal(text):
            raise UserError(f"--{name} {refusal}")
        return text

    parser.add_argument(f"--{name}", type=read, metavar="NAME", help=words)


def add_tasks(parser: argparse.ArgumentParser) -> None:
    """Adds --tasks, the proxies by default."""
    parser.add_argument(
        "--tasks",
        default="proxy",
        metavar="TASKS",
        help="proxy, validation, target, task names or FILE.py:NAME, separated by commas;"
        " TASK@4steps and TASK@4width are longer and wider (default: proxy)",
    )


def add_schedule(parser: argparse.ArgumentParser, default: str) -> None:
    """Adds --schedule."""
    usual = Stage().schedule
    others = "" if default == usual else f"; searches use {usual}"
    parser.add_argument(
        "--schedule",
        default=default,
        choices=SCHEDULES,
        help=f"learning-rate schedule (default: {default}{others})",
    )


def add_budget(parser: argparse.ArgumentParser) -> None:
    """Adds --budget.seconds and --budget.candidates."""
    for name, metavar, limit in (
        ("seconds", "S", "this many seconds"),
        ("candidates", "N", "this many trained candidates"),
    ):
        words = f"stop searching after {limit}"
        add_setting(
            parser, f"--budget.{name}", Budget, name, dest=name, metavar=metavar, help=words
        )


def budget_of(args: argparse.Namespace) -> dict[str, float]:
    """The given limits of `add_budget`, by their names in a configuration."""
    given = {key: getattr(args, key) for key in ("seconds", "candidates")}
    return {key: value for key, value in given.items() if value is not None}


def add_format(parser: argparse.ArgumentParser, *formats: str) -> None:
    """Adds --format with some choices, the first being the default."""
    parser.add_argument(
        "--format", choices=formats, default=formats[0], help=f"default: {formats[0]}"
    )


# The longest file name, in bytes, on common file systems.
_LONGEST_NAME = 255


def check_output(path: Path | None) -> None:
    """Checks, before any work, that a file can be written. Raises UserError."""
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
        # Control characters are safe to escape here: JSON, GraphML and programs contain none.
        print_text(text, end="" if text.endswith("\n") else "\n")
        return
    replace_text(path, text)


def split_names(values: list[str]) -> list[str]:
    """Names separated by commas, spaces or both, without repetitions, in order."""
    names = [name.strip() for value in values for name in value.split(",")]
    return list(dict.fromkeys(name for name in names if name))
