"""Regularized evolution as ask and tell on an immutable state; see `base` for the order of calls.

Several batches may be pending, so that training need not wait for breeding or for the slowest
candidate of a batch. `ask` always proposes a further batch, `tell` answers the oldest, and what a
state holds depends on the order of the calls alone: a driver that follows `should_ask` repeats
exactly. A duplicate of a candidate that is pending shares its fitness once that is told.

All candidates of a round are trained on the same problems, those of the next round on fresh ones.
The fittest of a population survive a round: they are trained again before they breed. Without that
a round breeds families that fit its own problems, all of whose members are lucky together. The
fitness of a candidate is the mean over its trials and its parent's fitness, which counts as one
trial more, against the winner's curse: the best of many that were tried once are mostly lucky.
Rounds differ in difficulty: remembered fitness is shifted by as much as that of survivors has
changed. Where there are no rounds, or too few survivors, this is regularized evolution as it was
published: all may breed, and the oldest dies.

Nothing here knows of files, clocks, processes or training.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...dsl.algebra.canonical import program_digest
from ...dsl.liveness import without_dead_code
from ...dsl.program import Program
from ..config.settings import SearchConfig
from ..filters.gates import STATIC, Examination, examine
from ..mutation.base import Space
from ..mutation.mutate import mutate_often
from ..store.records import ALIKE, SURVIVES, Proposal, Status
from .history import History, empty_history
from .randomness import derive
from .state import Batch, Individual, Population, SearchState
from .survivors import change_in_difficulty, island_size, rank, survivor_count, survivors_of

# Dead statements that a child may inherit.
DEAD_STATEMENTS = 3
# Proposals per new candidate before a batch is closed as it is; a search that finds nothing new
# in so many tries has run dry.
MOST_PROPOSALS = 200
# Batches pending at once: one that is trained, one that waits so that no worker does. Part of what
# repeats exactly: a batch is bred without the fitness of those still pending.
BATCHES_IN_FLIGHT = 2


@dataclass(frozen=True, slots=True)
class Breeding:
    """How a child is made.

    Attributes:
      parent: what is mutated.
      mutations: the mean number of mutations (geometric, at least 1).
      space: what they may reach.
    """

    parent: Individual
    mutations: float
    space: Space


class RegularizedEvolution:
    """Proposes by regularized evolution; see the module. Other strategies change parts of it."""

    trains = True

    def init(self, config: SearchConfig, starters: Sequence[Program]) -> SearchState:
        """The state before anything was trained; its one pending batch are the starters."""
        settings = config.evolution
        history = empty_history()
        batch: list[Proposal] = []
        for program in starters:
            ordinal, digest = len(batch), program_digest(program)
            candidate = history.candidate(digest)
            status, duplicate_of = Status.NEW, None
            if candidate is not None:
                status, duplicate_of = Status.DUPLICATE, history.first_ordinal(candidate)
            else:
                candidate = history.candidates
                history = history.with_candidate(digest, ordinal)
            words = f"start: {program.name}"
            batch.append(
                Proposal(ordinal, None, words, program, digest, status, "", duplicate_of, candidate)
            )
        islands: tuple[Population, ...] = ((),) * settings.islands
        return SearchState(config.seed, settings, (), islands, history, len(batch), (tuple(batch),))

    def should_ask(self, state: SearchState) -> bool:
        """Whether the next move is `ask`; if not, it is `tell` or `next_round`.

        Nothing can be bred before the starters, or the survivors of a round, are told; then a fixed
        number of batches is kept pending, until the round is full.
        """
        waiting = all(state.islands) and len(state.pending) < BATCHES_IN_FLIGHT
        return waiting and state.left_in_round > 0

    def next_round(self, state: SearchState, fresh: Population = ()) -> SearchState:
        """The state at the start of the next round, in which the survivors are pending.

        Args:
          state: with nothing pending.
          fresh: what all islands start from again; if empty, the survivors of each go on, and the
            best of each joins its neighbour.

        Raises:
          ValueError: when something is pending.
        """
        if state.pending:
            raise ValueError("a round ends when nothing is pending")
        count = len(state.islands)
        living = [fresh or survivors_of(population, state.settings) for population in state.islands]
        if not fresh and count > 1:
            living = [(living[place - 1][0], *own) for place, own in enumerate(living)]
        ordinal, history = state.next_ordinal, state.history
        batch: list[Proposal] = []
        # Who is proposed as number n lives on island n mod count.
        for place in range(min(map(len, living)) * count):
            survivor = living[(ordinal + place) % count][place // count]
            candidate = survivor.candidate
            duplicate_of = history.first_ordinal(candidate)
            status = Status.AGAIN
            if history.last_ordinal(candidate) >= ordinal:
                status = Status.DUPLICATE
            else:
                history = history.with_trial(candidate, ordinal + place)
            batch.append(
                Proposal(
                    ordinal + place,
                    survivor.ordinal,
                    SURVIVES,
                    survivor.program,
                    survivor.digest,
                    status,
                    "",
                    duplicate_of,
                    candidate,
                )
            )
        return dataclasses.replace(
            state,
            islands=((),) * count,
            history=history,
            next_ordinal=ordinal + len(batch),
            pending=(tuple(batch),),
            round=state.round + 1,
            first=ordinal,
            begun=state.asked,
            first_newborn=ordinal + len(batch),
        )

    def ask(self, state: SearchState, most: int | None = None) -> tuple[Batch, SearchState]:
        """Proposes the next batch. Pure: the same state gives the same proposals.

        Args:
          state: in which some individuals live; whether anything is pending does not matter.
          most: at most this many to be trained, where a budget leaves fewer than the batch has.

        Returns:
          Proposals in order, and the state to ask or `tell` next, in which the batch is the last
          one pending.

        Raises:
          ValueError: before the starters, or the survivors of a round, were told.
        """
        if not all(state.islands):
            raise ValueError("nothing can be bred before the starters or survivors are told")
        wanted = int(min(state.settings.batch, state.left_in_round))
        wanted = wanted if most is None else min(most, wanted)
        history = state.history
        batch: list[Proposal] = []
        fitness = sorted(i.fitness for i in state.population)
        promising = fitness[(len(fitness) - 1) // 2]
        while history.asked < state.asked + wanted and len(batch) < MOST_PROPOSALS * wanted:
            ordinal = state.next_ordinal + len(batch)
            proposal, history = self._propose(state, ordinal, history, promising)
            batch.append(proposal)
        proposals = tuple(batch)
        asked = dataclasses.replace(
            state,
            history=history,
            next_ordinal=state.next_ordinal + len(batch),
            pending=(*state.pending, proposals),
        )
        return proposals, asked

    def tell(self, state: SearchState, fitness: Mapping[int, float]) -> SearchState:
        """The state after the oldest pending batch was trained.

        Args:
          state: from `ask`.
          fitness: by ordinal, for every proposal of `state.pending[0]` that is trained. Lower is
            better; NaN counts as infinity.

        Raises:
          ValueError: when nothing is pending, a fitness is missing, or one was not asked for.
        """
        if not state.pending:
            raise ValueError("nothing is pending; ask first")
        oldest, *rest = state.pending
        wanted = {p.ordinal for p in oldest if p.status.is_trained}
        if wanted != set(fitness):
            raise ValueError(f"asked for the fitness of {sorted(wanted)}, told {sorted(fitness)}")
        history, level = state.history, state.level
        if not any(state.islands):
            level += change_in_difficulty(state, oldest, fitness)
        born: list[Individual] = []
        for p in oldest:
            if p.status.is_trained:
                history = history.with_fitness(fitness[p.ordinal] - level, p.expected - level)
            if p.candidate is not None:
                value = history.fitness(p.candidate) + level
                born.append(Individual(p.ordinal, p.program, p.digest, p.candidate, value))
        count = len(state.islands)

        def born_on(place: int) -> list[Individual]:
            # The starters live on every island.
            return [i for i in born if not state.starters or i.ordinal % count == place]

        islands = tuple(
            self.living((*population, *born_on(place)), state)
            for place, population in enumerate(state.islands)
        )
        return dataclasses.replace(
            state,
            starters=state.starters or tuple(born),
            islands=islands,
            history=history,
            pending=tuple(rest),
            level=level,
        )

    def finish(self, state: SearchState) -> SearchState:
        """The same state: the engine compares the best of what was trained."""
        return state

    # What other strategies do otherwise.

    def breeding(self, state: SearchState, ordinal: int, rng: random.Random) -> Breeding:
        """What a proposal descends from: the fittest of some that are drawn, and how."""
        settings = state.settings
        population = state.islands[ordinal % len(state.islands)]
        survivors = survivor_count(population, state)
        breeding = population[:survivors] if survivors >= settings.tournament else population
        parent = fittest_of(breeding, settings.tournament, rng)
        return Breeding(parent, settings.mutations, crossing(settings.space, population))

    def living(self, population: Population, state: SearchState) -> Population:
        """Who is left when there are too many, oldest first: survivors of the round before, and the
        youngest.
        """
        size = island_size(state.settings)
        survivors = survivor_count(population, state)
        youngest = population[max(survivors, len(population) - size + survivors) :]
        return population[:survivors] + youngest

    def _propose(
        self, state: SearchState, ordinal: int, history: History, promising: float
    ) -> tuple[Proposal, History]:
        """The next proposal, and the history with its trial, if it gets one."""
        settings = state.settings
        parent, program, change = self._child(state, ordinal)
        digest = program_digest(program)
        candidate = history.candidate(digest)

        def proposal(
            status: Status, reason: str = "", duplicate_of: int | None = None, of: int | None = None
        ) -> Proposal:
            what = (ordinal, parent.ordinal, change, program, digest)
            return Proposal(*what, status, reason, duplicate_of, of, parent.fitness)

        found = Examination(None)
        # A duplicate may be too large as well: dead code, which changes nothing, would pile up.
        if candidate is None or program.size > settings.max_size:
            found = examine(program, max_size=settings.max_size)
            if found.rejection and (settings.gates or found.rejection in STATIC):
                return proposal(Status.REJECTED, found.rejection), history
        reason = ""
        if candidate is None and settings.cache and found.behaviour is not None:
            behaviour = found.behaviour.digest
            candidate = history.candidate(behaviour)
            if candidate is None:
                history = history.with_digest(behaviour, history.candidates)
            else:
                history = history.with_digest(digest, candidate)
                reason = ALIKE
        if candidate is None:
            candidate = history.candidates
            return proposal(Status.NEW, of=candidate), history.with_candidate(digest, ordinal)
        duplicate_of = history.first_ordinal(candidate)
        if _is_tried_again(state, history, candidate, promising):
            again = proposal(Status.AGAIN, reason, duplicate_of, candidate)
            return again, history.with_trial(candidate, ordinal)
        return proposal(Status.DUPLICATE, reason, duplicate_of, candidate), history

    def _child(self, state: SearchState, ordinal: int) -> tuple[Individual, Program, str]:
        """A parent, its child, and the change in words."""
        rng = derive(state.seed, ordinal, "propose")
        breeding = self.breeding(state, ordinal, rng)
        parent = breeding.parent
        program, changes = mutate_often(parent.program, breeding.mutations, rng, breeding.space)
        # Some dead code is where new ideas begin; more of it makes most mutations change nothing.
        program = without_dead_code(program, keep=DEAD_STATEMENTS)
        # The start's name and paper describe it no longer.
        return parent, dataclasses.replace(program, name="evolved", doc=""), "; ".join(changes)


def fittest_of(population: Sequence[Individual], count: int, rng: random.Random) -> Individual:
    """A parent by tournament: the fittest of some that are drawn."""
    return min(rng.sample(population, min(count, len(population))), key=rank)


def crossing(space: Space, population: Population) -> Space:
    """The space in which parts of all individuals may be crossed in."""
    return space.with_mates(tuple([individual.program for individual in population]))


def round_is_over(state: SearchState) -> bool:
    """Whether all trials of the round were told."""
    return not state.pending and state.left_in_round <= 0


def _is_tried_again(state: SearchState, history: History, candidate: int, promising: float) -> bool:
    """Whether a candidate that comes up again is trained again."""
    if not state.settings.cache:
        return True
    if history.last_ordinal(candidate) >= state.first:
        return False
    return history.fitness(candidate) + state.level <= promising
