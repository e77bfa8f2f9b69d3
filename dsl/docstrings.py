r"""Docstrings as text: what is written reads back as the same characters, whatever they are.

Indentation is cleaned away in the source, before escapes are read, so that what is written as an
escape (a tab, a carriage return, a blank at the start of a line) stays.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator

from .errors import ProgramError
from .expressions import parse_syntax_tree
from .files import printable

_LITERAL = re.compile(r"""([uU]?)(\"{3}|'{3}|"|')(.*)\2""", re.DOTALL)


def read_docstring(source: str, node: ast.Expr) -> str:
    """The text of a docstring, a node of some source, without the indentation of its lines."""
    assert isinstance(node.value, ast.Constant)
    value = str(node.value.value)
    literal = _LITERAL.fullmatch(ast.get_source_segment(source, node) or "")
    if literal is not None and "\\" in literal[3]:
        prefix, quotes, inside = literal.groups()
        try:
            text = f"{prefix}{quotes}{_cleaned(inside)}{quotes}"
            (statement,) = parse_syntax_tree(text).body
        except (ProgramError, ValueError):  # as where a backslash continues the last line
            return _cleaned(value)
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            return str(statement.value.value)
    return _cleaned(value)


def _cleaned(text: str) -> str:
    # Where there is no line after the first, `cleandoc` leaves the indentation of the last quotes.
    return re.sub(r"\n\s*\Z", "", inspect.cleandoc(text))


def docstring_lines(doc: str) -> Iterator[str]:
    """The lines of a docstring, indented by four, that `read_docstring` reads back as this text.

    Control characters and blanks that would be cleaned away are escaped.
    """
    text = re.sub(r'"(?="|\Z)', r'\\"', doc.replace("\\", "\\\\"))
    text = printable(text).replace("\t", r"\t")
    inner = text.strip("\n")
    before = len(text) - len(text.lstrip("\n")) if inner else len(text)
    after = len(text) - before - len(inner)
    first, *rest = (r"\n" * before + inner + r"\n" * after).split("\n")
    rest = [_escaped(line) if _is_blank(line) else line for line in rest]
    filled = [place for place, line in enumerate(rest) if line]
    if filled and all(rest[place].startswith(" ") for place in filled):
        # Else what all lines have in common would be taken for indentation.
        rest[filled[0]] = _escaped(rest[filled[0]])
    yield f'    """{_escaped(first)}' + ("" if rest else '"""')
    for line in rest:
        yield f"    {line}" if line else ""
    if rest:
        yield '    """'


def _is_blank(line: str) -> bool:
    """Whether a line has blanks alone, or starts with one that is no space."""
    after_spaces = line.lstrip(" ")
    return not after_spaces or after_spaces[0].isspace()


def _escaped(line: str) -> str:
    """The line, a blank at its start being written as an escape."""
    start = line[:1]
    return f"\\u{ord(start):04x}{line[1:]}" if start.isspace() else line
