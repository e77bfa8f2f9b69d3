"""The rules of a configuration: each a known rule's name, or a program's text.

A user may also name files and other runs there. The API replaces these by their programs' text
before a search starts, so that a run depends on no file and no other run.
"""

from __future__ import annotations

from ...dsl.program import Program
from ...dsl.syntax import parse
from ...known_algorithms.catalogue import get_known


def is_text(rule: str) -> bool:
    """Whether a rule of a configuration is a program's text; names and paths have one line."""
    return "\n" in rule


def rule_name(rule: str) -> str:
    """The name of a rule of a configuration."""
    return rule.lstrip().removeprefix("def ").partition("(")[0] if is_text(rule) else rule


def rule_program(rule: str) -> Program:
    """A rule of a configuration. Raises UserError if it is neither a known name nor a program."""
    if is_text(rule):
        return parse(rule)
    return get_known(rule).program
