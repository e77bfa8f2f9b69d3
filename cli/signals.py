"""Signal handling: stops at a safe moment, because a send or write may hold a lock.

Ctrl-C (SIGINT), a request to terminate (SIGTERM) and a closed terminal (SIGHUP) are treated alike.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from .entry import is_importing

# Seconds between two checks whether an import has finished.
AGAIN = 0.05
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_on_signals() -> Iterator[list[int]]:
    """Yields a list that is empty until a signal comes. A second one raises KeyboardInterrupt."""
    received: list[int] = []

    def receive(number: int, frame: Any) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        # os.write, because print fails if the signal came during another print. Errors are
        # suppressed, because the terminal may be closed.
        with suppress(OSError):
            os.write(2, "\nstopping…\n".encode())

    with _handled(receive):
        yield received


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Each signal raises KeyboardInterrupt, but not before an import in progress has finished."""

    def receive(number: int, frame: FrameType | None) -> None:
        if not is_importing(frame):
            raise KeyboardInterrupt
        again = threading.Timer(AGAIN, os.kill, [os.getpid(), number])
        again.daemon = True
        again.start()

    with _handled(receive):
        yield


@contextmanager
def _handled(handler: Callable[[int, Any], None]) -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    # Signals ignored from the start stay ignored, as under nohup or in a script's background job.
    before = {number: set_ for number, set_ in handlers.items() if set_ is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
