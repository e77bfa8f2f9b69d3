"""Printing: text, tables, JSON; what a terminal would act on is written out, as in \\x1b."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ..dsl.files import printable

# Characters of a long message that are shown at each end.
_HALF = 900


def print_text(text: str = "", *, end: str = "\n") -> None:
    """Prints text that holds a name, a program or a message."""
    print(printable(text), end=end)


def print_note(text: str) -> None:
    """Prints such text to standard error, at once."""
    print(printable(text), file=sys.stderr, flush=True)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Prints aligned columns; numbers to the right. Never cut when output is not a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, header in enumerate(headers):
        cells = [row[column] for row in rows]
        numeric = bool(cells) and all(isinstance(c, int | float) for c in cells)
        table.add_column(header, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        # Text, not str: names are data and may hold rich's own markup.
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 200
    Console(width=width, highlight=False).print(table)


def print_json(data: Any) -> None:
    """Prints strict JSON; numbers that JSON lacks become null."""
    # An encoding that lacks a character would make of it an escape that JSON does not have.
    is_utf8 = (sys.stdout.encoding or "").lower() in ("utf-8", "utf8")
    text = json.dumps(_strict(data), indent=2, ensure_ascii=not is_utf8)
    if printable(text) != text:
        text = re.sub("[^\x00-\x7f]", lambda character: json.dumps(character[0])[1:-1], text)
        text = text.replace("\x7f", "\\u007f")
    print(text)


def one_line(message: str) -> str:
    """A message on one line; what is very long, as a path may be, without its middle."""
    text = printable(" ".join(message.split()))
    return text if len(text) <= 2 * _HALF else f"{text[:_HALF]} … {text[-_HALF:]}"


def take_any_text() -> None:
    """Lets standard output and error write what their encodings lack as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def discard_output() -> None:
    """Drops what is buffered for standard output and has nowhere to go."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _strict(data: Any) -> Any:
    if isinstance(data, float) and not math.isfinite(data):
        return None
    if isinstance(data, dict):
        return {key: _strict(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_strict(value) for value in data]
    return data
