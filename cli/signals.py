"""Signals at a moment that suits: in the middle of a send or a write they could leave a lock held.

Ctrl-C (SIGINT), a request to terminate (SIGTERM) and a terminal that closes (SIGHUP) are the same.
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

# Seconds after which it is looked again whether an import is over.
AGAIN = 0.05
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_on_signals() -> Iterator[list[int]]:
    """A list that is empty until a signal comes; a second one is a KeyboardInterrupt."""
    received: list[int] = []

    def receive(number: int, frame: Any) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        # Not by print, which fails where the signal came in the middle of another print. The
        # terminal may be gone.
        with suppress(OSError):
            os.write(2, "\nstopping…\n".encode())

    with _handled(receive):
        yield received


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Each of the signals is a KeyboardInterrupt, after the import that is under way if one is."""

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
    # What is ignored from the start stays so, as under nohup or in the background of a script.
    before = {number: set_ for number, set_ in handlers.items() if set_ is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
