"""What can be wrong with what a user hands over."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake of the user: one clear sentence, exit status 2."""


class ProgramError(UserError):
    """A program that is not well formed.

    Attributes:
      reason: what is wrong and what would be accepted, without the place.
      line, column: where, both from 1; None when the program did not come from text.
      text: the offending source text.
      node: the offending expression, by which a parser finds the place afterwards.
    """

    def __init__(
        self,
        reason: str,
        *,
        line: int | None = None,
        column: int | None = None,
        text: str | None = None,
        node: object = None,
    ) -> None:
        self.reason = reason
        self.line = line
        self.column = column
        self.text = text
        self.node = node
        super().__init__(str(self))

    def __str__(self) -> str:
        if self.line is None:
            return self.reason
        place = f"line {self.line}, column {self.column}"
        return f"{place}: {self.reason}" + (f" (at `{self.text}`)" if self.text else "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns `; did you mean 'x'?` for the nearest known word, or an empty string."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""
