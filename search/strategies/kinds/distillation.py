"""Distillation: looks for a program that does what traces show; nothing is trained.

A few independent searches run in the workers, in turns of equally many candidates; a turn is a
round. They are compared only between turns, so the outcome depends on the seed, the traces and the
budget of candidates, not on how many workers there are or which is fast. What is found is the best
program of each search whenever that has changed. How a search goes is in `..distillation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ....dsl.algebra.canonical import program_digest
from ....dsl.program import Program
from ....dsl.syntax import format_program, parse
from ....known_algorithms.nearest import nearest_known
from ...config.settings import SearchConfig
from ...store.outcome import Outcome
from ...store.records import Proposal, Status
from ..base import Question
from ..distillation.state import EMPTY
from ..state import Population

SEARCHES = 2
# Candidates of a search between two looks; about a second.
TURN = 400
# A program counts as the same rule when its relative error on held-out traces is at most this.
FOUND = 1e-4


@dataclass(frozen=True, slots=True)
class Distillation:
    """What a distillation was told: the `Findings` of `..base`, and what the next turn depends on.

    Attributes:
      seed: of the run. traces: the path of their file.
      found: the best programs, with their relative errors on held-out traces.
      best: of each search, the place of its best in `found`.
      next_ordinal: of the next question. round: number of the turn, from 0.
      is_over: whether a search has found the rule.
    """

    seed: int
    traces: str
    found: tuple[tuple[Proposal, float], ...]
    best: tuple[int, ...]
    pending: tuple[tuple[Question, ...], ...] = ()
    next_ordinal: int = 0
    round: int = 0
    tried: int = 0
    is_over: bool = False
    outcome: Outcome | None = None

    @property
    def phase(self) -> tuple[str, str]:
        if self.is_finishing:
            return "simplifying", "the best program"
        error = min(self.found[place][1] for place in self.best)
        return "distilling", f"{self.tried:,} candidates, relative error {error:.2g}"

    @property
    def is_finishing(self) -> bool:
        """Whether the question that is pending is the last one."""
        return any(question.request["finish"] for batch in self.pending for question in batch)

    @property
    def best_search(self) -> int:
        """The search whose best program has the smallest error."""
        return min(range(SEARCHES), key=lambda search: (self.found[self.best[search]][1], search))


class _Distillation:
    trains = False

    def init(self, config: SearchConfig, starters: Sequence[Program]) -> Distillation:
        """All searches begin with the program that returns 0."""
        start = _proposal(0, None, "start: nothing", EMPTY)
        return Distillation(config.seed, config.traces, ((start, 1.0),), (0,) * SEARCHES)

    def should_ask(self, state: Distillation) -> bool:
        return not state.pending and state.tried == SEARCHES * TURN * state.round

    def ask(
        self, state: Distillation, most: int | None = None
    ) -> tuple[tuple[Question, ...], Distillation]:
        """A turn of each search; `most` is about training."""
        if not self.should_ask(state):
            raise ValueError("a turn can be asked for when the one before is told and has ended")
        until = TURN * (state.round + 1)
        batch = tuple(_question(state, search, until) for search in range(SEARCHES))
        return batch, replace(state, pending=(batch,), next_ordinal=state.next_ordinal + SEARCHES)

    def tell(self, state: Distillation, answers: Mapping[int, Mapping[str, Any]]) -> Distillation:
        if not state.pending:
            raise ValueError("nothing is pending; ask first")
        oldest, *rest = state.pending
        if {question.ordinal for question in oldest} != set(answers):
            wanted = [question.ordinal for question in oldest]
            raise ValueError(f"asked for the answers to {wanted}, told {sorted(answers)}")
        told = [answers[question.ordinal] for question in oldest]
        if state.is_finishing:
            outcome = _outcome(state, told[0]["program"], told[0]["error"])
            return replace(state, pending=(), outcome=outcome)
        for search, answer in enumerate(told):
            state = _with_best(state, search, answer)
        return replace(
            state,
            pending=tuple(rest),
            tried=state.tried + SEARCHES * TURN,
            is_over=any(answer["solved"] for answer in told),
        )

    def next_round(self, state: Distillation, fresh: Population = ()) -> Distillation:
        if state.pending:
            raise ValueError("a round ends when nothing is pending")
        return replace(state, round=state.round + 1)

    def finish(self, state: Distillation) -> Distillation:
        """Asks for the best program with round literals and simplified, if anything was tried."""
        if state.pending:
            raise ValueError("a search ends when nothing is pending")
        if not state.tried:
            return replace(state, outcome=_outcome(state, format_program(EMPTY), 1.0))
        until = state.tried // SEARCHES
        question = _question(state, state.best_search, until, finish=True)
        return replace(state, pending=((question,),), next_ordinal=state.next_ordinal + 1)

    def answerer(self, progress: Callable[[], None]) -> Callable[..., dict[str, Any]]:
        # Only workers need it, and what it imports takes a while.
        from ..distillation.searches import Searches

        return Searches(progress).turn


STRATEGY = _Distillation()


def _question(state: Distillation, search: int, until: int, *, finish: bool = False) -> Question:
    """See `Searches.turn`."""
    first = state.next_ordinal
    request = {
        "traces": state.traces,
        "seed": state.seed * SEARCHES + search,
        "until": until,
        "finish": finish,
    }
    return Question(first if finish else first + search, request, f"search {search + 1}")


def _with_best(state: Distillation, search: int, answer: Mapping[str, Any]) -> Distillation:
    """The state in which a search has this best program."""
    before, _ = state.found[state.best[search]]
    if answer["program"] == format_program(before.program):
        return state
    program = parse(answer["program"])
    ordinal = len(state.found)
    words = f"search {search + 1}, after {answer['candidates']:,} candidates"
    proposal = _proposal(ordinal, before.ordinal, words, program)
    best = (*state.best[:search], ordinal, *state.best[search + 1 :])
    return replace(state, found=(*state.found, (proposal, answer["error"])), best=best)


def _proposal(ordinal: int, parent: int | None, change: str, program: Program) -> Proposal:
    return Proposal(ordinal, parent, change, program, program_digest(program), Status.NEW)


def _outcome(state: Distillation, simplified: str, error: float) -> Outcome:
    best, _ = state.found[state.best[state.best_search]]
    return Outcome(
        best.ordinal,
        format_program(best.program),
        simplified,
        error,
        confirmed=error <= FOUND,
        finalists=(),
        comparison=(),
        kinship=str(nearest_known(parse(simplified))),
    )
