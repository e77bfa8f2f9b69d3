"""Ctrl-C at a moment that suits: in the middle of a send or a write it could leave a lock held."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stop_on_signals() -> Iterator[list[int]]:
    """A list that is empty until Ctrl-C or a request to terminate; a second Ctrl-C is at once."""
    received: list[int] = []

    def receive(number: int, frame: Any) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        print("\nstopping…", file=sys.stderr)

    handlers = {n: signal.signal(n, receive) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
