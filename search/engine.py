"""The engine: the edge where the pure search meets workers, clocks, files and signals.

Resume is replay: the evolution is asked and told again from the start, with the ledger's results
in place of training, until it reaches what was never trained.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from ..dsl.program import Program
from ..evaluators.cache import ScoreStore
from ..evaluators.evaluate import Evaluator
from ..evaluators.scoring import TaskScore
from ..evaluators.task import Task
from ..known_algorithms.catalogue import get_known
from . import evolution, ledger
from .config import SearchConfig
from .evolution import Proposal, SearchState, Status
from .finals import decide
from .funnel import CandidateTrainer, Job, Trials, jobs_of
from .ledger import Ledger
from .outcome import Outcome
from .runs import Run


@dataclass(frozen=True)
class Progress:
    """What a run is doing.

    Attributes:
      phase: "compiling", "searching", "validating", "confirming", "comparing".
      detail: what of the phase is done, in words.
      trained, proposed, duplicates, rejected, diverged: numbers of candidates so far.
      best: lowest fitness so far (mean log-ratio to tuned AdamW); None before the first.
      seconds: of this phase. rate: candidates trained per second, replayed ones left out.
      fraction: of the budget used, if there is one.
    """

    phase: str
    detail: str = ""
    trained: int = 0
    proposed: int = 0
    duplicates: int = 0
    rejected: int = 0
    diverged: int = 0
    best: float | None = None
    seconds: float = 0.0
    rate: float = 0.0
    fraction: float | None = None


Report = Callable[[Progress], None]
ShouldStop = Callable[[], bool]


@dataclass
class _Tally:
    """Counts for the progress display."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Status, 0))
    diverged: int = 0
    best: float | None = None
    replayed: int = 0

    def add(self, proposals: tuple[Proposal, ...], fitness: Mapping[int, float]) -> None:
        for proposal in proposals:
            self.counts[proposal.status] += 1
        for value in fitness.values():
            self.diverged += value == float("inf")
            self.best = value if self.best is None else min(self.best, value)


def run_search(
    run: Run,
    config: SearchConfig,
    tasks: Mapping[str, Task],
    *,
    report: Report = lambda progress: None,
    should_stop: ShouldStop = lambda: False,
) -> Outcome | None:
    """Runs or continues a search until its budget is spent, then chooses the best rule.

    Args:
      run: a folder with a ledger.
      config: what the run was started with.
      tasks: every task that the configuration names.
      report: called now and then with progress.
      should_stop: asked between candidates; when true, the run saves and returns None.

    Returns:
      The outcome, or None if it was stopped before there was one.

    Raises:
      UserError: the ledger cannot be continued, or a starter is unknown.
    """
    with closing(ledger.open_to_write(run.ledger_path)) as opened:
        if opened.fact("versions") is None:
            opened.set_fact(
                "versions", {name: version(name) for name in ("evoptax", "jax", "numpy")}
            )
        opened.start_session()
        engine = _Engine(opened, config, tasks, report, should_stop)
        try:
            return engine.run()
        finally:
            engine.close()


class _Engine:
    def __init__(
        self,
        opened: Ledger,
        config: SearchConfig,
        tasks: Mapping[str, Task],
        report: Report,
        should_stop: ShouldStop,
    ) -> None:
        self.ledger = opened
        self.config = config
        self.report = report
        self.should_stop = should_stop
        self.evaluator = Evaluator(tasks, ScoreStore())
        self.workers = ThreadPoolExecutor(config.workers or os.cpu_count() or 1)
        self.trials = Trials(self.evaluator, opened, self.workers.submit)
        self.earlier_seconds = opened.seconds()
        self.tally = _Tally()

    def close(self) -> None:
        # Workers never touch the ledger, so that a stopped run need not wait for them.
        self.workers.shutdown(wait=not self.should_stop(), cancel_futures=True)

    def run(self) -> Outcome | None:
        baselines = self._baselines()
        if baselines is None:
            return None
        state = self._evolve(CandidateTrainer(self.evaluator, self.config, baselines))
        if state is None:
            return None
        return decide(
            self.config,
            self.ledger,
            self.trials,
            lambda phase, detail: self.report(self._progress(phase, detail)),
            self.should_stop,
        )

    def _baselines(self) -> dict[str, TaskScore] | None:
        """Scores the baseline on all proxies, which also compiles their machines.

        None when stopped.
        """
        started = time.monotonic()
        program = get_known(self.config.baseline).program
        funnel = self.config.funnel
        jobs = [
            j for stage in (funnel.screen, funnel.proxy) for j in jobs_of(program, stage, "machine")
        ]
        left = [job.task for job in jobs]

        def show() -> None:
            detail = f"the training loops of {', '.join(left)}" if left else "done"
            self.report(Progress("compiling", detail, seconds=time.monotonic() - started))

        def done(job: Job) -> None:
            left.remove(job.task)
            show()

        # Trained afresh even when the score is known, because that is what compiles the machine.
        show()
        futures = {job: self._submit(job) for job in jobs}
        scores = {}
        for job, future in futures.items():
            while not future.done():
                if self.should_stop():
                    return None
                show()
                _wait(future, 0.5)
            scores[job.task] = future.result()
            self.trials.keep(job, scores[job.task])
            done(job)
        return scores

    def _submit(self, job: Job) -> Future[TaskScore]:
        args = (job.program, job.task, job.fidelity, job.path)
        return self.workers.submit(self.evaluator.score, *args)

    def _evolve(self, trainer: CandidateTrainer) -> SearchState | None:
        starters = [get_known(name).program for name in self.config.start]
        state = evolution.init(self.config.seed, self.config.evolution, starters)
        self.started = time.monotonic()
        stopped = False
        # The starters are always trained: without them there is nothing to report.
        while not stopped and not (state.population and self._spent(state)):
            proposals, state = evolution.ask(state, self._left(state))
            self.ledger.propose(proposals)
            fitness = self._train(proposals, trainer)
            if fitness is None:
                stopped = True
                break
            state = evolution.tell(state, fitness)
            shared = {p.ordinal: fitness[p.ordinal] for p in proposals if p.ordinal in fitness}
            shared |= {
                p.ordinal: state.fitness[p.digest]
                for p in proposals
                if p.status is Status.DUPLICATE
            }
            self.ledger.commit_fitness(shared)
            self.tally.add(proposals, fitness)
            self.ledger.add_seconds(time.monotonic() - self.started)
            self.report(self._progress("searching", fraction=self._fraction(state)))
            if not any(p.status is Status.NEW for p in proposals):
                break  # nothing new can be found from here
        self.ledger.add_seconds(time.monotonic() - self.started)
        return None if stopped else state

    def _train(
        self, proposals: tuple[Proposal, ...], trainer: CandidateTrainer
    ) -> dict[int, float] | None:
        """The fitness of the new proposals; None if stopped before all were trained."""
        futures = {}
        for proposal in proposals:
            if proposal.status is not Status.NEW:
                continue
            known = self._known(trainer, proposal.program)
            futures[proposal.ordinal] = self.workers.submit(trainer.train, proposal.program, known)
        fitness: dict[int, float] = {}
        for ordinal, future in futures.items():
            while not future.done():
                _wait(future, 0.5)
                if self.should_stop():
                    for other in futures.values():
                        other.cancel()
                    break
            if future.cancelled():
                continue
            trained = future.result()
            for job, score in trained.scores:
                self.trials.keep(job, score)
            self.tally.replayed += not trained.scores
            fitness[ordinal] = trained.fitness
        return fitness if len(fitness) == len(futures) and not self.should_stop() else None

    def _known(self, trainer: CandidateTrainer, program: Program) -> dict[str, TaskScore]:
        screen, proxy = trainer.jobs(program)
        found = {job.task: self.trials.known(job) for job in (*screen, *proxy)}
        return {task: score for task, score in found.items() if score is not None}

    def _spent(self, state: SearchState) -> bool:
        fraction = self._fraction(state)
        return fraction is not None and fraction >= 1

    def _left(self, state: SearchState) -> int | None:
        most = self.config.budget.candidates
        return None if most is None else most - state.trained

    def _fraction(self, state: SearchState) -> float | None:
        budget = self.config.budget
        parts = []
        if budget.candidates is not None:
            parts.append(state.trained / budget.candidates)
        if budget.seconds is not None:
            seconds = self.earlier_seconds + time.monotonic() - self.started
            parts.append(seconds / budget.seconds if budget.seconds else 1.0)
        return max(parts) if parts else None

    def _progress(self, phase: str, detail: str = "", fraction: float | None = None) -> Progress:
        counts = self.tally.counts
        seconds = time.monotonic() - self.started
        trained = counts[Status.NEW]
        return Progress(
            phase,
            detail,
            trained=trained,
            proposed=sum(counts.values()),
            duplicates=counts[Status.DUPLICATE],
            rejected=counts[Status.REJECTED],
            diverged=self.tally.diverged,
            best=self.tally.best,
            seconds=seconds,
            rate=(trained - self.tally.replayed) / seconds if seconds else 0.0,
            fraction=fraction,
        )


def _wait(future: Future[Any], seconds: float) -> None:
    """Waits for a future without raising, so that Ctrl-C and the clock are looked at."""
    wait([future], timeout=seconds)
