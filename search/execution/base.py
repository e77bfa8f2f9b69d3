"""The executor protocol: an executor answers requests to train, on this machine or on others.

Each executor is a module or a folder in `executors/`, and its name is accepted by `--workers`. To
add one, add a file there that defines `EXECUTOR`; the command line and the contract suite find it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Protocol, Self

from ...dsl.errors import UserError
from ...dsl.plugins import implementation, names_in

_EXECUTORS = "evoptax.search.execution.executors"
# The module that answers requests in the training process. Named instead of imported, because it
# imports modules that import this folder.
_ANSWERS = "evoptax.search.engine.answers"


class WorkerLost(UserError):
    """Workers died repeatedly on the same request, or could not start."""


class WorkerHung(UserError):
    """Workers hung repeatedly on the same request.

    Attributes:
      task: the task that they were training on or loading; empty if unknown.
    """

    def __init__(self, message: str, task: str) -> None:
        super().__init__(message)
        self.task = task


class WorkerError(RuntimeError):
    """A bug of evoptax that showed in a worker; its cause holds the worker's traceback."""


class RemoteTraceback(Exception):
    """The traceback of an error in a worker, as text."""


def error_in(message: Mapping[str, Any], what: str) -> Exception | None:
    """The error that an answer reports, or None. Its cause is the worker's traceback."""
    error: Exception
    if "mistake" in message:
        error = UserError(message["mistake"])
    elif "error" in message:
        error = WorkerError(f"{what} failed: {message['error']}")
    else:
        return None
    error.__cause__ = RemoteTraceback("\n" + message["traceback"])
    return error


# Called instead of a worker to answer a request on which workers hang.
OnHang = Callable[[WorkerHung], Any]


class Executor(Protocol):
    """Answers requests, several at a time. As a context manager it closes itself at the end.

    A request and its answer are plain data that JSON can hold; `search.engine.answers` lists the
    requests. Workers keep no state that matters: a lost request is simply sent again.

    Attributes:
      count: the number of requests that are answered at once.
    """

    count: int

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def versions(self) -> Mapping[str, int]:
        """The version of each task, once they are loaded.

        Raises:
          UserError: a task cannot be loaded, or no worker can train.
        """
        ...

    def tiers(self) -> Mapping[str, str]:
        """The tier of each task; waits and raises as `versions` does."""
        ...

    def submit(
        self,
        request: Mapping[str, Any],
        what: str,
        *,
        ahead: bool = False,
        on_hang: OnHang | None = None,
    ) -> Future[Any]:
        """Queues a request; requests start in the order of submission.

        Args:
          request: plain data.
          what: the request in words, for error messages.
          ahead: whether the request may be queued at a busy worker, which then starts on it without
            a round trip. For short requests only: it waits for that worker even if another becomes
            idle first.
          on_hang: answers the request if workers hang on it.

        Returns:
          A future of the answer, or of an error: UserError if the task is at fault, WorkerLost,
          WorkerHung or WorkerError. It is cancelled if the executor is closed or told to cancel.
        """
        ...

    def cancel(self) -> None:
        """Cancels all unanswered requests. Some may run on; their results are dropped."""
        ...

    def close(self) -> None:
        """Ends all work at once; unanswered requests are cancelled."""
        ...


class Opener(Protocol):
    """Opens an executor: the `EXECUTOR` of its module."""

    def __call__(self, tasks: Iterable[str], count: int, where: str) -> Executor:
        """Starts an executor, and returns without waiting for it.

        Args:
          tasks: the tasks that requests will name: built-in ones, or FILE.py:NAME.
          count: the number of requests to answer at once; 0 lets the executor choose.
          where: what followed the name in `--workers`, as in "//HOST:PORT"; else empty.

        Raises:
          UserError: the executor cannot be opened there.
        """
        ...


# The default: processes on this machine.
USUAL = "processes"


def executors() -> tuple[str, ...]:
    """The names of all executors."""
    return names_in(_EXECUTORS)


def open_executor(tasks: Iterable[str], workers: int | str = 0) -> Executor:
    """Opens an executor for some tasks.

    Args:
      tasks: names of built-in tasks, or FILE.py:NAME.
      workers: the number of processes on this machine, 0 for one per core; or an executor's name,
        followed by a colon and an address if it needs one.

    Raises:
      UserError: there is no such executor, or it cannot be opened.
    """
    if isinstance(workers, int):
        name, where, count = USUAL, "", workers
    else:
        (name, _, where), count = workers.partition(":"), 0
    opener: Opener = implementation(_EXECUTORS, name, "EXECUTOR", "executor")
    return opener(tasks, count, where)


class Answers(Protocol):
    """Answers requests in this process, one at a time."""

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """A message with the answer or the error; see `error_in`."""
        ...


def new_answers() -> Answers:
    """An object that answers requests in this process and keeps the compiled code of each task."""
    found: Answers = importlib.import_module(_ANSWERS).Answers()
    return found
