"""The funnel: many cheap trials, few thorough ones, and an independent path for the winner.

screen → proxy (during evolution) → validation (chooses a finalist) → confirmation (fused path,
fresh seeds) → target (the final comparison, by which nothing is chosen). Workers train; results
pass through `Results`, so that a resumed run never trains what it has trained before.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, TypeVar

from ..dsl.canonical import program_digest
from ..dsl.program import Program
from ..dsl.syntax import format_program, parse
from ..evaluators.evaluate import Fidelity, Path, score_from_json, score_to_json
from ..evaluators.hurdles import Hurdle, log_ratio_when_stopped
from ..evaluators.scoring import LEARNING_RATES, TaskScore, fitness
from .config import SearchConfig, Stage
from .evolution import Proposal
from .workers import Workers

T = TypeVar("T")
Key = tuple[str, str, int, str, str]  # digest, task, version, fidelity, path

# A candidate that fails the screen or a hurdle ranks behind one that passed and did this much
# worse.
UNPROMOTED_PENALTY = 0.5
# How many times during a candidate's training run it is compared with the baseline. At the first
# fifth, 0.4 behind, two thirds of a search's candidates were stopped, and none of those that would
# have ended level with tuned AdamW or better (benchmarks/hurdles.py).
CHECKPOINTS = 5
# The evolution's seeds start at 0, those of validation here.
VALIDATION_SEED = 1_000
# Seeds of confirmation and final comparison, which no selection has seen.
FRESH_SEED = 10_000


class Results(Protocol):
    """Where training results are kept (the ledger)."""

    def result(self, digest: str, task: str, version: int, fidelity: str, path: str) -> str | None:
        """A stored result, or None."""
        ...

    def record(self, results: Iterable[tuple[str, str, int, str, str, str]]) -> None:
        """Stores results: digest, task, version, fidelity, path and scores of each."""
        ...


def fidelity(stage: Stage, first_seed: int = 0, checkpoints: int = 1) -> Fidelity:
    """The learning rates and seeds of a stage."""
    rates = stage.learning_rates or LEARNING_RATES
    seeds = tuple(range(first_seed, first_seed + stage.seeds))
    return Fidelity(rates, seeds, checkpoints=checkpoints)


@dataclass(frozen=True)
class Job:
    """One rule to be trained on one task.

    Attributes:
      shared: whether the score may come from, and go to, the user's cache between runs; for rules
        that are the same in every run.
    """

    program: Program
    task: str
    fidelity: Fidelity
    path: Path
    shared: bool = False

    def plain(self) -> dict[str, Any]:
        """The job as data that JSON can hold; `job_from_plain` reads it back."""
        return {
            **vars(self),
            "program": format_program(self.program),
            "fidelity": vars(self.fidelity),
        }


def job_from_plain(job: Mapping[str, Any]) -> Job:
    """The inverse of `Job.plain`."""
    return Job(**{**job, "program": parse(job["program"]), "fidelity": _fidelity(job["fidelity"])})


def _fidelity(data: Mapping[str, Any]) -> Fidelity:
    """From JSON, which has lists for tuples."""
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return Fidelity(**values)


def submit(workers: Workers, job: Job) -> Future[str]:
    """Has a worker train; the score comes as text."""
    request = {"do": "score", "job": job.plain()}
    return workers.submit(request, f"{job.program.name} on {job.task}")


def jobs_of(
    program: Program,
    stage: Stage,
    path: Path,
    first_seed: int = 0,
    *,
    checkpoints: int = 1,
    shared: bool = False,
) -> list[Job]:
    """The jobs of one rule in one stage."""
    tried = fidelity(stage, first_seed, checkpoints)
    return [Job(program, task, tried, path, shared) for task in stage.tasks]


class Stopped(Exception):
    """The user asked to stop; everything that was finished is stored."""


class Trials:
    """Has workers train rules, and keeps every result.

    Attributes:
      workers: who train. results: where scores are kept. should_stop: asked while waiting.
    """

    def __init__(self, workers: Workers, results: Results, should_stop: Callable[[], bool]) -> None:
        self.workers = workers
        self.should_stop = should_stop
        self.results = results

    def known(self, job: Job) -> str | None:
        """The score as text, if this run has it already."""
        return self.results.result(*self._key(job))

    def keep(self, job: Job, score: str) -> None:
        """Stores a score."""
        self.results.record([(*self._key(job), score)])

    def _key(self, job: Job) -> Key:
        return program_digest(job.program), *self.trial(job.task, job.fidelity, job.path)

    def trial(self, task: str, fidelity: Fidelity, path: Path) -> tuple[str, int, str, str]:
        """What a result depends on besides the rule."""
        return task, self.workers.versions()[task], json.dumps(asdict(fidelity)), path

    def result(self, future: Future[T], waiting: Callable[[], None] = lambda: None) -> T:
        """What a worker answered; `waiting` is called now and then until it is there.

        Raises:
          Stopped: when asked to stop before.
          UserError, RuntimeError: see `Workers.submit`.
        """
        while not future.done():
            if self.should_stop():
                raise Stopped
            waiting()
            wait([future], timeout=0.5)
        if self.should_stop():
            raise Stopped
        return future.result()

    def run(self, jobs: Sequence[Job]) -> list[TaskScore]:
        """Scores all jobs, several at a time, in order.

        Raises:
          Stopped: when asked to stop; what was finished is kept.
          UserError, RuntimeError: see `Workers.submit`.
        """
        keys = [self._key(job) for job in jobs]
        scores: dict[Key, str] = {}
        started: dict[Key, Future[str]] = {}
        for key, job in zip(keys, jobs, strict=True):
            if key not in scores and key not in started:
                if (known := self.results.result(*key)) is not None:
                    scores[key] = known
                else:
                    started[key] = submit(self.workers, job)
        try:
            for key, future in started.items():
                scores[key] = self.result(future)
                self.results.record([(*key, scores[key])])
        except Stopped:
            self.results.record((*key, f.result()) for key, f in started.items() if succeeded(f))
            raise
        return [score_from_json(scores[key]) for key in keys]


def succeeded(future: Future[Any]) -> bool:
    """Whether there is a result already."""
    return future.done() and not future.cancelled() and future.exception() is None


class CandidateTrainer:
    """Screen, then proxies for those that pass; a worker does both in one go."""

    def __init__(self, trials: Trials, config: SearchConfig, baselines: Mapping[str, str]) -> None:
        self._trials = trials
        stages = [
            [(task, fidelity(stage, checkpoints=CHECKPOINTS)) for task in stage.tasks]
            for stage in (config.funnel.screen, config.funnel.proxy)
        ]
        self._keys = {
            task: trials.trial(task, f, "machine") for stage in stages for task, f in stage
        }
        # What is the same for every candidate.
        self._request = {
            "do": "candidate",
            "stages": [[(task, vars(f)) for task, f in stage] for stage in stages],
            "promote_within": config.funnel.promote_within,
            "hurdle": config.funnel.hurdle,
            "baselines": baselines,
        }

    def start(self, candidate: Proposal, *, is_new: bool) -> Future[dict[str, Any]]:
        """Has a worker train a candidate.

        Args:
          candidate: to be trained.
          is_new: whether no earlier session can have trained it on any task.

        Returns:
          What `train_candidate` returns.
        """
        known = {}
        for task, key in self._keys.items() if not is_new else ():
            if (score := self._trials.results.result(candidate.digest, *key)) is not None:
                known[task] = score
        request = {**self._request, "program": format_program(candidate.program), "known": known}
        what = f"candidate {candidate.ordinal}"
        return self._trials.workers.submit(request, what, ahead=True)

    def keep(self, trained: Iterable[tuple[Proposal, Mapping[str, Any]]]) -> None:
        """Stores the new scores of candidates, given with what `train_candidate` returned."""
        self._trials.results.record(
            (candidate.digest, *self._keys[task], score)
            for candidate, answer in trained
            for task, score in answer["scores"].items()
        )


def train_candidate(
    program: str,
    stages: Sequence[Sequence[tuple[str, dict[str, Any]]]],
    promote_within: float,
    hurdle: float,
    baselines: Mapping[str, str],
    known: Mapping[str, str],
    score: Callable[[Job, Hurdle], TaskScore],
) -> dict[str, Any]:
    """Trains a candidate. This is what a worker runs, so all but `score` is plain data.

    Args:
      program: the candidate's text.
      stages: screen and proxy: tasks, each with its fidelity.
      promote_within, hurdle: see `Funnel`.
      baselines: by task, the baseline's score. known: those of the candidate's that are known.
      score: trains one job, unless a hurdle stops it.

    Returns:
      "fitness", and by task the "scores" that were not known.
    """
    parsed = parse(program)
    base = {task: score_from_json(text) for task, text in baselines.items()}
    scores: dict[str, TaskScore] = {}
    new: dict[str, str] = {}

    def climb(stage: Sequence[tuple[str, dict[str, Any]]]) -> tuple[float, bool]:
        """Fitness so far, and whether no hurdle was in the way."""
        for task, tried in stage:
            if task in known:
                found = score_from_json(known[task])
            else:
                job = Job(parsed, task, _fidelity(tried), "machine")
                # Nobody looks at a candidate's curve again.
                found = replace(score(job, Hurdle(base[task], hurdle)), curve=(), curve_steps=())
                new[task] = score_to_json(found)
            scores[task] = found
            if found.diverged:
                return math.inf, False
            if found.stopped_at is not None:
                return log_ratio_when_stopped(found, base[task]), False
        return fitness(scores, base), True

    screen, proxy = stages
    value, passed = climb(screen)
    if passed and value <= promote_within:
        value, passed = climb(proxy)
    else:
        passed = False
    return {"fitness": value if passed else value + UNPROMOTED_PENALTY, "scores": new}
