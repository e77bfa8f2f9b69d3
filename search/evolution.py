"""Regularized evolution as ask and tell on an immutable state.

    state = init(seed, settings, starters)   # the starters are the first batch that is pending
    while ...:
        while should_ask(state):
            proposals, state = ask(state)    # one more batch, bred from what was told so far
        state = tell(state, fitness)         # the fitness of the new ones in `state.pending[0]`

Several batches may be pending, so that training need not wait for breeding or for the slowest
candidate of a batch. `ask` always proposes a further batch, `tell` answers the oldest, and what a
state holds depends on the order of the two alone: a driver that follows `should_ask` repeats
exactly. A duplicate of a candidate that is pending shares its fitness once that is told.

Nothing here knows of files, clocks, processes or training.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ..dsl.canonical import program_digest
from ..dsl.liveness import without_dead_code
from ..dsl.program import Program
from .config import Evolution
from .gates import rejection
from .history import History, empty_history
from .mutation import mutate
from .randomness import derive

# Dead statements that a child may inherit.
DEAD_STATEMENTS = 3
# Proposals per new candidate before a batch is closed as it is; a search that finds nothing new
# in so many tries has run dry.
MOST_PROPOSALS = 200
# Batches pending at once: one that is trained, one that waits so that no worker does. Part of what
# repeats exactly: a batch is bred without the fitness of those still pending.
BATCHES_IN_FLIGHT = 2

Batch = tuple["Proposal", ...]


class Status(StrEnum):
    """What became of a proposal when it was made."""

    NEW = "new"  # to be trained
    DUPLICATE = "duplicate"  # computes the same as an earlier one, whose fitness it gets
    REJECTED = "rejected"  # stopped at a gate


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate.

    Attributes:
      ordinal: its number in the run, from 0, in the order of proposing.
      parent: its parent's ordinal; None for a starter.
      change: the mutation in words.
      program: the candidate.
      digest: what it computes (`program_digest`).
      status: see `Status`. reason: why it was rejected.
      twin: the earlier proposal that it duplicates.
    """

    ordinal: int
    parent: int | None
    change: str
    program: Program
    digest: str
    status: Status
    reason: str = ""
    twin: int | None = None


@dataclass(frozen=True, slots=True)
class Individual:
    """A member of the population. Lower fitness is better; inf diverged."""

    ordinal: int
    program: Program
    digest: str
    fitness: float


@dataclass(frozen=True, slots=True)
class SearchState:
    """Everything the next `ask` depends on.

    Attributes:
      seed, settings: of the run.
      population: oldest first.
      history: what was asked for and told.
      next_ordinal: of the next proposal.
      pending: batches asked for and not told yet, oldest first.
    """

    seed: int
    settings: Evolution
    population: tuple[Individual, ...]
    history: History
    next_ordinal: int
    pending: tuple[Batch, ...]

    @property
    def trained(self) -> int:
        """Number of distinct programs whose fitness was told."""
        return self.history.told

    @property
    def asked(self) -> int:
        """Number of distinct programs trained or pending."""
        return self.history.asked

    def fitness(self, digest: str) -> float:
        """The fitness told for a program's digest. Raises KeyError when none was."""
        return self.history.fitness(digest)


def init(seed: int, settings: Evolution, starters: Sequence[Program]) -> SearchState:
    """The state before anything was trained; its one pending batch are the starters."""
    history = empty_history()
    batch: list[Proposal] = []
    for program in starters:
        ordinal, digest = len(batch), program_digest(program)
        twin = history.ordinal(digest)
        status = Status.NEW if twin is None else Status.DUPLICATE
        if twin is None:
            history = history.with_candidate(digest, ordinal)
        batch.append(
            Proposal(ordinal, None, f"start: {program.name}", program, digest, status, twin=twin)
        )
    return SearchState(seed, settings, (), history, len(batch), (tuple(batch),))


def should_ask(state: SearchState) -> bool:
    """Whether the next move is `ask`; if not, it is `tell`.

    Nothing can be bred before the starters are told, and then a fixed number of batches is kept
    pending.
    """
    return bool(state.population) and len(state.pending) < BATCHES_IN_FLIGHT


def ask(state: SearchState, most: int | None = None) -> tuple[Batch, SearchState]:
    """One more batch, bred from the population as told so far.

    Args:
      state: consumed, not changed.
      most: at most this many new candidates (the configured batch otherwise).

    Returns:
      Proposals in order, those with status NEW to be trained, and the state to ask or `tell` next,
      in which the batch is the last one pending.

    Raises:
      ValueError: before the starters were told.
    """
    if not state.population:
        raise ValueError("nothing can be bred before the starters are told")
    wanted = state.settings.batch if most is None else min(most, state.settings.batch)
    history = state.history
    batch: list[Proposal] = []
    while history.asked < state.asked + wanted and len(batch) < MOST_PROPOSALS * wanted:
        proposal = _propose(state, state.next_ordinal + len(batch), history)
        if proposal.status is Status.NEW:
            history = history.with_candidate(proposal.digest, proposal.ordinal)
        batch.append(proposal)
    proposals = tuple(batch)
    asked = dataclasses.replace(
        state,
        history=history,
        next_ordinal=state.next_ordinal + len(batch),
        pending=(*state.pending, proposals),
    )
    return proposals, asked


def _propose(state: SearchState, ordinal: int, history: History) -> Proposal:
    settings = state.settings
    rng = derive(state.seed, ordinal, "propose")
    count = min(settings.tournament, len(state.population))
    parent = min(rng.sample(state.population, count), key=lambda i: (i.fitness, -i.ordinal))
    program = parent.program
    changes: list[str] = []
    # A geometric number of mutations with the configured mean.
    while not changes or rng.random() < 1 - 1 / settings.mutations:
        mutated = mutate(program, rng, max_state=settings.max_state)
        if mutated is None:
            break
        program = mutated.program
        changes.append(mutated.change)
    # Some dead code is where new ideas begin; more of it makes most mutations change nothing.
    program = without_dead_code(program, keep=DEAD_STATEMENTS)
    # The start's name and paper describe it no longer.
    program = dataclasses.replace(program, name="evolved", doc="")
    digest = program_digest(program)
    status, reason, twin = Status.NEW, "", history.ordinal(digest)
    # A duplicate may be too large as well: dead code, which changes nothing, would pile up.
    if twin is None or program.size > settings.max_size:
        reason = rejection(program, max_size=settings.max_size) or ""
    if reason:
        status, twin = Status.REJECTED, None
    elif twin is not None:
        status = Status.DUPLICATE
    change = "; ".join(changes)
    return Proposal(ordinal, parent.ordinal, change, program, digest, status, reason, twin)


def tell(state: SearchState, fitness: Mapping[int, float]) -> SearchState:
    """The state after the oldest pending batch was trained.

    Args:
      state: from `ask`.
      fitness: by ordinal, for every proposal of `state.pending[0]` with status NEW. Lower is
        better; NaN counts as infinity.

    Raises:
      ValueError: when nothing is pending, a fitness is missing, or one was not asked for.
    """
    if not state.pending:
        raise ValueError("nothing is pending; ask first")
    oldest, *rest = state.pending
    wanted = {p.ordinal for p in oldest if p.status is Status.NEW}
    if wanted != set(fitness):
        raise ValueError(f"asked for the fitness of {sorted(wanted)}, told {sorted(fitness)}")
    history = state.history
    born = []
    for proposal in oldest:
        if proposal.status is Status.NEW:
            history = history.with_fitness(fitness[proposal.ordinal])
        if proposal.status is not Status.REJECTED:
            value = history.fitness(proposal.digest)
            born.append(Individual(proposal.ordinal, proposal.program, proposal.digest, value))
    population = (*state.population, *born)[-state.settings.population :]
    return dataclasses.replace(state, population=population, history=history, pending=tuple(rest))
