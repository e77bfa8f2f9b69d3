"""The identities and facts of `laws`, read from text into patterns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ..expressions import parse_expression
from ..inputs import INPUTS
from ..program import Call, Expr, Name, subexpressions
from .laws import EXACT, FACTS, IDENTITIES

CONSTANTS = frozenset("CD")


@dataclass(frozen=True, eq=False)
class Identity:
    """One identity, in one direction. Each is equal to itself only, which is hashed at once.

    Attributes:
      name: its text, as a person reads it.
      family: the heading it stands under.
      left, right: patterns.
      conditions: facts such as positive(x), or comparisons of constants.
      safe: whether both sides have a value at the same points and of the same kind.
      exact: whether it changes no result in IEEE arithmetic, so that rewriting may apply it.
    """

    name: str
    family: str
    left: Expr
    right: Expr
    conditions: tuple[Expr, ...]
    safe: bool
    exact: bool = False

    @cached_property
    def shrinks(self) -> bool:
        """Whether it leads to something shorter, or only exchanges two arguments."""
        left, right = _length(self.left), _length(self.right)
        return right < left or self.left == _exchanged(self.right)


def _length(expr: Expr) -> int:
    """The number of calls and leaves; what has only constants is one number."""
    if not isinstance(expr, Call) or (variables(expr) and variables(expr) <= CONSTANTS):
        return 1
    return 1 + sum(map(_length, expr.args))


def _exchanged(expr: Expr) -> Expr:
    return Call(expr.primitive, expr.args[::-1]) if isinstance(expr, Call) else expr


def identities() -> tuple[Identity, ...]:
    """All identities, those of one family together."""
    return _TABLE


def exact_laws() -> Iterator[Identity]:
    """The laws that rewriting applies, in the order of `laws`."""
    yield from (identity for identity in _TABLE if identity.exact)
    yield from (law for line in EXACT.strip().splitlines() for law in _read("exact", line.strip()))


def facts() -> Iterator[tuple[str, Expr, tuple[Expr, ...]]]:
    """(fact, pattern, conditions) of each line of `laws.FACTS`."""
    for line in FACTS.strip().splitlines():
        head, _, conditions = line.strip().partition(" if ")
        fact, _, pattern = head.partition("(")
        yield fact, parse_pattern(pattern.removesuffix(")")), _conditions(conditions)


def parse_pattern(text: str) -> Expr:
    """An expression in which `positive(x)` and `nonneg(x)` may stand as conditions."""
    return parse_expression(text.strip())


def variables(expr: Expr) -> set[str]:
    """The letters in a pattern; names of inputs stand for themselves."""
    found = {e.id for e in subexpressions(expr) if isinstance(e, Name)}
    return {name for name in found if name not in INPUTS}


def _conditions(text: str) -> tuple[Expr, ...]:
    found: list[Expr] = []
    for part in re.findall(r"[^,(]+(?:\([^)]*\))?", text):
        match = re.fullmatch(r"\s*(positive|nonneg)\((\w)\)\s*", part)
        found.append(Call(match[1], (Name(match[2]),)) if match else parse_pattern(part))
    return tuple(found)


def _read(family: str, line: str) -> Iterator[Identity]:
    body, _, conditions = line.partition(" if ")
    left, arrow, right = re.split(r" (<->|<=>|->|=>|~>) ", body)
    sides = parse_pattern(left), parse_pattern(right)
    both = arrow in ("<->", "<=>")
    text = f"{left} {'=' if both else '→'} {right}"
    for place, way in enumerate((sides, sides[::-1])[: 2 if both else 1]):
        safe = arrow != "~>" and variables(way[0]) <= variables(way[1]) | CONSTANTS
        exact = arrow in ("=>", "<=>") and place == 0
        yield Identity(text, family, *way, _conditions(conditions), safe, exact)


_TABLE = tuple(
    identity
    for family, text in IDENTITIES.items()
    for line in text.strip().splitlines()
    for identity in _read(family, line.strip())
)
