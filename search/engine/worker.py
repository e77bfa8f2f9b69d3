"""A worker process: answers requests, a line of JSON each, until its input ends.

    {"do": "load", "tasks": [...]}  -> {task: [version, tier]}
    {"do": "backend"}               -> what JAX trains on, as in "cpu"
    {"do": "score", "job": {...}}   -> a score as text; see `Job.plain`
    {"do": "candidate", ...}        -> see `train_candidate`
    {"do": "distill", ...}          -> see `Strands.turn`
    {"do": "points", ...}           -> see `train_points`

An answer is {"value": ..., "seconds": what it took, "pieces": {task: seconds of its longest}}; in
place of a value it has "mistake", the user's, in a sentence, or "error", any other, and with either
its "traceback". Before an answer come signs of life, {"at": task}, one each second in which a piece
was finished; see `patience`.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import signal
import threading
import time
import traceback
from queue import SimpleQueue
from typing import IO, Any

from ...dsl.devices import devices
from ...dsl.errors import UserError
from ...evaluators.cache import ScoreStore, enable_compilation_cache
from ...evaluators.evaluate import Evaluator, score_to_json
from ...evaluators.hurdles import Hurdle
from ...evaluators.scoring import TaskScore
from ...evaluators.switches import firm_switches
from ...evaluators.task import Task, blamed_on_task, load_task_file
from ...evaluators.tasks import get_task, list_tasks
from ..execution.jobs import Job, job_from_plain
from ..selection.funnel import train_candidate
from ..selection.tuning.points import train_points
from ..strategies.distillation.strand import Strands

# Seconds between two signs of life, at least.
BEAT = 1.0


def main() -> None:
    """Runs the process, which `WorkerProcess` starts. Never returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answers = _pipes()
    if os.environ.get("EVOPTAX_DEBUG", "") in ("", "0"):
        # It writes the traceback of what a task raises; the sentence comes from here.
        logging.getLogger("jax").setLevel(logging.CRITICAL)
    received: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_receive, args=[requests, received], daemon=True).start()
    line = _Line(answers)
    worker = _Worker(line)
    line.write({"at": ""})
    with firm_switches():
        while True:
            request = json.loads(received.get())
            line.write(worker.answer(request))


def _pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Where requests come from and answers go to, out of the reach of tasks.

    What a task prints must not end up among the answers, nor must it read requests. What it forks
    must not hold the pipes, or nobody would see that this process has ended.
    """
    pipes = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)

    def close() -> None:
        for pipe in pipes:
            os.close(pipe)

    os.register_at_fork(after_in_child=close)
    return os.fdopen(pipes[0], "rb"), os.fdopen(pipes[1], "wb")


def _receive(requests: IO[bytes], received: SimpleQueue[bytes]) -> None:
    """Passes requests on. When they end, whoever sent them is gone: end too, whatever runs."""
    for line in requests:
        received.put(line)
    _end()


def _end() -> None:
    """Ends this process, and what tasks have started."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


class _Line:
    """The way back. Two threads write to it."""

    def __init__(self, answers: IO[bytes]) -> None:
        self._answers, self._lock = answers, threading.Lock()

    def write(self, message: dict[str, Any]) -> None:
        with self._lock:
            try:
                self._answers.write(json.dumps(message).encode() + b"\n")
                self._answers.flush()
            except OSError:
                _end()


class _Worker:
    """Answers requests, and keeps what is compiled for each task."""

    def __init__(self, line: _Line) -> None:
        self._evaluators: dict[str, Evaluator] = {}
        self._strands = Strands(self._piece)
        self._line = line
        self._task = ""  # that it is at
        self._count = 0  # of pieces
        self._since = 0.0  # when the piece that it is at was begun
        self._longest: dict[str, float] = {}
        self._busy = False
        threading.Thread(target=self._beat, daemon=True).start()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answers a request."""
        started = self._since = time.perf_counter()
        self._task, self._longest, self._busy = "", {}, True
        answer: dict[str, Any] = {}
        try:
            match request.pop("do"):
                case "load":
                    answer["value"] = self._load(**request)
                case "backend":
                    answer["value"] = devices()[0].platform
                case "score":
                    answer["value"] = score_to_json(self._score(job_from_plain(**request)))
                case "distill":
                    answer["value"] = self._strands.turn(**request)
                case "candidate":
                    answer["value"] = train_candidate(score=self._score, **request)
                case "points":
                    trainer = self._evaluator(request["task"]).trainers[request.pop("task")]
                    answer["value"] = train_points(trainer, **request)
        except Exception as error:
            answer |= self._failure(error)
        self._piece()
        self._busy = False
        seconds = time.perf_counter() - started
        return {**answer, "seconds": seconds, "pieces": self._longest}

    def _failure(self, error: Exception) -> dict[str, Any]:
        """Whose mistake it is, in a sentence, and its traceback."""
        text = traceback.format_exc()
        if isinstance(error, UserError):
            return {"mistake": str(error), "traceback": text}
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            what = f"task '{self._task}' needs more memory than there is; try --workers 1"
            return {"mistake": what, "traceback": text}
        if ":" in self._task and (blamed := blamed_on_task(self._task, error)):
            return {"mistake": blamed, "traceback": text}
        return {"error": traceback.format_exception_only(error)[0].strip(), "traceback": text}

    # --- signs of life ---

    def _turn_to(self, task: str) -> None:
        self._piece()
        self._task = task

    def _piece(self) -> None:
        """Notes that a piece of training has ended."""
        now = time.perf_counter()
        taken, self._since = now - self._since, now
        self._longest[self._task] = max(taken, self._longest.get(self._task, 0.0))
        self._count += 1

    def _beat(self) -> None:
        said = 0
        while True:
            time.sleep(BEAT)
            if self._busy and self._count != said:
                said = self._count
                self._line.write({"at": self._task})

    # --- answers ---

    def _evaluator(self, task: str) -> Evaluator:
        self._turn_to(task)
        if task not in self._evaluators:
            tasks = {task: _task(task)}
            self._evaluators[task] = Evaluator(tasks, ScoreStore(), progress=self._piece)
        return self._evaluators[task]

    def _score(self, job: Job, hurdle: Hurdle | None = None) -> TaskScore:
        evaluator = self._evaluator(job.task)
        if job.shared:
            return evaluator.cached_score(job.program, job.task, job.fidelity, job.path)
        return evaluator.score(job.program, job.task, job.fidelity, job.path, hurdle)

    def _load(self, tasks: list[str]) -> dict[str, tuple[int, str]]:
        """Version and tier of each task. The user's are run, so that mistakes show at once."""
        enable_compilation_cache()
        if tasks:
            devices()
        builtin = {info.name: info for info in list_tasks()}
        found = {}
        for name in tasks:
            self._turn_to(name)
            task = builtin.get(name) or _task(name)
            found[name] = task.version, task.tier
        return found


@functools.cache
def _task(name: str) -> Task:
    return load_task_file(name) if ":" in name else get_task(name)
