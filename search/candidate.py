"""A candidate as the ledger holds it, and what each column of its row may hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .plain import Mismatch, shown
from .state import Status


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
    twin: int | None
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
