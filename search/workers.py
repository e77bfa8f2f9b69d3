"""Worker processes: programs go out as text, numbers come back, and any process may die.

A request and its answer are one line of JSON each, through the worker's standard input and output.
Nothing is pickled, and no thread or lock of JAX is inherited, because workers are started afresh
and never forked. A worker holds nothing that is missed: when one dies, what it was sent goes to
the next.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..dsl.errors import UserError

# How many workers one request, or one start, may cost before it is given up.
MOST_DEATHS = 3

# One thread of linear algebra per worker. PJRT_NPROC is what sizes the thread pool of XLA's CPU
# client (JAX 0.10); XLA_FLAGS=--xla_cpu_multi_thread_eigen=false leaves it at one thread per core
# (a convolution took 8.5 s of processor time in 5.1 s). Binding the process to a core would size
# the pool too, but would keep it there when another program takes that core. The numbers are the
# same to the last bit either way, and differ from those of several threads.
_ENVIRONMENT = {
    "PJRT_NPROC": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
# The machine trains on the processor even where there is a GPU, on which it is 2 to 50 times slower
# than on one core (docs/performance.md). Who wants it there has several processes share its memory.
_UNLESS_SET = {"JAX_PLATFORMS": "cpu", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

# The same modules as here, and none from the folder that the user happens to be in.
_COMMAND = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    f"from {__package__}.worker import main; main()"
)


class WorkerLost(UserError):
    """Workers died again and again on the same request, or could not start."""


@dataclass(eq=False)
class _Request:
    line: bytes
    what: str
    ahead: bool
    answer: Future[Any] = field(default_factory=Future)
    deaths: int = 0


@dataclass(eq=False)
class _Worker:
    """A place for a worker process; `sent` are the requests that it has not answered yet."""

    process: subprocess.Popen[bytes] | None = None
    ready: bool = False
    sent: deque[_Request] = field(default_factory=deque)

    def send(self, request: _Request) -> None:
        self.sent.append(request)
        assert self.process is not None and self.process.stdin is not None
        # If it has died, whoever reads its answers finds out, and sends the request elsewhere.
        with suppress(OSError):
            self.process.stdin.write(request.line)
            self.process.stdin.flush()


class Workers:
    """Worker processes that train on some tasks. A context manager: they end with it.

    They also end when this process does, however it ends, because their input does. Ctrl-C does
    not reach them.
    """

    def __init__(self, tasks: Iterable[str], count: int = 0) -> None:
        """Starts the processes and returns at once.

        Args:
          tasks: names of built-in tasks, or FILE.py:NAME.
          count: how many processes; 0 for one per core.
        """
        self.count = count or _cores()
        self._hello = _line({"do": "load", "tasks": [*tasks]})
        self._versions: Future[dict[str, int]] = Future()
        self._busy = 0.0
        self._failure: Exception | None = None
        self._closed = False
        self._waiting: deque[_Request] = deque()
        self._workers = [_Worker() for _ in range(self.count)]
        self._lock = threading.RLock()
        self._threads = [
            threading.Thread(target=self._keep, args=[worker], daemon=True)
            for worker in self._workers
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def versions(self) -> Mapping[str, int]:
        """The version of each task, once a worker has loaded them.

        Raises:
          UserError: a task cannot be loaded, or workers cannot start.
        """
        return self._versions.result()

    def submit(self, request: Mapping[str, Any], what: str, *, ahead: bool = False) -> Future[Any]:
        """Has a worker answer a request, in the order of submission.

        Args:
          request: plain data; see `worker.py`.
          what: the request in words, for errors.
          ahead: whether a worker may be sent this while it is busy, so that it need not wait for
            it; for short requests only, because it then waits for that worker though another may
            be idle.

        Returns:
          The answer, or an error: UserError where a task is to blame, WorkerLost, or RuntimeError
          with the worker's traceback.
        """
        wanted = _Request(_line(request), what, ahead)
        with self._lock:
            if self._closed:
                wanted.answer.cancel()
            elif self._failure is not None:
                wanted.answer.set_exception(self._failure)
            else:
                self._waiting.append(wanted)
                self._dispatch()
        return wanted.answer

    @property
    def busy_seconds(self) -> float:
        """Seconds spent on requests, all workers together."""
        return self._busy

    @property
    def pids(self) -> list[int]:
        """Process numbers of the workers that can take requests."""
        with self._lock:
            return [w.process.pid for w in self._workers if w.process is not None and w.ready]

    def cancel(self) -> None:
        """Cancels all requests without an answer. Those begun are finished, for nothing."""
        with self._lock:
            for request in self._unanswered():
                request.answer.cancel()
            self._waiting.clear()

    def close(self) -> None:
        """Ends all workers at once, whatever they are at; unanswered requests are cancelled."""
        with self._lock:
            self._closed = True
            self._versions.cancel()
            self.cancel()
            self._kill()
        for thread in self._threads:
            thread.join()

    # --- one thread for each worker, which starts it and reads its answers ---

    def _keep(self, worker: _Worker) -> None:
        failed_starts = 0
        while self._start(worker):
            process = worker.process
            assert process is not None and process.stdin is not None and process.stdout is not None
            with process.stdout as answers:
                for line in answers:
                    if line.endswith(b"\n"):  # else it died in the middle of a line
                        self._take(worker, json.loads(line))
            status = process.wait()
            failed_starts = 0 if worker.ready else failed_starts + 1
            self._lost(worker, status)
            with suppress(OSError):  # what it was sent last may be there still
                process.stdin.close()
            if failed_starts == MOST_DEATHS:
                self._fail(WorkerLost(f"a worker process cannot start: it {_ended(status)}"))

    def _start(self, worker: _Worker) -> bool:
        """Starts the process, unless there is nothing more to do."""
        with self._lock:
            if self._closed or self._failure is not None:
                return False
            worker.ready = False
            try:
                worker.process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _COMMAND, json.dumps(sys.path)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env={**_UNLESS_SET, **os.environ, **_ENVIRONMENT},
                    # Out of the terminal's reach: Ctrl-C is for the process that saves the run.
                    start_new_session=True,
                )
            except OSError as error:
                self._fail(WorkerLost(f"a worker process cannot start: {error}"))
                return False
            worker.send(_Request(self._hello, "loading tasks", False))
        return True

    def _take(self, worker: _Worker, message: dict[str, Any]) -> None:
        """Passes an answer on, and sends the next request."""
        with self._lock:
            request = worker.sent.popleft()
            is_hello, worker.ready = not worker.ready, True
            if not is_hello:
                self._busy += message["seconds"]
            self._dispatch()
            if self._closed or self._failure is not None or request.answer.cancelled():
                return
            error = _error(message, request.what)
            if is_hello:
                self._loaded(message.get("value", {}), error)
            elif error is not None:
                request.answer.set_exception(error)
            else:
                request.answer.set_result(message["value"])

    def _loaded(self, versions: dict[str, int], error: Exception | None) -> None:
        if error is not None:
            self._fail(error)
            return
        if not self._versions.done():
            self._versions.set_result(versions)
        first = self._versions.result()
        if changed := [task for task in versions if versions[task] != first[task]]:
            self._fail(UserError(f"task '{changed[0]}' has changed since this search loaded it"))

    def _lost(self, worker: _Worker, status: int) -> None:
        """Puts what a dead worker was sent back where it was, first in line."""
        with self._lock:
            lost = [*worker.sent]
            was_ready, worker.ready = worker.ready, False
            worker.sent.clear()
            if self._closed or self._failure is not None or not was_ready:
                return
            if lost:
                lost[0].deaths += 1  # the others were not begun
            for request in reversed(lost):
                if request.answer.cancelled():
                    continue
                if request.deaths < MOST_DEATHS:
                    self._waiting.appendleft(request)
                else:
                    why = f"{MOST_DEATHS} worker processes died of it, the last {_ended(status)}"
                    request.answer.set_exception(WorkerLost(f"{request.what} was given up: {why}"))
            self._dispatch()

    def _dispatch(self) -> None:
        """Sends what waits to idle workers, then one more to busy ones. Holds the lock."""
        for depth in (0, 1):
            for worker in self._workers:
                if not self._waiting or (depth and not self._waiting[0].ahead):
                    return
                if worker.ready and len(worker.sent) == depth:
                    worker.send(self._waiting.popleft())

    def _fail(self, error: Exception) -> None:
        """Nothing can be trained any more: every answer is this error."""
        with self._lock:
            if self._failure is not None or self._closed:
                return
            self._failure = error
            for request in self._unanswered():
                request.answer.set_exception(error)
            if not self._versions.done():
                self._versions.set_exception(error)
            self._kill()

    def _unanswered(self) -> list[_Request]:
        """All requests without an answer. Holds the lock."""
        sent = [request for worker in self._workers if worker.ready for request in worker.sent]
        return [request for request in (*self._waiting, *sent) if not request.answer.cancelled()]

    def _kill(self) -> None:
        for worker in self._workers:
            if worker.process is not None:
                worker.process.kill()


def _cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data).encode() + b"\n"


def _error(message: Mapping[str, Any], what: str) -> Exception | None:
    """The error in an answer, if there is one."""
    if "mistake" in message:
        return UserError(message["mistake"])
    if "error" in message:
        return RuntimeError(f"{what} failed:\n{message['error']}")
    return None


def _ended(status: int) -> str:
    """How a process ended, in words."""
    if status >= 0:
        return f"ended with status {status}"
    return f"was killed by {signal.Signals(-status).name}"
