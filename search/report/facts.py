"""The data of a run's report, read from the ledger in one go."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

from ...evaluators.formatting import printed_name
from ..config.rules import rule_name
from ..config.settings import SearchConfig
from ..selection.finalists import finalists
from ..store.ledger import Ledger
from ..store.outcome import Finalist, Round, best_champion, read_outcome, read_rounds
from ..store.runs import Run, stored_config
from .counts import SearchCounts, read_counts
from .lineage.ancestry import Ancestor, ancestry


@dataclass(frozen=True)
class Facts:
    """A run, finished or not.

    Attributes:
      outcome: `dataclasses.asdict` of the `Outcome`; None if the run is unfinished.
      counts, rounds: of the search. seconds: duration of the search.
      finalists: of the outcome; if unfinished, the best candidates validated so far.
      best: the ordinal of the best rule; if unfinished, the best candidate on validation tasks, or
        the fittest if none was validated. None before anything was trained.
      line: the ancestry of `best`.
      hung: what workers hung on, with the task.
    """

    run: Run
    config: SearchConfig
    outcome: Mapping[str, Any] | None
    counts: SearchCounts
    rounds: tuple[Round, ...]
    finalists: tuple[Finalist, ...]
    best: int | None
    line: tuple[Ancestor, ...]
    seconds: float
    hung: Mapping[str, str]

    @property
    def baseline(self) -> str:
        """The baseline's printed name."""
        return printed_name(rule_name(self.config.baseline))

    @property
    def evolved(self) -> bool:
        """Whether the best rule has a parent, so is not one that the search started from."""
        return len(self.line) > 1


def read_facts(run: Run) -> Facts:
    """Reads a run.

    Raises:
      UserError: the ledger cannot be read.
    """
    with closing(run.read()) as opened:
        config, found_outcome = stored_config(opened), read_outcome(opened)
        rounds = read_rounds(opened)
        counts = read_counts(opened, config, rounds)
        outcome = asdict(found_outcome) if found_outcome else None
        best: int | None
        if found_outcome:
            best, found = found_outcome.ordinal, found_outcome.finalists
        else:
            best, found = _best_so_far(counts, rounds), _validated(config, opened, rounds)
        line = ancestry(opened, best) if best is not None else ()
        if line:
            opened.program(line[-1].candidate.program, f"candidate {best}")
        return Facts(
            run,
            config,
            outcome,
            counts,
            rounds,
            found,
            best,
            line,
            opened.seconds(),
            opened.hung(),
        )


def _best_so_far(counts: SearchCounts, rounds: tuple[Round, ...]) -> int | None:
    if (found := best_champion(rounds)) is not None:
        return found[1].ordinal
    finite = [(fitness, ordinal) for ordinal, fitness in counts.trials if math.isfinite(fitness)]
    return min(finite)[1] if finite else None


def _validated(
    config: SearchConfig, opened: Ledger, rounds: tuple[Round, ...]
) -> tuple[Finalist, ...]:
    """The validated candidates among those that would be finalists if the run ended now."""
    tried = {c.ordinal: c.validation for r in rounds for c in r.champions}
    return tuple(
        replace(f, validation=tried[f.ordinal])
        for f in (finalists(config, opened, rounds) if tried else ())
        if f.ordinal in tried
    )
