"""Worker processes: programs go out as text, numbers come back, and any process may die or hang.

A request and its answer are one line of JSON each, over the worker's standard input and output.
Nothing is pickled. Workers are spawned, never forked, so that they inherit no thread or lock of
JAX. They keep no state that matters: if one dies, or hangs and is killed, its requests go to
another.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from .....dsl.errors import UserError
from ...base import OnHang, WorkerHung, WorkerLost, error_in
from .patience import VARIABLE, Patience, chosen_patience
from .process import WorkerProcess
from .requests import Place, Request, at, loading

# A request is given up after this many workers died on it; so is a worker that fails to start.
MOST_DEATHS = 3
# A request is given up after this many workers hung on it; so is loading the tasks.
MOST_HANGS = 2


class Workers:
    """Worker processes that train on some tasks: an `Executor`.

    They end when this process ends for any reason, because their standard input closes. Ctrl-C does
    not reach them.
    """

    def __init__(
        self,
        tasks: Iterable[str],
        count: int = 0,
        *,
        patience: Patience | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """Starts the processes and returns at once.

        Args:
          tasks: names of built-in tasks, or FILE.py:NAME.
          count: the number of processes; 0 for one per core.
          patience: time limits for silent workers; default: `chosen_patience()`.
          say: receives messages about slow and hung workers, from any thread; default: printed.

        Raises:
          UserError: EVOPTAX_WORKER_DEADLINE is not a positive number.
        """
        self.count = count or _cores()
        self._hello = _line({"do": "load", "tasks": [*tasks]})
        self._patience = patience or chosen_patience()
        self._say = say or _print
        self._loaded: Future[dict[str, tuple[int, str]]] = Future()  # version and tier
        self._busy = 0.0
        self._failure: Exception | None = None
        self._closed = False
        self._waiting: deque[Request] = deque()
        self._workers = [Place() for _ in range(self.count)]
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
        return {task: version for task, (version, _) in self._loaded.result().items()}

    def tiers(self) -> Mapping[str, str]:
        return {task: tier for task, (_, tier) in self._loaded.result().items()}

    def submit(
        self,
        request: Mapping[str, Any],
        what: str,
        *,
        ahead: bool = False,
        on_hang: OnHang | None = None,
    ) -> Future[Any]:
        job = request.get("job", request)
        asked = (request["do"], job.get("path", "finish" if request.get("finish") else ""))
        wanted = Request(_line(request), what, ahead, asked, job.get("task", ""), on_hang)
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
        """Process ids of the workers that are ready for requests."""
        with self._lock:
            return [w.process.pid for w in self._workers if w.process is not None and w.ready]

    def cancel(self) -> None:
        """Cancels all unanswered requests. Those in progress run on; their results are dropped."""
        with self._lock:
            for request in self._unanswered():
                request.answer.cancel()
            self._waiting.clear()

    def close(self) -> None:
        """Kills all workers; unanswered requests are cancelled."""
        with self._lock:
            self._closed = True
            self._loaded.cancel()
            self.cancel()
            self._kill()
        for thread in self._threads:
            thread.join()

    # --- one thread for each worker, which starts it and reads its answers ---

    def _keep(self, worker: Place) -> None:
        failed_starts = hung_starts = 0
        while self._start(worker):
            assert worker.process is not None
            for line in worker.process.lines():
                if line:
                    self._take(worker, json.loads(line))
                self._watch(worker)
            ended = worker.process.end()
            was_ready, hung = worker.ready, worker.hung
            self._lost(worker, ended)
            if was_ready:
                failed_starts = hung_starts = 0
            elif hung:
                hung_starts += 1
            else:
                failed_starts += 1
            if failed_starts == MOST_DEATHS:
                self._fail(WorkerLost(f"a worker process cannot start: it {ended}"))
            if hung_starts == MOST_HANGS:
                self._fail(self._hung(Request(b"", loading(worker)), worker, hung))

    def _start(self, worker: Place) -> bool:
        """Starts the process; False if this executor is closed or has failed."""
        with self._lock:
            if self._closed or self._failure is not None:
                return False
            worker.ready, worker.runs, worker.hung = False, False, 0.0
            try:
                worker.process = WorkerProcess()
            except OSError as error:
                self._fail(WorkerLost(f"a worker process cannot start: {error}"))
                return False
            worker.send(Request(self._hello, "loading tasks"))
        return True

    def _take(self, worker: Place, message: dict[str, Any]) -> None:
        """Handles a sign of life or an answer from a worker; after an answer, sends more work."""
        with self._lock:
            if "at" in message:
                worker.runs = True
                worker.hear(message["at"])
                return
            request = worker.sent.popleft()
            is_hello, worker.ready = not worker.ready, True
            worker.begin()
            if not is_hello:
                self._busy += message["seconds"]
                for task, seconds in message["pieces"].items():
                    self._patience.learn((*request.asked, task), seconds)
            self._dispatch()
            if self._closed or self._failure is not None or request.answer.cancelled():
                return
            error = error_in(message, request.what)
            if is_hello:
                self._note_loaded(message.get("value", {}), error)
            elif error is not None:
                request.answer.set_exception(error)
            else:
                request.answer.set_result(message["value"])

    def _note_loaded(self, loaded: dict[str, tuple[int, str]], error: Exception | None) -> None:
        if error is not None:
            self._fail(error)
            return
        if not self._loaded.done():
            self._loaded.set_result(loaded)
        first = self._loaded.result()
        if changed := [task for task in loaded if loaded[task] != first[task]]:
            self._fail(UserError(f"task '{changed[0]}' has changed since this search loaded it"))

    def _lost(self, worker: Place, ended: str) -> None:
        """Puts a dead worker's requests back at the front of the queue, or gives them up."""
        with self._lock:
            lost = [*worker.sent]
            was_ready, worker.ready = worker.ready, False
            worker.sent.clear()
            if self._closed or self._failure is not None or not was_ready:
                return
            if lost:  # only the first had started
                lost[0].deaths += not worker.hung
                lost[0].hangs += bool(worker.hung)
            for request in reversed(lost):
                if request.answer.cancelled():
                    continue
                if request.hangs == MOST_HANGS:
                    self._give_up(request, self._hung(request, worker, worker.hung))
                elif request.deaths == MOST_DEATHS:
                    why = f"{MOST_DEATHS} worker processes died of it, the last {ended}"
                    error = WorkerLost(f"{request.what} was given up: {why}")
                    request.answer.set_exception(error)
                else:
                    self._waiting.appendleft(request)
            self._dispatch()

    def _dispatch(self) -> None:
        """Sends waiting requests to idle workers, then one each to busy ones if it may go ahead.

        The caller holds the lock.
        """
        for depth in (0, 1):
            for worker in self._workers:
                if not self._waiting or (depth and not self._waiting[0].ahead):
                    return
                if worker.ready and len(worker.sent) == depth:
                    worker.send(self._waiting.popleft())

    def _fail(self, error: Exception) -> None:
        """Stops everything: from now on every answer is this error."""
        with self._lock:
            if self._failure is not None or self._closed:
                return
            self._failure = error
            for request in self._unanswered():
                request.answer.set_exception(error)
            if not self._loaded.done():
                self._loaded.set_exception(error)
            self._kill()

    def _unanswered(self) -> list[Request]:
        """All unanswered requests. The caller holds the lock."""
        sent = [request for worker in self._workers if worker.ready for request in worker.sent]
        return [request for request in (*self._waiting, *sent) if not request.answer.cancelled()]

    def _kill(self) -> None:
        for worker in self._workers:
            if worker.process is not None:
                worker.process.kill()

    # --- workers that give no sign of life ---

    def _watch(self, worker: Place) -> None:
        """Tells the user if a worker has been silent for long, and kills it if for too long."""
        with self._lock:
            if not worker.sent or worker.hung or self._closed or self._failure is not None:
                return
            request, silent = worker.sent[0], time.monotonic() - worker.heard
            limit = self._patience.limit((*request.asked, worker.task))
            if not worker.runs:
                limit = max(limit, self._patience.start)
            what = at(request, worker) if worker.ready else loading(worker)
            if silent > limit:
                worker.hung = silent
                is_last = request.hangs + 1 == MOST_HANGS
                then = "" if is_last else "; it is tried once more"
                self._say(f"{what} hangs: no sign of life for {silent:.0f} s{then}")
                assert worker.process is not None
                worker.process.kill()
            elif silent > worker.quiet:
                worker.quiet = 2 * silent
                self._say(f"{what}: no sign of life for {silent:.0f} s; it gets {limit:.0f} s")

    def _hung(self, request: Request, worker: Place, seconds: float) -> WorkerHung:
        """The error for a request, or a start, on which `MOST_HANGS` workers hung."""
        what = at(request, worker) if request.line else request.what
        return WorkerHung(
            f"{what} was given up: {MOST_HANGS} workers gave no sign of life for {seconds:.0f} s;"
            f" if it is merely slow, set {VARIABLE} to more than {self._patience.least:g} seconds",
            worker.task,
        )

    def _give_up(self, request: Request, error: WorkerHung) -> None:
        if request.on_hang is None:
            request.answer.set_exception(error)
        else:
            self._say(f"{request.what} counts as diverged")
            request.answer.set_result(request.on_hang(error))


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data).encode() + b"\n"
