"""What a search found, as data. Nothing here needs JAX, so that what only reads answers at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finalist:
    """A candidate that reached validation.

    Attributes:
      ordinal: of the candidate; fitness: on the proxies; validation: mean log-ratio to the
        baseline on the validation tasks; confirmation: the same by the fused path on fresh seeds
        of the proxies (None if not tried).
    """

    ordinal: int
    fitness: float
    validation: float
    confirmation: float | None = None


@dataclass(frozen=True)
class Row:
    """A rule on an unseen task, tuned as everyone: a line of the final comparison.

    Attributes:
      loss: mean validation loss at the tuned learning rate (inf: diverged at every rate).
      log_ratio, low, high: to the baseline, with a 95 % interval from a paired t-test over seeds
        (None where it has no meaning, as for the baseline itself or with one seed).
    """

    rule: str
    task: str
    learning_rate: float
    loss: float
    seeds: int
    log_ratio: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What a search found.

    Attributes:
      ordinal: the candidate that won; a starter's if nothing better was confirmed.
      program: text of the best rule as evolved. simplified: the same rule, simplified; this is
        what was confirmed, compared and exported.
      fitness: mean log-ratio to the baseline on the proxies.
      confirmed: whether the fused path found it no worse than the baseline on fresh seeds.
      finalists: best validation first. comparison: on target tasks, fresh seeds.
    """

    ordinal: int
    program: str
    simplified: str
    fitness: float
    confirmed: bool
    finalists: tuple[Finalist, ...]
    comparison: tuple[Row, ...]


def outcome_from_json(data: dict[str, Any]) -> Outcome:
    """Reads back what `decide` stored."""
    return Outcome(
        **data
        | {
            "finalists": tuple(Finalist(**f) for f in data["finalists"]),
            "comparison": tuple(Row(**r) for r in data["comparison"]),
        }
    )
