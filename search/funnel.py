"""The funnel: many cheap trials, few thorough ones, and an independent path for the winner.

screen → proxy (during evolution) → validation (chooses a finalist) → confirmation (fused path,
fresh seeds) → target (the final comparison, by which nothing is chosen). Training results pass
through `Results`, so that a resumed run never trains what it has trained before.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from typing import Protocol, TypeVar

from ..dsl.canonical import program_digest
from ..dsl.program import Program
from ..evaluators.evaluate import Evaluator, Fidelity, Path, score_from_json, score_to_json
from ..evaluators.scoring import LEARNING_RATES, TaskScore, fitness
from .config import SearchConfig, Stage

T = TypeVar("T")

# A candidate that fails the screen ranks behind one that passed and did this much worse.
UNPROMOTED_PENALTY = 0.5
# The evolution's seeds start at 0, those of validation here.
VALIDATION_SEED = 1_000
# Seeds of confirmation and final comparison, which no selection has seen.
FRESH_SEED = 10_000


class Results(Protocol):
    """Where training results are kept (the ledger)."""

    def result(self, digest: str, task: str, version: int, fidelity: str, path: str) -> str | None:
        """A stored result, or None."""
        ...

    def record(
        self, digest: str, task: str, version: int, fidelity: str, path: str, scores: str
    ) -> None:
        """Stores a result."""
        ...


def fidelity(stage: Stage, first_seed: int = 0) -> Fidelity:
    """The learning rates and seeds of a stage."""
    rates = stage.learning_rates or LEARNING_RATES
    return Fidelity(rates, tuple(range(first_seed, first_seed + stage.seeds)))


@dataclass(frozen=True)
class Job:
    """One rule to be trained on one task."""

    program: Program
    task: str
    fidelity: Fidelity
    path: Path

    @property
    def arguments(self) -> tuple[Program, str, Fidelity, Path]:
        """What `Evaluator.score` takes."""
        return self.program, self.task, self.fidelity, self.path


class Stopped(Exception):
    """The user asked to stop; everything that was finished is stored."""


@dataclass(frozen=True)
class Workers:
    """Threads that train, and how to wait for them.

    Attributes:
      pool: the threads. JAX releases Python's lock while it computes.
      should_stop: asked while waiting.
    """

    pool: ThreadPoolExecutor
    should_stop: Callable[[], bool]

    def result(self, future: Future[T], waiting: Callable[[], None] = lambda: None) -> T:
        """A future's result; `waiting` is called now and then until it is there.

        Raises:
          Stopped: when asked to stop before.
        """
        while not future.done():
            if self.should_stop():
                raise Stopped
            waiting()
            wait([future], timeout=0.5)
        if self.should_stop():
            raise Stopped
        return future.result()


class Trials:
    """Trains rules through workers, with every result kept."""

    def __init__(self, evaluator: Evaluator, results: Results, workers: Workers) -> None:
        self.evaluator = evaluator
        self.workers = workers
        self._results = results

    def known(self, job: Job) -> TaskScore | None:
        """The score, if this run has it already."""
        text = self._results.result(*self._key(job))
        return None if text is None else score_from_json(text)

    def keep(self, job: Job, score: TaskScore) -> None:
        """Stores a score."""
        self._results.record(*self._key(job), score_to_json(score))

    def _key(self, job: Job) -> tuple[str, str, int, str, str]:
        version = self.evaluator.trainers[job.task].task.version
        fidelity = json.dumps(asdict(job.fidelity))
        return program_digest(job.program), job.task, version, fidelity, job.path

    def run(self, jobs: Sequence[Job], *, cached: bool = False) -> list[TaskScore]:
        """Scores all jobs, several at a time, in order.

        Args:
          jobs: what to train.
          cached: whether scores may come from, and go to, the evaluator's cache between runs.

        Raises:
          Stopped: when asked to stop; what was finished is kept.
        """
        train = self.evaluator.cached_score if cached else self.evaluator.score
        started: dict[int, Future[TaskScore]] = {}
        scores = {i: known for i, job in enumerate(jobs) if (known := self.known(job)) is not None}
        for i, job in enumerate(jobs):
            if i not in scores:
                started[i] = self.workers.pool.submit(train, *job.arguments)
        for i, future in started.items():
            scores[i] = self.workers.result(future)
            self.keep(jobs[i], scores[i])
        return [scores[i] for i in range(len(jobs))]


@dataclass(frozen=True)
class Trained:
    """What training a candidate gave: its fitness and all its scores."""

    fitness: float
    scores: tuple[tuple[Job, TaskScore], ...]


class CandidateTrainer:
    """Screen, then proxies for those that pass. Safe to call from several threads."""

    def __init__(
        self,
        evaluator: Evaluator,
        config: SearchConfig,
        baselines: Mapping[str, TaskScore],
    ) -> None:
        self._evaluator = evaluator
        self._funnel = config.funnel
        self._baselines = baselines

    def jobs(self, program: Program) -> tuple[list[Job], list[Job]]:
        """The jobs of the screen and of the proxy stage."""
        stages = (self._funnel.screen, self._funnel.proxy)
        screen, proxy = ([*jobs_of(program, stage, "machine")] for stage in stages)
        return screen, proxy

    def train(self, program: Program, known: Mapping[str, TaskScore]) -> Trained:
        """Trains a candidate.

        Args:
          program: the candidate.
          known: scores by task that need not be computed again.
        """
        scores: dict[str, TaskScore] = {}
        found: list[tuple[Job, TaskScore]] = []

        def score(jobs: Iterable[Job]) -> float:
            for job in jobs:
                if job.task not in known:
                    found.append((job, self._evaluator.score(*job.arguments)))
                value = known[job.task] if job.task in known else found[-1][1]
                scores[job.task] = value
                if value.diverged:
                    return math.inf
            return fitness(scores, self._baselines)

        screen, proxy = self.jobs(program)
        value = score(screen)
        if value > self._funnel.promote_within:
            return Trained(value + UNPROMOTED_PENALTY, tuple(found))
        return Trained(score(proxy), tuple(found))


def jobs_of(program: Program, stage: Stage, path: Path, first_seed: int = 0) -> Iterable[Job]:
    """The jobs of one rule in one stage."""
    for task in stage.tasks:
        yield Job(program, task, fidelity(stage, first_seed), path)
