"""The `evoptax` command. Each command is a module with `add(subparsers)` and a `run(args)`.

Only the standard library is imported here and at the top of the command modules, so that commands
that merely read answer at once; whatever needs JAX is imported when it runs.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from ..dsl.errors import UserError
from . import doctor, evaluate, export, known, lineage, resume, runs, search, show, simplify, tasks
from .arguments import DEBUG_HELP
from .entry import STOPPED
from .output import discard_output, one_line, take_any_text

COMMANDS = (
    search,
    resume,
    runs,
    show,
    evaluate,
    export,
    lineage,
    simplify,
    known,
    tasks,
    doctor,
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence; argparse would print the usage before it."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see `{self.prog} --help`")

    def print_help(self, file: Any = None) -> None:
        # argparse passes over a failure to write.
        print(self.format_help(), end="", file=file)


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = _Parser(
        prog="evoptax",
        description="Discovers optimizers: evolves update rules on real training tasks.",
        epilog="RULE is a known name (lion), RUN:best, RUN:NUMBER, or a file with one program.",
    )
    top.add_argument("--debug", action="store_true", help=DEBUG_HELP)
    subparsers = top.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    for command in COMMANDS:
        command.add(subparsers)
    return top


def wants_debug(argv: Sequence[str]) -> bool:
    """Whether errors are to be shown with their traceback: --debug, or EVOPTAX_DEBUG=1."""
    return "--debug" in argv or os.environ.get("EVOPTAX_DEBUG", "") not in ("", "0")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
      The exit status: 0 done, 2 the user's mistake, 130 stopped by Ctrl-C after saving.

    Raises:
      Exception: evoptax itself is at fault; `entry.run` says so in a sentence.
    """
    take_any_text()
    try:
        status = _run(argv)
        sys.stdout.flush()  # while it can still be said that there is no room
        return status
    except KeyboardInterrupt:
        print("evoptax: stopped", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        # The reader went away (`evoptax known | head`).
        discard_output()
        return 0
    except Exception as error:
        if (sentence := _sentence(error)) is None:
            raise
        if wants_debug(sys.argv[1:] if argv is None else argv):
            traceback.print_exception(error)
        print(f"evoptax: {one_line(sentence)}", file=sys.stderr)
        return 2


def _run(argv: Sequence[str] | None) -> int:
    for argument in sys.argv[1:] if argv is None else argv:
        if "\0" in argument:  # no path holds it
            raise UserError(f"'{argument}' holds a NUL character, which is not accepted")
    try:
        args = parser().parse_args(argv)
    except SystemExit as end:  # of --help
        return int(end.code or 0)
    return int(args.run(args))


def _sentence(error: Exception) -> str | None:
    """What is wrong, in a sentence; None where evoptax itself is at fault."""
    match error:
        case UserError():
            return str(error)
        case RecursionError():
            return "what was given is nested too deeply"
        case MemoryError():
            return f"there is too little memory{f': {error}' if str(error) else ''}"
        case OSError():
            place = f"'{os.fsdecode(error.filename)}': " if error.filename else ""
            return f"{place}{error.strerror or error}"
    return None


if __name__ == "__main__":
    from .entry import run

    sys.exit(run())
