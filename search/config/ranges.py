"""The accepted values of a setting: each class checks a value and explains a refusal.

`settings.py` annotates its fields with these; the command line uses the same objects for its
options.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Protocol, get_type_hints

from ...dsl.errors import did_you_mean


class Accepted(Protocol):
    """What a setting accepts."""

    def refusal(self, value: Any) -> str:
        """Why a value of the right type is refused, and what is accepted; empty if it is fine."""
        ...


@dataclass(frozen=True)
class Range:
    """Finite numbers in a closed interval.

    Attributes:
      least, most: the ends. why: the reason for the upper end.
      above: whether the lower end itself is excluded.
    """

    least: float
    most: float
    why: str = ""
    above: bool = False

    def __str__(self) -> str:
        least, most = (f"{int(x):,}" if x == int(x) else str(x) for x in (self.least, self.most))
        ends = f"above {least}, at most {most}" if self.above else f"{least} to {most}"
        return ends + (f" ({self.why})" if self.why else "")

    def holds(self, value: float) -> bool:
        """Whether the value lies within; NaN lies nowhere."""
        return (self.least < value if self.above else self.least <= value) and value <= self.most

    def refusal(self, value: float) -> str:
        return "" if self.holds(value) else f"is {shown(value)}; accepted: {self}"


@dataclass(frozen=True)
class OneOf:
    """One of some names."""

    names: Sequence[str]

    def refusal(self, value: str) -> str:
        if value in self.names:
            return ""
        hint = did_you_mean(value, self.names)
        return f"is {shown(value)}{hint}; accepted: {', '.join(self.names)}"


@dataclass(frozen=True)
class OneFound:
    """One of the names that a function returns, called at each check."""

    names: Callable[[], Sequence[str]]

    def refusal(self, value: str) -> str:
        return OneOf(self.names()).refusal(value)


@dataclass(frozen=True)
class Named:
    """Any non-empty name."""

    what: str

    def refusal(self, value: str) -> str:
        return "" if value.strip() else f"is empty; accepted: {self.what}"


@dataclass(frozen=True)
class NumberOrName:
    """A whole number, or a name, optionally followed by a colon and more text.

    Attributes:
      number: the range. what: the kind of thing named, as in "an executor".
      names: returns the existing names.
    """

    number: Range
    what: str
    names: Callable[[], Sequence[str]]

    def refusal(self, value: int | str) -> str:
        if not isinstance(value, str):
            return self.number.refusal(value)
        known = self.names()
        name = value.partition(":")[0]
        if name in known:
            return ""
        hint = did_you_mean(name, known)
        listed = f"{self.what}: {', '.join(known)}"
        return f"is {shown(value)}{hint}; accepted: a whole number, {self.number}, or {listed}"


@dataclass(frozen=True)
class Names:
    """A list of names, each once.

    Attributes:
      what: the kind of things named. least: the smallest number of names. among: the accepted
        names; empty if they are checked elsewhere.
    """

    what: str
    least: int = 0
    among: Sequence[str] = ()

    def refusal(self, value: Sequence[str]) -> str:
        if len(value) < self.least:
            return f"is empty; accepted: {self.what}"
        for place, name in enumerate(value):
            if not name.strip():
                return f"has an empty name; accepted: {self.what}"
            if name in value[:place]:
                return f"has {shown(name)} twice; accepted: {self.what}, each once"
            if self.among and name not in self.among:
                hint = did_you_mean(name, self.among)
                return f"has {shown(name)}{hint}; accepted: {_listed(self.among)}"
        return ""


@dataclass(frozen=True)
class Rising:
    """A list of increasing numbers.

    Attributes:
      each: the range of each number. most: the largest number of them.
    """

    each: Range
    most: int

    def refusal(self, value: Sequence[float]) -> str:
        accepted = f"accepted: at most {self.most} rising numbers, each {self.each}"
        for number in value:
            if not self.each.holds(number):
                return f"has {shown(number)}; {accepted}"
        if len(value) > self.most:
            return f"has {len(value):,} numbers; {accepted}"
        for lower, higher in pairwise(value):
            if lower >= higher:
                return f"has {shown(higher)} after {shown(lower)}; {accepted}"
        return ""


@dataclass(frozen=True)
class Weights:
    """A table from names to relative frequencies.

    Attributes:
      what: the kind of things named. names: returns the existing names.
    """

    what: str
    names: Callable[[], Sequence[str]]

    def refusal(self, value: Mapping[str, float]) -> str:
        known, each = self.names(), Range(0, 1e6, "relative to the others")
        for name, weight in value.items():
            if name not in known:
                hint = did_you_mean(name, known)
                return f"has {shown(name)}{hint}; accepted: {_listed(known)}"
            if not each.holds(weight):
                return f"has {shown(weight)} for {name}; accepted: {each}"
        if not any(value.values()):
            return f"has 0 for all {self.what}; accepted: more than 0 for one of them"
        return ""


def _listed(names: Sequence[str]) -> str:
    """The first names, and whether there are others."""
    return ", ".join(names[:8]) + (" and others" if len(names) > 8 else "")


@cache
def accepted_by(table: type) -> Mapping[str, Accepted]:
    """What the annotated fields of a dataclass accept, by name."""
    hints = get_type_hints(table, include_extras=True)
    marked = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return {name: found[0] for name, found in marked.items() if found}


def shown(value: Any) -> str:
    """A value as text for a message, shortened if it is long or deeply nested."""
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) < 10**30:
            return f"{value:,}"
        # Python refuses to write out more than 4,300 digits.
        return f"a number of {int(value.bit_length() * math.log10(2)) + 1:,} digits"
    if isinstance(value, float):
        return repr(value)
    brief = reprlib.Repr()
    brief.maxstring = brief.maxother = 80
    return brief.repr(value)
