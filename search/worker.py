"""A worker process: answers requests, a line of JSON each, until its input ends.

    {"do": "load", "tasks": [...]}  -> {task: version}
    {"do": "backend"}               -> what JAX trains on, as in "cpu"
    {"do": "score", "job": {...}}   -> a score as text; see `Job.plain`
    {"do": "candidate", ...}        -> see `train_candidate`
    {"do": "distill", ...}          -> see `Strands.turn`
    {"do": "points", ...}           -> see `train_points`

An answer is {"value": ..., "seconds": what it took}; in place of a value it has "mistake", the
user's, in a sentence, or "error", any other, with its traceback.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import threading
import time
import traceback
from queue import SimpleQueue
from typing import IO, Any

from ..dsl.errors import UserError
from ..evaluators.cache import ScoreStore, enable_compilation_cache
from ..evaluators.evaluate import Evaluator, score_to_json
from ..evaluators.hurdles import Hurdle
from ..evaluators.scoring import TaskScore
from ..evaluators.task import Task, load_task_file
from ..evaluators.tasks import get_task, list_tasks
from .distillation.strand import Strands
from .funnel import train_candidate
from .jobs import Job, job_from_plain
from .tuning.points import train_points


def main() -> None:
    """Runs the process, which `Workers` starts. Never returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a task prints must not end up among the answers.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    received: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_receive, args=[requests, received], daemon=True).start()
    worker = _Worker()
    while True:
        line = json.dumps(worker.answer(json.loads(received.get()))).encode() + b"\n"
        try:
            answers.write(line)
            answers.flush()
        except OSError:
            os._exit(0)


def _receive(requests: IO[bytes], received: SimpleQueue[bytes]) -> None:
    """Passes requests on. When they end, whoever sent them is gone: end too, whatever runs."""
    for line in requests:
        received.put(line)
    os._exit(0)


class _Worker:
    """Answers requests, and keeps what is compiled for each task."""

    def __init__(self) -> None:
        self._evaluators: dict[str, Evaluator] = {}
        self._strands = Strands()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answers a request."""
        started = time.perf_counter()
        answer: dict[str, Any] = {}
        try:
            match request.pop("do"):
                case "load":
                    answer["value"] = _versions(**request)
                case "backend":
                    answer["value"] = _backend()
                case "score":
                    answer["value"] = score_to_json(self._score(job_from_plain(**request)))
                case "distill":
                    answer["value"] = self._strands.turn(**request)
                case "candidate":
                    answer["value"] = train_candidate(score=self._score, **request)
                case "points":
                    trainer = self._evaluator(request["task"]).trainers[request.pop("task")]
                    answer["value"] = train_points(trainer, **request)
        except UserError as error:
            answer["mistake"] = str(error)
        except Exception:
            answer["error"] = traceback.format_exc()
        return {**answer, "seconds": time.perf_counter() - started}

    def _evaluator(self, task: str) -> Evaluator:
        if task not in self._evaluators:
            self._evaluators[task] = Evaluator({task: _task(task)}, ScoreStore())
        return self._evaluators[task]

    def _score(self, job: Job, hurdle: Hurdle | None = None) -> TaskScore:
        evaluator = self._evaluator(job.task)
        if job.shared:
            return evaluator.cached_score(job.program, job.task, job.fidelity, job.path)
        return evaluator.score(job.program, job.task, job.fidelity, job.path, hurdle)


def _versions(tasks: list[str]) -> dict[str, int]:
    """The version of each task. The user's tasks are run, so that a mistake shows at once."""
    enable_compilation_cache()
    builtin = {info.name: info.version for info in list_tasks()}
    return {name: builtin[name] if name in builtin else _task(name).version for name in tasks}


def _backend() -> str:
    import jax

    return jax.default_backend()


@functools.cache
def _task(name: str) -> Task:
    return load_task_file(name) if ":" in name else get_task(name)
