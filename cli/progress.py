"""Live progress of a search: a changing line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..dsl.files import printable
from ..evaluators.formatting import percent, printed_name
from .output import print_note

if TYPE_CHECKING:
    from ..search.engine.progress import Progress

SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def progress_display() -> Iterator[Callable[[Progress], None]]:
    """Yields a function that shows progress on stderr."""
    if not sys.stderr.isatty():
        yield _Lines().show
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(stderr=True), refresh_per_second=4, transient=True) as live:
        lines = _Lines(quiet=True)

        def show(progress: Progress) -> None:
            lines.show(progress)
            live.update(Text(printable(describe(progress))))

        yield show


@contextmanager
def line_display() -> Iterator[Callable[[str], None]]:
    """Yields a function that shows a line on stderr: one that changes on a terminal; elsewhere a
    new one at most every few seconds.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.text import Text

        with Console(stderr=True).status("") as status:

            def show_on_terminal(line: str) -> None:
                status.update(Text(printable(line), no_wrap=True, overflow="ellipsis"))

            yield show_on_terminal
        return
    last = -SECONDS_BETWEEN_LINES

    def show(line: str) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= SECONDS_BETWEEN_LINES:
            print_note(line)
            last = now

    yield show


class _Lines:
    """Prints a line when the phase changes, and every few seconds if the line has changed."""

    def __init__(self, quiet: bool = False) -> None:
        self.phase = ""
        self.line = ""
        self.last = 0.0
        self.quiet = quiet

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        due = progress.phase != self.phase or now - self.last >= SECONDS_BETWEEN_LINES
        if not due or self.quiet or (line := describe(progress)) == self.line:
            return
        print_note(line)
        self.phase, self.last, self.line = progress.phase, now, line


def describe(progress: Progress) -> str:
    """Progress in one line."""
    if progress.phase != "searching":
        seconds = f" ({progress.seconds:.0f} s)" if progress.phase == "compiling" else ""
        return f"{progress.phase} {progress.detail}{seconds}"
    proposed = max(progress.proposed, 1)
    parts = [
        f"searching {progress.seconds:.0f} s",
        f"round {progress.round + 1}",
        f"{progress.trained} trained ({progress.rate:.1f}/s)",
        f"best {percent(progress.best)} vs {printed_name(progress.baseline)}",
        *([] if progress.validation is None else [f"held-out {percent(progress.validation)}"]),
        f"{100 * progress.duplicates / proposed:.0f} % duplicates",
        f"{100 * progress.rejected / proposed:.0f} % rejected",
    ]
    if progress.fraction is not None:
        parts.append(f"{100 * min(progress.fraction, 1):.0f} % of budget")
    return "  ".join(parts)
