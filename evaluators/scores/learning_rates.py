"""Tuning a learning rate: the grid moves until its best rate lies inside.

The one place where that is decided, for every rule alike: by ask and tell, so that a caller trains
one grid after the other in this process, or the grids of many rules side by side in others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ...dsl.program import LEARNING_RATE, Program
from .scoring import TaskScore

K = TypeVar("K")
Grid = tuple[float, ...]


@dataclass(frozen=True)
class RateSearch:
    """The search for the best learning rate of a rule on a task.

        while search.grid is not None:
            search = search.tell(<the score on search.grid>)

    Attributes:
      grid: to be tried next; None once the search has ended.
      moves: how many times the grid may still move, each time by half its width.
      best: the score on the best grid so far; None before the first.
    """

    grid: Grid | None
    moves: int
    best: TaskScore | None = None

    def tell(self, score: TaskScore) -> RateSearch:
        """The search after the score on its grid.

        It ends where the best rate lies inside the grid, and where a further grid is no better.
        Where all rates diverged, lower ones are tried as far as the grid may move.
        """
        best = self.best
        if best is not None and not (best.diverged or score.is_ahead_of(best)):
            return RateSearch(None, 0, best)
        if not self.moves or not score.at_edge:
            return RateSearch(None, 0, score)
        return RateSearch(score.moved_rates, self.moves - 1, score)

    @property
    def found(self) -> TaskScore:
        """The best score. Raises ValueError before the first one was told."""
        if self.best is None:
            raise ValueError("no score was told")
        return self.best


def rate_search(program: Program, grid: Grid, moves: int) -> RateSearch:
    """The search before anything was trained; the grid of a rule without a rate does not move."""
    return RateSearch(grid, moves if LEARNING_RATE in program.defaults else 0)


def searched(
    searches: Mapping[K, RateSearch],
    train: Callable[[Mapping[K, Grid]], Mapping[K, TaskScore]],
) -> dict[K, TaskScore]:
    """The best scores of several searches, whose grids are trained side by side.

    Args:
      searches: by whatever tells them apart.
      train: gives the scores on some grids.
    """
    current = dict(searches)
    while grids := {key: s.grid for key, s in current.items() if s.grid is not None}:
        current |= {key: current[key].tell(score) for key, score in train(grids).items()}
    return {key: search.found for key, search in current.items()}


def with_median_rate(program: Program, rates: Collection[float]) -> Program:
    """The rule with the median of some learning rates, to one digit, as default; unchanged if there
    are none, or if it has no learning rate.
    """
    if not rates or LEARNING_RATE not in program.defaults:
        return program
    return program.with_defaults(lr=float(f"{np.exp(np.median(np.log([*rates]))):.1g}"))
