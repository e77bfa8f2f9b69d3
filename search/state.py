"""What a search proposes and remembers, as immutable values; `evolution` moves them.

Apart from it, because whoever reads a ledger needs these words and none of the breeding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ..dsl.program import Program
from .config import Evolution

if TYPE_CHECKING:
    from .history import History

# What becomes of those who survive a round, in the place of a mutation.
SURVIVES = "survives the round"
# Why a duplicate is one, where its program differs from its twin's.
ALIKE = "behaves the same"

Batch = tuple["Proposal", ...]


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
      twin: the earlier proposal that it repeats.
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
    twin: int | None = None
    candidate: int | None = None
    expected: float = math.nan


@dataclass(frozen=True, slots=True)
class Individual:
    """A member of the population. Lower fitness is better; inf diverged."""

    ordinal: int
    program: Program
    digest: str
    candidate: int
    fitness: float


Population = tuple[Individual, ...]


@dataclass(frozen=True, slots=True)
class SearchState:
    """Everything the next `ask` depends on.

    Attributes:
      seed, settings: of the run.
      starters: what the search began with; empty before they are told.
      islands: populations that breed apart, each oldest first.
      history: what was asked for and told.
      next_ordinal: of the next proposal.
      pending: batches asked for and not told yet, oldest first.
      round: its number, from 0. first: its first proposal. begun: trials asked for before it.
      elders: the first proposal that is no survivor of the round before; 0 in the first round.
      level: how much higher the same candidates' fitness is on this round's problems than it was on
        the first round's. The history is of those.
    """

    seed: int
    settings: Evolution
    starters: Population
    islands: tuple[Population, ...]
    history: History
    next_ordinal: int
    pending: tuple[Batch, ...]
    round: int = 0
    first: int = 0
    begun: int = 0
    elders: int = 0
    level: float = 0.0

    def fitness(self, candidate: int) -> float:
        """A candidate's fitness, on the level of this round's problems.

        Raises:
          KeyError: when none of its trials was told.
        """
        return self.history.fitness(candidate) + self.level

    @property
    def population(self) -> Population:
        """The individuals of all islands, oldest first."""
        if len(self.islands) == 1:
            return self.islands[0]
        return tuple(sorted((i for p in self.islands for i in p), key=lambda i: i.ordinal))

    @property
    def trained(self) -> int:
        """Number of trials whose fitness was told."""
        return self.history.told

    @property
    def asked(self) -> int:
        """Number of trials told or pending."""
        return self.history.asked
