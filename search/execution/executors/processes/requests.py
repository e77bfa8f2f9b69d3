"""What workers were asked, where each of them is, and what can go wrong with it."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from ...base import OnHang
from .process import WorkerProcess

# Seconds without a sign of life until it is said what is waited for: while tasks are loaded, when
# nothing else shows, and otherwise. Then again after twice as long.
QUIET_LOADING, QUIET = 10.0, 60.0


@dataclass(eq=False)
class Request:
    line: bytes
    what: str
    ahead: bool = False
    asked: tuple[str, str] = ("", "")  # what for, and the path that trains
    task: str = ""
    on_hang: OnHang | None = None
    answer: Future[Any] = field(default_factory=Future)
    deaths: int = 0
    hangs: int = 0


@dataclass(eq=False)
class Place:
    """A place for a worker process.

    Attributes:
      sent: the requests that it has not answered yet; it is at the first.
      ready: whether it has loaded the tasks. runs: whether it has given a sign of life.
      heard: when it gave the last one. task: what it was at then.
      quiet: seconds of silence after which it is said. hung: seconds that it was silent when it was
        killed for it; 0 where it was not.
    """

    process: WorkerProcess | None = None
    sent: deque[Request] = field(default_factory=deque)
    ready: bool = False
    runs: bool = False
    heard: float = 0.0
    task: str = ""
    quiet: float = 0.0
    hung: float = 0.0

    def send(self, request: Request) -> None:
        assert self.process is not None
        self.sent.append(request)
        self.process.send(request.line)
        if len(self.sent) == 1:
            self.begin()

    def begin(self) -> None:
        """Notes that it turns to the first request that it was sent."""
        self.hear(self.sent[0].task if self.sent else "")

    def hear(self, task: str) -> None:
        """Notes a sign of life."""
        self.heard, self.task = time.monotonic(), task
        self.quiet = QUIET_LOADING if self.runs and not self.ready else QUIET


def at(request: Request, worker: Place) -> str:
    """What a worker is at, in words."""
    known = not worker.task or worker.task in request.what
    return request.what if known else f"{request.what} on {worker.task}"


def loading(worker: Place) -> str:
    """What a worker is at that has not loaded its tasks yet, in words."""
    if worker.runs:
        return f"loading the task {worker.task}" if worker.task else "loading the tasks"
    return "starting a worker process"
