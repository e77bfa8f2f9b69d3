"""Regularized evolution as ask and tell on an immutable state.

    state = init(config, starters)
    proposals, state = ask(state)      # a batch of candidates, deterministic from the state
    state = tell(state, fitness)       # the fitness of those that were new

Nothing here knows of files, clocks, processes or training.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from ..dsl.canonical import program_digest
from ..dsl.program import Program
from .config import Evolution
from .gates import rejection
from .mutation import mutate
from .randomness import derive

# Proposals per new candidate before a batch is closed as it is; a search that finds nothing new
# in so many tries has run dry.
MOST_PROPOSALS = 200


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


@dataclass(frozen=True)
class SearchState:
    """Everything the next `ask` depends on.

    Attributes:
      seed, settings: of the run.
      population: oldest first.
      fitness: by digest, of everything trained so far.
      first: by digest, the first proposal that computed it.
      next_ordinal: of the next proposal.
      pending: proposals asked for and not told yet.
    """

    seed: int
    settings: Evolution
    population: tuple[Individual, ...]
    fitness: Mapping[str, float]
    first: Mapping[str, int]
    next_ordinal: int
    pending: tuple[Proposal, ...]

    @property
    def trained(self) -> int:
        """Number of distinct programs trained."""
        return len(self.fitness)


def init(seed: int, settings: Evolution, starters: Sequence[Program]) -> SearchState:
    """The state before anything was trained; its pending proposals are the starters."""
    proposals: list[Proposal] = []
    first: dict[str, int] = {}
    for program in starters:
        ordinal, digest = len(proposals), program_digest(program)
        twin = first.get(digest)
        status = Status.NEW if twin is None else Status.DUPLICATE
        first.setdefault(digest, ordinal)
        proposals.append(
            Proposal(ordinal, None, f"start: {program.name}", program, digest, status, twin=twin)
        )
    return SearchState(
        seed,
        settings,
        (),
        MappingProxyType({}),
        MappingProxyType(first),
        len(proposals),
        tuple(proposals),
    )


def ask(state: SearchState, most: int | None = None) -> tuple[tuple[Proposal, ...], SearchState]:
    """The next batch of proposals. Proposals that are pending already are returned again.

    Args:
      state: consumed, not changed.
      most: at most this many new candidates (the configured batch otherwise).

    Returns:
      Proposals in order, those with status NEW to be trained, and the state to `tell`.
    """
    if state.pending:
        return state.pending, state
    wanted = state.settings.batch if most is None else min(most, state.settings.batch)
    first = dict(state.first)
    proposals: list[Proposal] = []
    new = 0
    while new < wanted and len(proposals) < MOST_PROPOSALS * wanted:
        proposal = _propose(state, state.next_ordinal + len(proposals), first)
        if proposal.status is Status.NEW:
            first[proposal.digest] = proposal.ordinal
            new += 1
        proposals.append(proposal)
    asked = dataclasses.replace(
        state,
        first=MappingProxyType(first),
        next_ordinal=state.next_ordinal + len(proposals),
        pending=tuple(proposals),
    )
    return asked.pending, asked


def _propose(state: SearchState, ordinal: int, first: Mapping[str, int]) -> Proposal:
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
    # The start's name and paper describe it no longer.
    program = dataclasses.replace(program, name="evolved", doc="")
    digest = program_digest(program)
    proposal = Proposal(ordinal, parent.ordinal, "; ".join(changes), program, digest, Status.NEW)
    if digest in first:
        return dataclasses.replace(proposal, status=Status.DUPLICATE, twin=first[digest])
    if reason := rejection(program, max_size=settings.max_size):
        return dataclasses.replace(proposal, status=Status.REJECTED, reason=reason)
    return proposal


def tell(state: SearchState, fitness: Mapping[int, float]) -> SearchState:
    """The state after the pending proposals were trained.

    Args:
      state: from `ask`.
      fitness: by ordinal, for every pending proposal with status NEW.

    Raises:
      ValueError: when a fitness is missing, or one was not asked for.
    """
    wanted = {p.ordinal for p in state.pending if p.status is Status.NEW}
    if wanted != set(fitness):
        raise ValueError(f"asked for the fitness of {sorted(wanted)}, told {sorted(fitness)}")
    known = dict(state.fitness)
    born = []
    for proposal in state.pending:
        if proposal.status is Status.NEW:
            value = fitness[proposal.ordinal]
            known[proposal.digest] = math.inf if math.isnan(value) else value
        if proposal.status is not Status.REJECTED:
            born.append(
                Individual(
                    proposal.ordinal, proposal.program, proposal.digest, known[proposal.digest]
                )
            )
    population = (*state.population, *born)[-state.settings.population :]
    return dataclasses.replace(
        state, population=population, fitness=MappingProxyType(known), pending=()
    )
