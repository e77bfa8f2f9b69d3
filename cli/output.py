"""Printing: tables, percentages, JSON."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Sequence
from typing import Any


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
        table.add_row(*(Text(str(cell)) for cell in row))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 200
    Console(width=width, highlight=False).print(table)


def print_json(data: Any) -> None:
    """Prints strict JSON; numbers that JSON lacks become null."""
    print(json.dumps(_strict(data), indent=2, ensure_ascii=False))


def _strict(data: Any) -> Any:
    if isinstance(data, float) and not math.isfinite(data):
        return None
    if isinstance(data, dict):
        return {key: _strict(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_strict(value) for value in data]
    return data
