"""Prints text, tables and JSON; control characters are escaped, as in \\x1b."""

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

# The number of characters shown at each end of a long message.
_HALF = 900


def print_text(text: str = "", *, end: str = "\n") -> None:
    """Prints text that may contain control characters, such as names and programs."""
    print(printable(text), end=end)


def print_note(text: str) -> None:
    """Prints such text to standard error and flushes it."""
    print(printable(text), file=sys.stderr, flush=True)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Prints aligned columns, numbers to the right. Never cuts unless the output is a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, header in enumerate(headers):
        cells = [row[column] for row in rows]
        numeric = bool(cells) and all(isinstance(c, int | float) for c in cells)
        table.add_column(header, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        # Text, not str: names may contain what rich takes for markup.
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 200
    Console(width=width, highlight=False).print(table)


def print_json(data: Any) -> None:
    """Prints strict JSON; NaN and infinity become null."""
    # With other encodings, Python would replace characters by escapes that are not valid JSON.
    is_utf8 = (sys.stdout.encoding or "").lower() in ("utf-8", "utf8")
    text = json.dumps(_strict(data), indent=2, ensure_ascii=not is_utf8)
    if printable(text) != text:
        text = re.sub("[^\x00-\x7f]", lambda character: json.dumps(character[0])[1:-1], text)
        text = text.replace("\x7f", "\\u007f")
    print(text)


def one_line(message: str) -> str:
    """A message on one line, without its middle if it is very long."""
    text = printable(" ".join(message.split()))
    return text if len(text) <= 2 * _HALF else f"{text[:_HALF]} … {text[-_HALF:]}"


def take_any_text() -> None:
    """Makes standard output and error escape characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def discard_output() -> None:
    """Discards the buffered standard output, after its reader has exited."""
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
