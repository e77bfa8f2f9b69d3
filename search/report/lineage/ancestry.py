"""The ancestry of a candidate, and what each mutation changed."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ....dsl.errors import UserError
from ...store.ledger import Ledger
from ...store.records import Candidate


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A step of an ancestry.

    Attributes:
      candidate: as in the ledger.
      difference: its fitness minus its parent's; None if either is missing or infinite.
      diff: the difference between the program texts of parent and child, as lines that start with
        "+", "-" or " "; empty for the root.
    """

    candidate: Candidate
    difference: float | None
    diff: tuple[str, ...]

    @property
    def change(self) -> str:
        """The mutation in words."""
        return self.candidate.change

    @property
    def fitness(self) -> float | None:
        """Mean log-ratio to the baseline; None if not trained, inf if diverged."""
        return self.candidate.fitness


def ancestry(ledger: Ledger, ordinal: int) -> tuple[Ancestor, ...]:
    """The ancestors of a candidate and itself, root first.

    Raises:
      UserError: there is no such candidate, or an ancestor is missing from the ledger.
    """
    return as_steps(reversed(list(_upwards(ledger, ordinal))))


def as_steps(line: Iterable[Candidate]) -> tuple[Ancestor, ...]:
    """Ancestors from candidates, each of which is the parent of the next."""
    steps: list[Ancestor] = []
    parent: Candidate | None = None
    for candidate in line:
        diff = text_diff(parent.program, candidate.program) if parent else ()
        steps.append(Ancestor(candidate, difference(parent, candidate), diff))
        parent = candidate
    return tuple(steps)


def difference(parent: Candidate | None, child: Candidate) -> float | None:
    """The child's fitness minus the parent's; negative is better. None if there is none."""
    if parent is None or parent.fitness is None or child.fitness is None:
        return None
    value = child.fitness - parent.fitness
    return value if math.isfinite(value) else None


def text_diff(old: str, new: str) -> tuple[str, ...]:
    """The lines that differ, with "-" or "+" before them, and a line of context around them."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1)
    # The first two lines are file names, which do not apply.
    return tuple(line for i, line in enumerate(lines) if i > 1 and not line.startswith("@@"))


def _upwards(ledger: Ledger, ordinal: int) -> Iterator[Candidate]:
    candidate = ledger.candidate(ordinal)
    if candidate is None:
        count = sum(ledger.counts().values())
        numbers = f"0 to {count - 1}" if count else "none yet"
        raise UserError(f"this run has no candidate {ordinal}; its candidates: {numbers}")
    yield candidate
    while (parent := candidate.parent) is not None:
        # This loop ends: the ledger refuses a parent that is not an earlier candidate.
        found = ledger.candidate(parent)
        if found is None:
            raise ledger.damaged(
                f"candidate {candidate.ordinal} descends from {parent}, which is not there"
            )
        candidate = found
        yield candidate
