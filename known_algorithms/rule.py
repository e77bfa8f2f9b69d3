"""A documented optimizer: its program beside its paper."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ..dsl.program import Program
from ..dsl.syntax import parse
from .parity import Match, load_parity


@dataclass(frozen=True)
class Paper:
    """Where a rule was published.

    Attributes:
      title, authors, year: as printed.
      venue: journal, conference or lecture.
      arxiv: the arXiv identifier, or an empty string.
    """

    title: str
    authors: str
    year: int
    venue: str
    arxiv: str = ""


@dataclass(frozen=True)
class KnownRule:
    """One documented update rule.

    Attributes:
      text: the program as `format_program` prints it, but with calls of other rules.
      paper: where it comes from.
      tier: what it needs from the language, "1a" (elementwise) to "5" (schedules).
      row: its row in the list of rules of the four source documents; variants may share one. None
        for a rule that none of them names.
      seeds: which of the four source documents name it.
      calls: the rules that it calls by name.
      caveat: what differs between implementations that share the name; empty if nothing does.
    """

    text: str
    paper: Paper
    tier: str
    row: int | None = None
    seeds: tuple[int, ...] = ()
    caveat: str = ""
    calls: tuple[KnownRule, ...] = ()

    @cached_property
    def program(self) -> Program:
        """The parsed program; read at first use, because nobody needs all of them at once."""
        return parse(self.text, {rule.name: rule.program for rule in self.calls})

    @property
    def matches(self) -> tuple[Match, ...]:
        """The references that its trajectories were compared with, as last measured."""
        return load_parity().rules.get(self.name, ())

    @property
    def name(self) -> str:
        """The rule's name, which is its program's."""
        return self.text.removeprefix("def ").partition("(")[0]
