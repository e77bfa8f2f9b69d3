"""Candidates: as they are proposed, and as the ledger holds them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ...dsl.program import Program
from .plain import Mismatch, shown

# What becomes of those who survive a round, in the place of a mutation.
SURVIVES = "survives the round"
# Why a duplicate is one, where its program differs from that of the one it repeats.
ALIKE = "behaves the same"


class Status(StrEnum):
    """What became of a proposal when it was made."""

    NEW = "new"  # to be trained
    AGAIN = "again"  # an earlier one, to be trained on this round's problems too
    DUPLICATE = "duplicate"  # the same as an earlier one, whose fitness it gets
    REJECTED = "rejected"  # stopped at a gate

    @property
    def is_trained(self) -> bool:
        """Whether proposals of this status are trained."""
        return self in (Status.NEW, Status.AGAIN)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate.

    Attributes:
      ordinal: its number in the run, from 0, in the order of proposing.
      parent: its parent's ordinal; None for a starter.
      change: the mutation in words.
      program: the candidate.
      digest: what it computes (`program_digest`).
      status: see `Status`. reason: why it was rejected, or how it is a duplicate.
      duplicate_of: the earlier proposal that it repeats.
      candidate: its number in the history; None where it was rejected.
      expected: its parent's fitness; NaN for a starter.
    """

    ordinal: int
    parent: int | None
    change: str
    program: Program
    digest: str
    status: Status
    reason: str = ""
    duplicate_of: int | None = None
    candidate: int | None = None
    expected: float = math.nan


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row of the ledger. `fitness` is None until trained (or found a duplicate), inf when the
    candidate diverged.
    """

    ordinal: int
    parent: int | None
    change: str
    program: str
    digest: str
    status: str
    reason: str
    duplicate_of: int | None
    fitness: float | None


# A program longer than this is none that a search proposed.
MOST_TEXT = 100_000

_EARLIER = "is null or (typeof({0}) = 'integer' and {0} between 0 and ordinal - 1)"
_STATUSES = ", ".join(f"'{status.value}'" for status in Status)
# Of each column, in the order of `Candidate`, what a healthy row holds, and that in words. SQLite
# checks it as it reads. A further column is a line here.
COLUMNS = {
    "ordinal": ("ordinal >= 0", "a number from 0"),
    "parent": (f"parent {_EARLIER.format('parent')}", "an earlier candidate"),
    "change": ("typeof(change) = 'text'", "text"),
    "program": (
        f"typeof(program) = 'text' and length(program) <= {MOST_TEXT}",
        f"text of at most {MOST_TEXT:,} characters",
    ),
    "digest": ("typeof(digest) = 'text' and digest not glob '*[^0-9a-f]*'", "a digest"),
    "status": (f"status in ({_STATUSES})", _STATUSES),
    "reason": ("typeof(reason) = 'text'", "text"),
    # `duplicate_of`, under the name that it has in files since the first version.
    "twin": (f"twin {_EARLIER.format('twin')}", "an earlier candidate"),
    "fitness": ("fitness is null or typeof(fitness) = 'real'", "a number"),
}
_WRONG = " ".join(
    f"when ({check}) is not true then '{column}'" for column, (check, _) in COLUMNS.items()
)
SELECT = f"select {', '.join(COLUMNS)}, case {_WRONG} end from candidates"


def candidate_of(row: Sequence[Any]) -> Candidate:
    """The candidate in a row that `SELECT` gives.

    Raises:
      Mismatch: naming the column that holds something else, and what.
    """
    *values, wrong = row
    if wrong is not None:
        value = values[list(COLUMNS).index(wrong)]
        raise Mismatch(
            f"the {wrong} of candidate {shown(values[0])} is {shown(value)}, not"
            f" {COLUMNS[wrong][1]}"
        )
    return Candidate(*values)
