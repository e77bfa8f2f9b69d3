"""What an executor is: who answers requests, on this machine or on others.

Each is a module or a folder of `executors/`, whose name is what `--workers` takes. To add one is to
add a file with an `EXECUTOR` there; the command line and the contract suite find it.
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
# What answers requests where training is done. It imports much that imports this folder, so it is
# named and not imported; see `answers`.
_ANSWERS = "evoptax.search.engine.answers"


class WorkerLost(UserError):
    """Workers died again and again on the same request, or could not start."""


class WorkerHung(UserError):
    """Workers hung at the same request again and again.

    Attributes:
      task: that they trained or loaded; empty where that is not known.
    """

    def __init__(self, message: str, task: str) -> None:
        super().__init__(message)
        self.task = task


class WorkerError(RuntimeError):
    """A mistake of evoptax in a worker; its cause holds the worker's traceback."""


class RemoteTraceback(Exception):
    """The traceback of an error in a worker, as text."""


def error_in(message: Mapping[str, Any], what: str) -> Exception | None:
    """The error in an answer, if there is one. Its cause is the worker's traceback."""
    error: Exception
    if "mistake" in message:
        error = UserError(message["mistake"])
    elif "error" in message:
        error = WorkerError(f"{what} failed: {message['error']}")
    else:
        return None
    error.__cause__ = RemoteTraceback("\n" + message["traceback"])
    return error


# What answers a request at which workers hang, in the place of a worker.
OnHang = Callable[[WorkerHung], Any]


class Executor(Protocol):
    """Answers requests, several at a time. A context manager: it ends with it.

    A request and its answer are plain data, which JSON can hold; `search.engine.answers` says what
    there is. What trains holds nothing that is missed: a request that is lost is sent again.

    Attributes:
      count: how many requests are answered at once.
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
          UserError: a task cannot be loaded, or nothing can train.
        """
        ...

    def tiers(self) -> Mapping[str, str]:
        """The tier of each task; as `versions`."""
        ...

    def submit(
        self,
        request: Mapping[str, Any],
        what: str,
        *,
        ahead: bool = False,
        on_hang: OnHang | None = None,
    ) -> Future[Any]:
        """Has a request answered, in the order of submission.

        Args:
          request: plain data.
          what: the request in words, for errors.
          ahead: whether a worker may be sent this while it is busy, so that it need not wait for
            it; for short requests only, because it then waits for that worker though another may
            be idle.
          on_hang: answers in the place of those that hang at this.

        Returns:
          The answer, or an error: UserError where a task is to blame, WorkerLost, WorkerHung, or
          WorkerError. It is cancelled where the executor was closed or told to cancel.
        """
        ...

    def cancel(self) -> None:
        """Cancels all unanswered requests. Work on them may go on; its results are dropped."""
        ...

    def close(self) -> None:
        """Ends all work at once; unanswered requests are cancelled."""
        ...


class Opener(Protocol):
    """Opens an executor: the `EXECUTOR` of its module."""

    def __call__(self, tasks: Iterable[str], count: int, where: str) -> Executor:
        """Starts, and returns at once.

        Args:
          tasks: names of built-in tasks, or FILE.py:NAME, which requests are about.
          count: how many requests to answer at once; 0 for what suits.
          where: what `--workers` was given after the name, as in "//HOST:PORT"; else empty.

        Raises:
          UserError: it cannot be opened there.
        """
        ...


# That of this machine's processes.
USUAL = "processes"


def executors() -> tuple[str, ...]:
    """The names of all executors."""
    return names_in(_EXECUTORS)


def open_executor(tasks: Iterable[str], workers: int | str = 0) -> Executor:
    """Opens an executor for some tasks.

    Args:
      tasks: names of built-in tasks, or FILE.py:NAME.
      workers: a number of processes on this machine, 0 for one per core; or an executor's name,
        with what it needs behind a colon.

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
        """A message with the answer, or with what went wrong; see `error_in`."""
        ...


def new_answers() -> Answers:
    """What answers requests in this process; holds what is compiled for each task."""
    found: Answers = importlib.import_module(_ANSWERS).Answers()
    return found
