"""Shows the progress of a running search, and stops it on a signal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .entry import STOPPED
from .output import print_note
from .progress import progress_display
from .signals import interrupted_by_signals, stop_on_signals

if TYPE_CHECKING:
    from ..running import Run
    from ..search.engine.progress import Progress


class Watch:
    """Shows the progress of a search, and stops it when a signal comes.

    Attributes:
      run: the run; None before it is created.
    """

    def __init__(self, stack: ExitStack) -> None:
        self.run: Run | None = None
        self._stack = stack
        self._signals: list[int] = []

    def started(self, run: Run) -> None:
        """Called when the run exists. From now on a signal makes the search save and end."""
        self.run = run
        print_note(f"run {run.name} in {run.folder}")
        self._signals = self._stack.enter_context(stop_on_signals())
        self._show = self._stack.enter_context(progress_display())

    def report(self, progress: Progress) -> None:
        self._show(progress)

    def should_stop(self) -> bool:
        return bool(self._signals)


@contextmanager
def watching() -> Iterator[Watch]:
    """Yields a watch. Until the search has started, a signal raises KeyboardInterrupt."""
    with interrupted_by_signals(), ExitStack() as stack:
        yield Watch(stack)


def carry_out(search: Callable[..., Run]) -> int:
    """Runs a search under a watch and prints its result.

    Args:
      search: `evoptax.discover` or `evoptax.resume` with its other arguments.

    Returns:
      The exit status.
    """
    with watching() as watch:
        try:
            run = search(
                started=watch.started,
                report=watch.report,
                should_stop=watch.should_stop,
                note=print_note,
            )
        except KeyboardInterrupt:
            if watch.run is None:
                raise
            run = watch.run  # the ledger has all finished results
    from ..search.store.outcome import read_outcome
    from ..search.store.runs import Run as StoredRun

    stored = StoredRun(run.folder)
    with closing(stored.read()) as opened:
        outcome = read_outcome(opened)
    if outcome is not None:
        from ..search.report.facts import read_facts
        from .summary import print_outcome

        print_outcome(outcome, read_facts(stored))
        return 0
    print_note(
        f"\nstopped and saved; continue with `evoptax resume {run.name}`"
        + ("" if run.folder.parent == Path("runs") else f" --runs-dir {run.folder.parent}")
    )
    return STOPPED
