"""Answers to requests, in the process that trains.

    {"do": "load", "tasks": [...]}  -> {task: [version, tier]}
    {"do": "backend"}               -> what JAX trains on, as in "cpu"
    {"do": "score", "job": {...}}   -> a score as text; see `Job.plain`
    {"do": "candidate", ...}        -> see `train_candidate`
    {"do": "question", "strategy": name, ...} -> see that strategy's `answerer`

An answer is {"value": ..., "seconds": time taken, "pieces": {task: seconds of its longest piece}}.
If it failed, "value" is replaced by "mistake" (the user's, in a sentence) or "error" (any other),
and "traceback".
"""

from __future__ import annotations

import functools
import math
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from ...dsl.devices import devices
from ...dsl.errors import UserError
from ...dsl.syntax import parse
from ...evaluators.cache import ScoreStore, enable_compilation_cache
from ...evaluators.scores.cost import step_cost
from ...evaluators.scores.early_stopping import EarlyStopping
from ...evaluators.scores.evaluate import Evaluator, score_to_json
from ...evaluators.scores.scoring import TaskScore
from ...evaluators.task import Task, blamed_on_task, load_task_file
from ...evaluators.task_names import is_own, split_scale
from ...evaluators.tasks import get_task, longer, task_info, tier_of
from ...evaluators.tasks.given import given
from ..execution.jobs import Job, job_from_plain
from ..selection.funnel import train_candidate
from ..strategies.base import Asking, strategy


class Answers:
    """Answers requests, and keeps the compiled code of each task.

    Attributes:
      busy: whether a request is being answered. task: the task it is on.
      pieces: the number of finished pieces of training; while it grows, the process does not hang.
    """

    def __init__(self) -> None:
        self.busy, self.task, self.pieces = False, "", 0
        self._evaluators: dict[str, Evaluator] = {}
        self._answerers: dict[str, Callable[..., Any]] = {}  # by strategy
        self._since = 0.0  # start time of the current piece of training
        self._longest: dict[str, float] = {}

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """A message with the answer or the error."""
        started = self._since = time.perf_counter()
        self.task, self._longest, self.busy = "", {}, True
        message: dict[str, Any] = {}
        try:
            message["value"] = self._value(**request)
        except Exception as error:
            message |= self._failure(error)
        self._piece()
        self.busy = False
        seconds = time.perf_counter() - started
        return {**message, "seconds": seconds, "pieces": self._longest}

    def _value(self, do: str, **request: Any) -> Any:
        match do:
            case "load":
                return self._load(**request)
            case "backend":
                return devices()[0].platform
            case "score":
                return score_to_json(self._score(job_from_plain(**request)))
            case "cost":
                return self._cost(**request)
            case "question":
                return self._answerer(request.pop("strategy"))(**request)
            case "candidate":
                return train_candidate(score=self._score, **request)
        raise ValueError(f"nothing answers {do!r}")

    def _answerer(self, name: str) -> Callable[..., Any]:
        if name not in self._answerers:
            found: Asking[Any] = strategy(name)  # type: ignore[assignment]  # it asked
            self._answerers[name] = found.answerer(self._piece)
        return self._answerers[name]

    def _failure(self, error: Exception) -> dict[str, Any]:
        """The error as data: whose mistake it is, in a sentence, and the traceback."""
        text = traceback.format_exc()
        if isinstance(error, UserError):
            return {"mistake": str(error), "traceback": text}
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            what = f"task '{self.task}' needs more memory than there is; try --workers 1"
            return {"mistake": what, "traceback": text}
        if ":" in self.task and (blamed := blamed_on_task(self.task, error)):
            return {"mistake": blamed, "traceback": text}
        return {"error": traceback.format_exception_only(error)[0].strip(), "traceback": text}

    def _turn_to(self, task: str) -> None:
        self._piece()
        self.task = task

    def _piece(self) -> None:
        """Notes that a piece of training has finished."""
        now = time.perf_counter()
        taken, self._since = now - self._since, now
        self._longest[self.task] = max(taken, self._longest.get(self.task, 0.0))
        self.pieces += 1

    def _evaluator(self, task: str) -> Evaluator:
        self._turn_to(task)
        if task not in self._evaluators:
            tasks = {task: _task(task)}
            self._evaluators[task] = Evaluator(tasks, ScoreStore(), progress=self._piece)
        return self._evaluators[task]

    def _score(self, job: Job, early_stopping: EarlyStopping | None = None) -> TaskScore:
        evaluator = self._evaluator(job.task)
        if job.hyperparameters:
            what = (
                job.program,
                job.task,
                job.fidelity,
                job.path,
                early_stopping,
                job.hyperparameters,
            )
            return evaluator.score_on(*what)
        if job.shared:
            return evaluator.cached_score(job.program, job.task, job.fidelity, job.path)
        return evaluator.score(job.program, job.task, job.fidelity, job.path, early_stopping)

    def _cost(self, program: str, tasks: list[str]) -> dict[str, Any]:
        """What a rule costs on the task with most weights."""

        def weights(task: str) -> int:
            return sum(map(math.prod, self._evaluator(task).shapes(task)))

        largest = max(tasks, key=weights)
        return asdict(step_cost(self._evaluator(largest), parse(program), largest))

    def _load(self, tasks: list[str]) -> dict[str, tuple[int, str]]:
        """Version and tier of each task. Tasks of the user are built, so that mistakes show now."""
        enable_compilation_cache()
        if tasks:
            devices()
        found = {}
        for name in tasks:
            self._turn_to(name)
            task = task_info(name) if tier_of(name) else _task(name)
            found[name] = task.version, task.tier
        return found


def _task(name: str) -> Task:
    base, _ = split_scale(name)
    if (found := given(base)) is not None:
        return longer(found, name)
    return _loaded(name)


@functools.cache
def _loaded(name: str) -> Task:
    base, _ = split_scale(name)
    return longer(load_task_file(base), name) if is_own(name) else get_task(name)
