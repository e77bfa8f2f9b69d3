"""What a strategy is: it proposes candidates, by ask and tell on immutable states.

    state = strategy.init(config, starters)
    while ...:
        if strategy.should_ask(state):
            asked, state = strategy.ask(state)
        elif state.pending:
            state = strategy.tell(state, answers)  # to the oldest batch, `state.pending[0]`
        else:
            state = strategy.next_round(state)     # fresh problems, perhaps a fresh population
    state = strategy.finish(state)                 # what is pending now is told, too

Each is a module of `kinds/`, whose name is what the setting `evolution.strategy` takes. To add one
is to add a file with a `STRATEGY` there: the configuration, the engine, the workers and the
contract suite find it. Nothing here knows of files, clocks, processes or training.

There are two sorts, which `trains` tells apart:

- One that trains asks with proposals. The engine has each trained on tasks, the answer is its
  fitness relative to a baseline, and at the end the engine compares the best.
- One that does not asks with questions. Its own `answerer` answers them in the workers, and its
  state says what was found (`Findings`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ...dsl.plugins import implementation
from ...dsl.program import Program
from ..config.settings import STRATEGIES, SearchConfig
from ..store.outcome import Outcome
from ..store.records import Proposal
from .state import Population

State = TypeVar("State")


class Strategy(Protocol[State]):
    """Proposes candidates. All methods but `answerer` are pure: the same state gives the same.

    Attributes:
      trains: whether candidates are trained on tasks and compared with a baseline.
    """

    trains: bool

    def init(self, config: SearchConfig, starters: Sequence[Program]) -> State:
        """The state before anything was asked for.

        Args:
          config: of the run. starters: what a strategy that trains begins with; they are the one
            batch pending.
        """
        ...

    def should_ask(self, state: State) -> bool:
        """Whether the next move is `ask`; if not, it is `tell`, or `next_round` where nothing is
        pending.
        """
        ...

    def ask(self, state: State, most: int | None = None) -> tuple[tuple[Any, ...], State]:
        """The next batch of proposals or questions, of at most so many to be trained.

        Returns:
          The batch in order, and the state to ask or tell next, in which it is the last one
          pending.

        Raises:
          ValueError: what was asked for before must be told first.
        """
        ...

    def tell(self, state: State, answers: Mapping[int, Any], /) -> State:
        """The state after the oldest pending batch was answered.

        Args:
          state: from `ask`.
          answers: by ordinal, the fitness of every proposal of `state.pending[0]` that is trained
            (lower is better; NaN counts as infinity), or what answers each of its questions.

        Raises:
          ValueError: when nothing is pending, an answer is missing, or one was not asked for.
        """
        ...

    def next_round(self, state: State, fresh: Population = ()) -> State:
        """The state at the start of the next round.

        Args:
          state: with nothing pending.
          fresh: what the population starts from again; if empty, it goes on.
        """
        ...

    def finish(self, state: State) -> State:
        """The state at the end, in which that is pending which the strategy has still to ask.

        Args:
          state: with nothing pending.
        """
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """What a strategy that does not train asks of a worker.

    Attributes:
      ordinal: its number in the run, from 0, in the order of asking.
      request: plain data, which JSON can hold. what: the same in words, for errors.
    """

    ordinal: int
    request: Mapping[str, Any]
    what: str


class Findings(Protocol):
    """The state of a strategy that does not train, as far as the engine reads it.

    Attributes:
      pending: batches of questions, oldest first.
      found: candidates with their fitness, in the order of their ordinals; grows as it is told.
      tried: how many candidates the answers took, which is what a budget counts.
      is_over: whether there is nothing better to be found.
      phase: what the next answers are for, and details, in words.
      outcome: what the search has found; None before what `finish` asked was told.
    """

    @property
    def pending(self) -> tuple[tuple[Question, ...], ...]: ...
    @property
    def found(self) -> tuple[tuple[Proposal, float], ...]: ...
    @property
    def tried(self) -> int: ...
    @property
    def is_over(self) -> bool: ...
    @property
    def phase(self) -> tuple[str, str]: ...
    @property
    def outcome(self) -> Outcome | None: ...


class Asking(Strategy[State], Protocol[State]):
    """A strategy that does not train."""

    def answerer(self, progress: Callable[[], None]) -> Callable[..., Any]:
        """What answers its questions in a worker, called with `**question.request`.

        It may keep what it has computed, but nothing that is missed: any worker may be asked.

        Args:
          progress: to be called after each piece of work; without it a worker is taken to hang.
        """
        ...


def strategy(name: str) -> Strategy[Any]:
    """A strategy by its name. Raises UserError naming those that exist."""
    found: Strategy[Any] = implementation(STRATEGIES, name, "STRATEGY", "strategy")
    return found
