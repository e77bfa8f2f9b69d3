"""A session of a run: its ledger, who answers requests, who watches, and its clock."""

from __future__ import annotations

import time
from collections.abc import Callable

from ...known_algorithms.catalogue import get_known
from ..config.settings import SearchConfig
from ..execution.base import Executor
from ..execution.jobs import Trials
from ..store.ledger import Ledger
from .progress import Progress

Report = Callable[[Progress], None]
ShouldStop = Callable[[], bool]


class Session:
    """What every search has while it runs.

    Attributes:
      ledger: of the run, open to be written. config: what it was started with.
      baseline: the known rule that scores are relative to.
      trials: has requests answered, and stops when it is asked to.
      report: is told of progress.
    """

    def __init__(
        self,
        ledger: Ledger,
        config: SearchConfig,
        workers: Executor,
        report: Report,
        should_stop: ShouldStop,
    ) -> None:
        """Begins to count its time. Raises UserError where the baseline is unknown."""
        self.ledger, self.config, self.report = ledger, config, report
        self.baseline = get_known(config.baseline).program
        self.trials = Trials(workers, ledger, should_stop, self.baseline)
        self._earlier = ledger.seconds()
        self.start_clock()
        ledger.start_session()

    def start_clock(self) -> None:
        """Counts the session's time from now on."""
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Of this session."""
        return time.monotonic() - self._started

    @property
    def time_used(self) -> float | None:
        """The part of the budget's seconds that all sessions have used; None without a limit."""
        limit = self.config.budget.seconds
        used = self._earlier + self.seconds
        return None if limit is None else used / limit if limit else 1.0

    def store_seconds(self) -> None:
        """Stores how long this session has taken."""
        self.ledger.add_seconds(self.seconds)
