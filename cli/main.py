"""The `evoptax` command. Each command is a module with `add(subparsers)` and a `run(args)`.

Only the standard library is imported here and at the top of the command modules, so that commands
that merely read answer at once; whatever needs JAX is imported when it runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from ..dsl.errors import UserError
from . import (
    doctor,
    evaluate,
    export,
    known,
    lineage,
    resume,
    runs,
    search,
    show,
    simplify,
    tasks,
)

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


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = _Parser(
        prog="evoptax",
        description="Discovers optimizers: evolves update rules on real training tasks.",
        epilog="RULE is a known name (lion), RUN:best, RUN:NUMBER, or a file with one program.",
    )
    subparsers = top.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    for command in COMMANDS:
        command.add(subparsers)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
      The exit status: 0 done, 2 the user's mistake, 130 stopped by Ctrl-C after saving.
    """
    try:
        args = parser().parse_args(argv)
        return args.run(args)
    except UserError as error:
        print(f"evoptax: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("evoptax: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader went away (`evoptax known | head`); what is buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
