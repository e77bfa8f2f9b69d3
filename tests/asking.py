"""The strategy that a state's settings name, as functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evoptax.dsl.program import Program
from evoptax.search.config.settings import Evolution, SearchConfig
from evoptax.search.strategies.base import strategy
from evoptax.search.strategies.state import Batch, Population, SearchState


def init(seed: int, settings: Evolution, starters: Sequence[Program]) -> SearchState:
    return strategy(settings.strategy).init(SearchConfig(seed=seed, evolution=settings), starters)


def should_ask(state: SearchState) -> bool:
    return strategy(state.settings.strategy).should_ask(state)


def ask(state: SearchState, most: int | None = None) -> tuple[Batch, SearchState]:
    return strategy(state.settings.strategy).ask(state, most)


def tell(state: SearchState, fitness: Mapping[int, float]) -> SearchState:
    return strategy(state.settings.strategy).tell(state, fitness)


def next_round(state: SearchState, fresh: Population = ()) -> SearchState:
    return strategy(state.settings.strategy).next_round(state, fresh)
