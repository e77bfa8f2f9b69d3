"""Names and texts that are safe inside a generated Python file.

A program is data that anyone may have written: its names can be Python's own words and its
docstring can hold quotes and control characters. Nothing of it may change what the file does.
"""

from __future__ import annotations

import builtins
import keyword
import re
import textwrap
from collections.abc import Iterable, Iterator

_PYTHON_WORDS = frozenset([*keyword.kwlist, *dir(builtins)])


class FreshNames:
    """Hands out Python identifiers, each one once.

    Args:
      reserved: names that the generated file uses itself.
    """

    def __init__(self, reserved: Iterable[str]) -> None:
        self._taken = set(reserved) | _PYTHON_WORDS

    def safe(self, name: str) -> str:
        """The name itself if it is free; otherwise with underscores after it.

        Underscores in front are dropped, because a NamedTuple refuses them in its fields.
        """
        plain = _ascii(name).lstrip("_")
        if not plain or plain[0].isdigit():
            plain = f"x{plain}"
        while plain in self._taken:
            plain += "_"
        self._taken.add(plain)
        return plain

    def numbered(self, name: str) -> str:
        """The name itself if it is free; otherwise with a number: m, m_2, m_3, …"""
        name = _ascii(name)
        candidate, number = name, 1
        while candidate in self._taken:
            number += 1
            candidate = f"{name}_{number}"
        self._taken.add(candidate)
        return candidate


def _ascii(name: str) -> str:
    # Python takes some letters outside ASCII for one another.
    return re.sub(r"[^A-Za-z0-9_]", "x", name)


def camel_case(name: str) -> str:
    """my_rule -> MyRule."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def printable(text: str) -> str:
    """The text with every control character but the line feed written as an escape.

    A carriage return would end a comment, and a null byte makes a file unreadable.
    """
    return "".join(
        c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )


def docstring_text(text: str) -> str:
    """The text escaped so that it can stand between triple double quotes.

    A lone surrogate becomes the text of its escape, because no docstring can hold one since
    Python 3.13.
    """
    text = text.encode("utf-8", "backslashreplace").decode()
    # What `printable` escapes, Python reads back as the character itself.
    escaped = printable(text.replace("\\", "\\\\"))
    if escaped.endswith('"'):
        escaped = escaped[:-1] + r"\""
    return escaped.replace('"""', r"\"\"\"")


def comment(text: str) -> list[str]:
    """The text as comment lines."""
    return [f"# {line}".rstrip() for line in printable(text).split("\n")]


def indented(by: int, lines: Iterable[str]) -> Iterator[str]:
    """The lines with so many spaces in front; empty lines stay empty."""
    return (" " * by + line if line else "" for line in lines)


def wrapped(prefix: str, expression: str, indent: str, width: int = 100) -> list[str]:
    """`prefix` + `expression` on one line, or in parentheses over several if it is too long."""
    line = f"{indent}{prefix}{expression}"
    return [line] if len(line) <= width else bracketed(f"{prefix}(", expression, ")", indent, width)


def bracketed(start: str, inside: str, end: str, indent: str, width: int = 100) -> list[str]:
    """`start` + `inside` + `end` on one line if it fits; `start` and `end` are brackets."""
    line = f"{indent}{start}{inside}{end}"
    if len(line) <= width:
        return [line]
    return [f"{indent}{start}", *filled(inside, f"{indent}    ", width), f"{indent}{end}"]


def filled(text: str, indent: str, width: int = 100) -> list[str]:
    """The text over as many lines as it needs, broken at spaces."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def paragraph(text: str) -> Iterator[str]:
    """Filled lines of a docstring; those after the first are indented further."""
    depth = len(text) - len(text.lstrip())
    indent = " " * (4 + depth)
    hang = indent + ("  " if depth else "")
    yield from textwrap.wrap(
        text.lstrip(), 88, initial_indent=indent, subsequent_indent=hang, break_long_words=False
    )
