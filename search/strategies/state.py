"""What an evolution remembers, as immutable values; `regularized` moves them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...dsl.program import Program
from ..config.settings import Evolution
from ..store.records import Proposal
from .history import History

Batch = tuple[Proposal, ...]


@dataclass(frozen=True, slots=True)
class Individual:
    """A member of the population. Lower fitness is better; inf diverged.

    Attributes:
      structure: the program's `structure_digest`; "" where no strategy needs it.
      settings: how many settings of its constants this structure was tried with in this round.
    """

    ordinal: int
    program: Program
    digest: str
    candidate: int
    fitness: float
    structure: str = ""
    settings: int = 1


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
      first_newborn: the first proposal that is no survivor of the round before; 0 in the first.
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
    first_newborn: int = 0
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

    @property
    def left_in_round(self) -> float:
        """Number of trials that this round has left; inf where there are no rounds."""
        most = self.settings.round
        return self.begun + most - self.asked if most else math.inf
