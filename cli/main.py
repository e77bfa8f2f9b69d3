"""The `evoptax` command. Each command is a module with `add_arguments(parser)` and `run(args)`.

A command's module is imported when that command is given, so `--help`, `--version` and the commands
that only read answer at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from ..dsl.errors import UserError
from .entry import STOPPED
from .output import discard_output, one_line, take_any_text

# The name of each command's module, and what it does.
COMMANDS = {
    "search": "search for optimizers",
    "resume": "continue a run, or give it a larger budget",
    "runs": "list the runs",
    "show": "show a run or a rule",
    "evaluate": "compare rules on tasks",
    "tune": "tune the constants of a rule",
    "export": "export a rule as code, LaTeX or JSON",
    "lineage": "show the ancestry of a run's rules",
    "simplify": "simplify a rule",
    "known": "list the documented optimizers, or show one",
    "tasks": "list the built-in tasks",
    "doctor": "check this installation",
}
_DEBUG_HELP = "show errors with their traceback (or set EVOPTAX_DEBUG=1)"


class _Parser(argparse.ArgumentParser):
    """Reports a mistake in one sentence, where argparse would print the usage first."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see `{self.prog} --help`")

    def print_help(self, file: Any = None) -> None:
        # Not argparse's own way of printing, which ignores a failed write.
        print(self.format_help(), end="", file=file)


class _CommandParser(_Parser):
    """The parser of one command. Imports the command's module when it parses.

    Args:
      command: the name of the module in this folder.
    """

    def __init__(self, command: str, **options: Any) -> None:
        super().__init__(**options)
        self._command = command

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        module = import_module(f".{self._command}", __package__)
        # Also accepted after the command; if it is absent there, the value from before it is kept.
        self.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=_DEBUG_HELP
        )
        module.add_arguments(self)
        self.set_defaults(run=module.run)
        return super().parse_known_args(args, namespace)


class _Version(argparse.Action):
    """Prints the version. It is looked up only then, because that takes 30 ms."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *given: Any) -> NoReturn:
        from .. import __version__

        print(f"evoptax {__version__}")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """A new parser of the whole command line, for one call of `parse_args`."""
    top = _Parser(
        prog="evoptax",
        description="Discovers optimizers: evolves update rules on real training tasks.",
        epilog="RULE is a known name (lion), RUN:best, RUN:NUMBER, or a file with one program.",
    )
    top.add_argument("--version", action=_Version, help="print the version and exit")
    top.add_argument("--debug", action="store_true", help=_DEBUG_HELP)
    subparsers = top.add_subparsers(metavar="COMMAND", required=True, parser_class=_CommandParser)
    for name, help in COMMANDS.items():
        description = f"{help[0].upper()}{help[1:]}."
        subparsers.add_parser(name, command=name, help=help, description=description)
    return top


def wants_debug(argv: Sequence[str]) -> bool:
    """Whether to show tracebacks of errors: --debug, or EVOPTAX_DEBUG=1."""
    return "--debug" in argv or os.environ.get("EVOPTAX_DEBUG", "") not in ("", "0")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
      The exit status: 0 done, 2 the user's mistake, 130 stopped by Ctrl-C after saving.

    Raises:
      Exception: an internal error, which `entry.run` reports.
    """
    take_any_text()
    try:
        status = _run(argv)
        sys.stdout.flush()  # here, so that a full disk is reported
        return status
    except KeyboardInterrupt:
        print("evoptax: stopped", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        # The reader has exited, as in `evoptax known | head`.
        discard_output()
        return 0
    except Exception as error:
        if (sentence := _sentence(error)) is None:
            raise
        if wants_debug(sys.argv[1:] if argv is None else argv):
            import traceback

            traceback.print_exception(error)
        print(f"evoptax: {one_line(sentence)}", file=sys.stderr)
        return 2


def _run(argv: Sequence[str] | None) -> int:
    for argument in sys.argv[1:] if argv is None else argv:
        if "\0" in argument:  # no path can contain it
            raise UserError(f"'{argument}' holds a NUL character, which is not accepted")
    try:
        args = parser().parse_args(argv)
    except SystemExit as end:  # --help and --version
        return int(end.code or 0)
    return int(args.run(args))


def _sentence(error: Exception) -> str | None:
    """The error in a sentence; None for an internal error."""
    match error:
        case UserError():
            return str(error)
        case RecursionError():
            return "the input is nested too deeply"
        case MemoryError():
            return f"out of memory{f': {error}' if str(error) else ''}"
        case OSError():
            place = f"'{os.fsdecode(error.filename)}': " if error.filename else ""
            return f"{place}{error.strerror or error}"
    return None


if __name__ == "__main__":
    from .entry import run

    sys.exit(run())
