"""What a run is doing, for whoever watches it."""

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
        "comparing"; or what a strategy that trains nothing says, as in "distilling".
      detail: what of the phase is done, in words.
      trained, proposed, duplicates, rejected, diverged: numbers of candidates so far.
      best: lowest fitness so far (mean log-ratio to tuned AdamW); None before the first.
      validation: the lowest on the validation tasks; None before the first.
      round: number of the round, from 0.
      seconds: of this phase. rate: candidates trained per second, replayed ones left out.
      fraction: of the budget used, if there is one.
    """

    phase: str
    detail: str = ""
    trained: int = 0
    proposed: int = 0
    duplicates: int = 0
    rejected: int = 0
    diverged: int = 0
    best: float | None = None
    validation: float | None = None
    round: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    fraction: float | None = None


@dataclass
class Counts:
    """Numbers of candidates so far.

    Attributes:
      statuses: proposals by status. diverged, best: of those trained.
      replayed: those that an earlier session trained.
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
