"""What a distillation is told and knows, as immutable data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ....dsl.program import Program
from ....dsl.syntax import parse
from .fitting import Fitted
from .library import Library
from .table import Table
from .traces import Trace

# It reads nothing and changes nothing.
EMPTY = parse("def distilled(w, g, *, lr=1e-3):\n    return 0\n")


@dataclass(frozen=True)
class Settings:
    """How the search goes.

    Attributes:
      population, tournament: as in `config.Evolution`.
      max_size, max_state: of a program.
      patience: candidates without a better one before a restart; grows with each.
      sweep: candidates without a better one before every neighbour of the best is tried.
      refill: candidates between two libraries.
      supplied: the share of children that get a part from the library.
      repaired: the share of these that are first changed at random, so that the part repairs that.
      tolerance: relative error on held-out traces at which a program counts as found.
    """

    population: int = 300
    tournament: int = 5
    max_size: int = 25
    max_state: int = 5
    patience: int = 2000
    sweep: int = 600
    refill: int = 400
    supplied: float = 0.5
    repaired: float = 0.4
    tolerance: float = 1e-6


@dataclass(frozen=True)
class Problem:
    """Traces as the search sees them.

    Attributes:
      table: what candidates are scored on. few: part of it.
      full: more of the traces and of their steps, on which an answer gets its last literals, and on
        which candidates are scored once `table` has taken a wrong answer for the right one.
      full_few: part of that.
      held_out: traces that no candidate is fitted to; all of them where there are few.
    """

    table: Table
    few: Table
    full: Table
    full_few: Table
    held_out: tuple[Trace, ...]


@dataclass(frozen=True)
class DistillState:
    """Everything that the next candidate depends on.

    Attributes:
      seed, settings: of the run.
      candidates: scored so far.
      population: oldest first. seen: sizes by score, since the last restart.
      best: of this start. best_ever: of all. solved: whether that does what held-out traces show.
      improved_at, restarts: when `best` was found, and how often the search began anew.
      swept, queue: for which best the neighbours were listed, and those that are left to try.
      shelf: values that parts can have. front: since the last restart, the best of each size.
      grown: whether candidates are scored on `Problem.full` by now.
    """

    seed: int
    settings: Settings
    candidates: int
    population: tuple[Fitted, ...]
    seen: Mapping[float, int]
    best: Fitted
    best_ever: Fitted
    solved: bool
    improved_at: int
    restarts: int
    swept: Fitted | None
    queue: tuple[Program, ...]
    shelf: Library | None
    front: Mapping[int, Fitted]
    grown: bool
