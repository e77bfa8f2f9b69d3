"""What a strategy is: it proposes candidates, by ask and tell on immutable states.

    state = strategy.init(seed, settings, starters)  # the starters are the first batch pending
    while ...:
        while strategy.should_ask(state):
            proposals, state = strategy.ask(state)
        state = strategy.tell(state, fitness)        # of those to train in `state.pending[0]`
        if round_is_over(state):
            state = strategy.next_round(state)       # fresh problems, perhaps a fresh population

Each is a module of `kinds/`, whose name is what the setting `evolution.strategy` takes. To add one
is to add a file with a `STRATEGY` there: the configuration, the engine and the contract suite find
it. Nothing here knows of files, clocks, processes or training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ...dsl.plugins import implementation
from ...dsl.program import Program
from ..config.settings import STRATEGIES, Evolution
from .state import Batch, Population, SearchState


class Strategy(Protocol):
    """Proposes candidates. All methods are pure: the same state gives the same."""

    def init(self, seed: int, settings: Evolution, starters: Sequence[Program]) -> SearchState:
        """The state before anything was trained; its one pending batch are the starters."""
        ...

    def should_ask(self, state: SearchState) -> bool:
        """Whether the next move is `ask`; if not, it is `tell` or `next_round`."""
        ...

    def ask(self, state: SearchState, most: int | None = None) -> tuple[Batch, SearchState]:
        """Proposes the next batch, of at most so many to be trained.

        Returns:
          Proposals in order, and the state to ask or tell next, in which the batch is the last one
          pending.
        """
        ...

    def tell(self, state: SearchState, fitness: Mapping[int, float]) -> SearchState:
        """The state after the oldest pending batch was trained.

        Args:
          state: from `ask`.
          fitness: by ordinal, for every proposal of `state.pending[0]` that is trained. Lower is
            better; NaN counts as infinity.
        """
        ...

    def next_round(self, state: SearchState, fresh: Population = ()) -> SearchState:
        """The state at the start of the next round.

        Args:
          state: with nothing pending.
          fresh: what the population starts from again; if empty, it goes on.
        """
        ...


def strategy(name: str) -> Strategy:
    """A strategy by its name. Raises UserError naming those that exist."""
    found: Strategy = implementation(STRATEGIES, name, "STRATEGY", "strategy")
    return found
