"""The bookkeeping of `workers`: requests, and one `Place` per worker process."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from ...base import OnHang
from .process import WorkerProcess

# Seconds of silence after which the user is told what a worker is doing: while it loads tasks, and
# otherwise. Told again each time the silence has doubled.
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
    """A slot for a worker process, which is restarted if it dies.

    Attributes:
      sent: its unanswered requests; it works on the first.
      ready: whether it has loaded the tasks. runs: whether it has given a sign of life.
      heard: the time of the last sign of life. task: the task that it named then.
      quiet: seconds of silence after which the user is told.
      hung: seconds of silence after which it was killed as hung; 0 if it was not.
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
        """Notes that the worker starts on its first unanswered request."""
        self.hear(self.sent[0].task if self.sent else "")

    def hear(self, task: str) -> None:
        """Notes a sign of life."""
        self.heard, self.task = time.monotonic(), task
        self.quiet = QUIET_LOADING if self.runs and not self.ready else QUIET


def at(request: Request, worker: Place) -> str:
    """What a worker is doing, in words, with the task if the request does not name it."""
    known = not worker.task or worker.task in request.what
    return request.what if known else f"{request.what} on {worker.task}"


def loading(worker: Place) -> str:
    """What a worker is doing that has not loaded its tasks yet, in words."""
    if worker.runs:
        return f"loading the task {worker.task}" if worker.task else "loading the tasks"
    return "starting a worker process"
