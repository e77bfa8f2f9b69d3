"""A session of a run: from its start or a resume until it stops or ends."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..config.rules import rule_program
from ..config.settings import SearchConfig
from ..execution.base import Executor
from ..execution.jobs import Trials
from ..store.ledger import Ledger
from .progress import Progress

Report = Callable[[Progress], None]
ShouldStop = Callable[[], bool]


class Session:
    """The ledger, workers and clock of a running search.

    Attributes:
      ledger: the run's, open for writing. config: the run's configuration.
      baseline: the rule that scores are relative to.
      trials: trains rules with the workers; raises Stopped when the user asks to stop.
      report: called with progress.
    """

    def __init__(
        self,
        ledger: Ledger,
        config: SearchConfig,
        workers: Executor,
        report: Report,
        should_stop: ShouldStop,
    ) -> None:
        """Starts the clock. Raises UserError if the baseline is unknown."""
        self.ledger, self.config, self.report = ledger, config, report
        self.baseline = rule_program(config.baseline)
        self.trials = Trials(workers, ledger, should_stop, self.baseline)
        self._earlier = ledger.seconds()
        self.start_clock()
        ledger.start_session()

    def start_clock(self) -> None:
        """Restarts the clock from zero."""
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Duration of this session so far."""
        return time.monotonic() - self._started

    @property
    def time_used(self) -> float | None:
        """Seconds used by all sessions as a part of the budget; None without a limit."""
        limit = self.config.budget.seconds
        used = self._earlier + self.seconds
        return None if limit is None else used / limit if limit else 1.0

    def store_seconds(self) -> None:
        """Stores the duration of this session."""
        self.ledger.add_seconds(self.seconds)
