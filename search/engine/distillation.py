"""A distillation as a run: independent searches in worker processes, and a ledger.

Searches advance in turns of equally many candidates, and results are compared only between turns,
so the outcome depends on the seed, the traces and the budget of candidates, not on how many workers
there are or which is fast. The ledger holds the best of each search whenever it changed.
Resume is replay.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from ...dsl.algebra.canonical import program_digest
from ...dsl.syntax import format_program, parse
from ...known_algorithms.nearest import nearest_known
from ..config.settings import SearchConfig
from ..execution.base import Executor
from ..execution.jobs import Stopped, Trials
from ..store.ledger import Ledger
from ..store.outcome import Outcome, read_outcome
from ..store.records import Proposal, Status
from ..store.runs import Run
from ..strategies.distillation.state import EMPTY
from .progress import Progress
from .versions import keep_versions

SEARCHES = 2
# Candidates of a search between two looks; about a second.
TURN = 400
# A program counts as the same rule when its relative error on held-out traces is at most this.
FOUND = 1e-4


@dataclass(frozen=True)
class _Best:
    """The best program of a search: its proposal, its text, and its relative error."""

    ordinal: int
    program: str
    error: float


def distil(
    run: Run,
    config: SearchConfig,
    workers: Executor,
    *,
    report: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome | None:
    """Looks for a program that does what `config.traces` show, until it is found or the budget is
    spent.

    Returns:
      The outcome, whose fitness is the relative error on traces that no candidate was fitted to;
      None if it was stopped before there was one.

    Raises:
      UserError: the traces cannot be read, or the ledger cannot be continued.
    """
    with closing(run.write()) as opened:
        if (stored := read_outcome(opened)) is not None:
            return stored
        keep_versions(opened, workers)
        opened.start_session()
        try:
            return _Strands(opened, config, workers, report, should_stop).run()
        except Stopped:
            workers.cancel()
            return None


class _Strands:
    def __init__(
        self,
        opened: Ledger,
        config: SearchConfig,
        workers: Executor,
        report: Callable[[Progress], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self.ledger, self.config, self.workers, self.report = opened, config, workers, report
        self.trials = Trials(workers, opened, should_stop)
        self.earlier = opened.seconds()
        self.started = time.monotonic()
        self.proposed = 0
        start = format_program(EMPTY)
        self._store(None, "start: nothing", start, 1.0)
        self.best = [_Best(0, start, 1.0)] * SEARCHES

    def run(self) -> Outcome:
        until, solved = 0, False
        while not solved and not self._spent(until):
            until += TURN
            answers = [self._result(self._ask(search, until)) for search in range(SEARCHES)]
            for search, answer in enumerate(answers):
                self._note(search, answer)
            solved = any(answer["solved"] for answer in answers)
            self.ledger.add_seconds(time.monotonic() - self.started)
            self._show(until)
        search = min(range(SEARCHES), key=lambda s: (self.best[s].error, s))
        if not until:
            return self._outcome(self.best[search], self.best[search].program, 1.0)
        self.report(Progress("simplifying", "the best program"))
        answer = self._result(self._ask(search, until, finish=True))
        return self._outcome(self.best[search], answer["program"], answer["error"])

    def _ask(self, search: int, until: int, *, finish: bool = False) -> Future[Any]:
        request = {
            "do": "distill",
            "traces": self.config.traces,
            "seed": self.config.seed * SEARCHES + search,
            "until": until,
            "finish": finish,
        }
        return self.workers.submit(request, f"search {search + 1}")

    def _result(self, future: Future[Any]) -> Mapping[str, Any]:
        return self.trials.result(future)

    def _note(self, search: int, answer: Mapping[str, Any]) -> None:
        before = self.best[search]
        if answer["program"] != before.program:
            words = f"search {search + 1}, after {answer['candidates']:,} candidates"
            ordinal = self._store(before.ordinal, words, answer["program"], answer["error"])
            self.best[search] = _Best(ordinal, answer["program"], answer["error"])

    def _store(self, parent: int | None, change: str, text: str, error: float) -> int:
        program, ordinal = parse(text), self.proposed
        self.proposed += 1
        digest = program_digest(program)
        self.ledger.propose([Proposal(ordinal, parent, change, program, digest, Status.NEW)])
        self.ledger.commit_fitness({ordinal: error})
        return ordinal

    def _spent(self, until: int) -> bool:
        budget = self.config.budget
        seconds = self.earlier + time.monotonic() - self.started
        return (budget.candidates is not None and until * SEARCHES >= budget.candidates) or (
            budget.seconds is not None and seconds >= budget.seconds
        )

    def _show(self, until: int) -> None:
        error = min(best.error for best in self.best)
        detail = f"{until * SEARCHES:,} candidates, relative error {error:.2g}"
        self.report(Progress("distilling", detail))

    def _outcome(self, best: _Best, simplified: str, error: float) -> Outcome:
        found = Outcome(
            best.ordinal,
            best.program,
            simplified,
            error,
            error <= FOUND,
            (),
            (),
            kinship=str(nearest_known(parse(simplified))),
        )
        self.ledger.set_fact("outcome", json.loads(json.dumps(asdict(found))))
        return found
