"""Jobs: a rule to be trained on a task by a worker, with every result stored.

`Results` is looked up first, so that a resumed run never repeats a training run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from ...dsl.algebra.canonical import program_digest
from ...dsl.program import Program
from ...dsl.syntax import format_program, parse
from ...evaluators.fidelity import Fidelity
from ...evaluators.scores.evaluate import score_from_json, score_to_json
from ...evaluators.scores.scoring import TaskScore, failed_score
from .base import Executor

T = TypeVar("T")
Key = tuple[str, str, int, str, str]  # digest, task, version, fidelity, path

# The failure that is recorded for a rule on which workers hang.
HUNG = "hung"


class Results(Protocol):
    """Where training results are kept: the ledger, or `Memory`."""

    def result(self, digest: str, task: str, version: int, fidelity: str, path: str) -> str | None:
        """A stored result, or None."""
        ...

    def record(self, results: Iterable[tuple[str, str, int, str, str, str]]) -> None:
        """Stores results: digest, task, version, fidelity, path and scores of each."""
        ...

    def note_hung(self, what: str, task: str) -> None:
        """Stores that workers hung on `what` (a rule or a candidate, in words) on a task."""
        ...


class Memory:
    """Results kept in memory, for training that belongs to no run."""

    def __init__(self) -> None:
        self._results: dict[Key, str] = {}

    def result(self, *key: Any) -> str | None:
        return self._results.get(key)

    def record(self, results: Iterable[tuple[str, str, int, str, str, str]]) -> None:
        self._results |= {(*key,): score for *key, score in results}  # type: ignore[misc]

    def note_hung(self, what: str, task: str) -> None:
        """Not stored: nothing reads it."""


@dataclass(frozen=True)
class Job:
    """One rule to be trained on one task.

    Attributes:
      path: name of the backend that trains.
      shared: whether the score is cached for all runs of this user; for rules that are the same in
        every run.
      hyperparameters: by name, one value per learning rate of the grid, which is then not widened.
        Hyperparameters that are not named keep their defaults.
    """

    program: Program
    task: str
    fidelity: Fidelity
    path: str
    shared: bool = False
    hyperparameters: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def trial(self) -> str:
        """The key, as text, of all that the score depends on besides rule, task and backend."""
        return trial_text(self.fidelity, self.hyperparameters)

    def plain(self) -> dict[str, Any]:
        """The job as data that JSON can hold; `job_from_plain` reads it back."""
        return {
            **vars(self),
            "program": format_program(self.program),
            "fidelity": vars(self.fidelity),
        }


def job_from_plain(job: Mapping[str, Any]) -> Job:
    """The inverse of `Job.plain`."""
    return Job(
        **{
            **job,
            "program": parse(job["program"]),
            "fidelity": fidelity_from_plain(job["fidelity"]),
        }
    )


def trial_text(
    fidelity: Fidelity, hyperparameters: Mapping[str, Sequence[float]] | None = None
) -> str:
    """Fidelity and hyperparameters as text: part of the key of a stored result."""
    values = {"hyperparameters": hyperparameters} if hyperparameters else {}
    return json.dumps(fidelity.plain() | values)


def fidelity_from_plain(data: Mapping[str, Any]) -> Fidelity:
    """From JSON, which has lists for tuples."""
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return Fidelity(**values)


def submit(workers: Executor, job: Job, *, essential: bool = False) -> Future[str]:
    """Has a worker run a job.

    Args:
      essential: whether the search cannot continue without the score, as with a baseline's. If
        false, a rule on which workers hang counts as diverged.

    Returns:
      A future of the score as text.
    """
    request = {"do": "score", "job": job.plain()}
    what = f"{job.program.name} on {job.task}"
    on_hang = None if essential else lambda hung: hung_score(job.task, job.fidelity)
    return workers.submit(request, what, on_hang=on_hang)


def hung_score(task: str, fidelity: Fidelity) -> str:
    """The score, as text, of a rule on which workers hang."""
    return score_to_json(failed_score(task, fidelity.learning_rates, fidelity.seeds, HUNG))


class Stopped(Exception):
    """The user asked to stop; everything that was finished is stored."""


class Trials:
    """Has workers train rules, and stores every result.

    Attributes:
      workers: the executor. results: where scores are stored. should_stop: polled while waiting.
      baseline: the rule that others are compared with; its scores are essential (see `submit`).
    """

    def __init__(
        self,
        workers: Executor,
        results: Results,
        should_stop: Callable[[], bool],
        baseline: Program | None = None,
    ) -> None:
        self.baseline = baseline
        self.workers = workers
        self.should_stop = should_stop
        self.results = results

    def known(self, job: Job) -> str | None:
        """The stored score as text, or None."""
        return self.results.result(*self._key(job))

    def keep(self, job: Job, score: str) -> None:
        """Stores a score."""
        self.results.record([(*self._key(job), score)])

    def _key(self, job: Job) -> Key:
        version = self.workers.versions()[job.task]
        return program_digest(job.program), job.task, version, job.trial, job.path

    def trial(self, task: str, fidelity: Fidelity, path: str) -> tuple[str, int, str, str]:
        """The key of a stored result without the rule: task, version, fidelity, path."""
        return task, self.workers.versions()[task], trial_text(fidelity), path

    def result(self, future: Future[T], waiting: Callable[[], None] = lambda: None) -> T:
        """Waits for a worker's answer; `waiting` is called about twice a second meanwhile.

        Raises:
          Stopped: when asked to stop.
          UserError, RuntimeError: see `Executor.submit`.
        """
        while not future.done():
            if self.should_stop():
                raise Stopped
            waiting()
            wait([future], timeout=0.5)
        if self.should_stop():
            raise Stopped
        return future.result()

    def run(
        self, jobs: Sequence[Job], done: Callable[[int], None] = lambda count: None
    ) -> list[TaskScore]:
        """Scores all jobs, several at a time, in order.

        Args:
          jobs: what to train; stored results are not trained again.
          done: called about twice a second with the number of finished jobs.

        Raises:
          Stopped: when asked to stop; the finished results are stored.
          UserError, RuntimeError: see `Executor.submit`.
        """
        keys = [self._key(job) for job in jobs]
        scores: dict[Key, str] = {}
        started: dict[Key, Future[str]] = {}
        names = {key: job.program.name for key, job in zip(keys, jobs, strict=True)}
        for key, job in zip(keys, jobs, strict=True):
            if key not in scores and key not in started:
                if (known := self.results.result(*key)) is not None:
                    scores[key] = known
                else:
                    essential = job.program == self.baseline and not job.hyperparameters
                    started[key] = submit(self.workers, job, essential=essential)
        try:
            for key, future in started.items():
                scores[key] = self.result(
                    future, lambda: done(len(jobs) - sum(not f.done() for f in started.values()))
                )
                self.results.record([(*key, scores[key])])
                if score_from_json(scores[key]).failure == HUNG:
                    self.results.note_hung(names[key], key[1])
        except Stopped:
            self.results.record((*key, f.result()) for key, f in started.items() if succeeded(f))
            raise
        return [score_from_json(scores[key]) for key in keys]


def succeeded(future: Future[Any]) -> bool:
    """Whether a future is done and holds a result."""
    return future.done() and not future.cancelled() and future.exception() is None
