"""The entry of the engine: runs a pure strategy with workers, a clock, a ledger and signals."""

from __future__ import annotations

from contextlib import closing

from ..config.settings import SearchConfig
from ..execution.base import Executor
from ..execution.jobs import Stopped
from ..store.outcome import Outcome
from ..store.runs import Run
from ..strategies.base import strategy
from .asking import AskingLoop
from .session import Report, Session, ShouldStop
from .training import TrainingLoop
from .versions import keep_versions


def run_search(
    run: Run,
    config: SearchConfig,
    workers: Executor,
    *,
    report: Report = lambda progress: None,
    should_stop: ShouldStop = lambda: False,
) -> Outcome | None:
    """Runs or continues a search until its budget is spent, then chooses the best rule.

    Args:
      run: a folder with a ledger.
      config: what the run was started with.
      workers: the executor, opened with (at least) `config.loaded_tasks`.
      report: called with progress, often.
      should_stop: polled between candidates; when true, the run saves and returns None. Workers
        still finish their current requests, without use; close the executor to end them at once.

    Returns:
      The outcome, or None if the run was stopped before there was one.

    Raises:
      UserError: the ledger cannot be continued, a rule in `config.start` is unknown, traces cannot
        be read, or workers cannot train.
    """
    with closing(run.write()) as opened:
        keep_versions(opened, workers)
        found = strategy(config.evolution.strategy)
        session = Session(opened, config, workers, report, should_stop)
        try:
            if found.trains:
                return TrainingLoop(found, session).run()
            return AskingLoop(found, session).run()
        except Stopped:
            workers.cancel()
            return None
