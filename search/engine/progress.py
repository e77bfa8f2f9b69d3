"""The progress of a run, as it is reported to the user interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..store.records import Status
from ..strategies.state import Batch


@dataclass(frozen=True)
class Progress:
    """What a run is doing.

    Attributes:
      phase: "compiling", "searching", "validating", "tuning", "pruning", "confirming",
        "comparing"; or the strategy's own, if it trains nothing, as in "distilling".
      detail: the step within the phase, in words.
      trained, proposed, duplicates, rejected, diverged: numbers of candidates so far.
      best: the lowest fitness so far (mean log-ratio to the baseline); None before the first.
      baseline: its name.
      validation: the same on the validation tasks.
      round: number of the round, from 0.
      seconds: while compiling since its start; later since the start of the search.
      rate: candidates trained per second, without replayed ones.
      fraction: the part of the budget that is used; None without a budget.
    """

    phase: str
    detail: str = ""
    trained: int = 0
    proposed: int = 0
    duplicates: int = 0
    rejected: int = 0
    diverged: int = 0
    best: float | None = None
    baseline: str = "adamw"
    validation: float | None = None
    round: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    fraction: float | None = None


@dataclass
class Counts:
    """Numbers of candidates so far.

    Attributes:
      statuses: the number of proposals by status.
      diverged: how many of the trained ones diverged. best: their lowest fitness.
      replayed: how many were trained in an earlier session.
    """

    statuses: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Status, 0))
    diverged: int = 0
    best: float | None = None
    replayed: int = 0

    def add(self, batch: Batch, fitness: Mapping[int, float]) -> None:
        for proposal in batch:
            self.statuses[proposal.status] += 1
        for value in fitness.values():
            self.diverged += value == float("inf")
            self.best = value if self.best is None else min(self.best, value)
