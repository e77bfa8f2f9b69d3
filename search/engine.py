"""The engine: the edge where the pure search meets workers, clocks, files and signals.

Resume is replay: the evolution is asked and told again from the start, with the ledger's results
in place of training, until it reaches what was never trained.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import version

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
from .funnel import CandidateTrainer, Stopped, Trials, Workers, jobs_of
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
        except Stopped:
            return None
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
        self.evaluator = Evaluator(tasks, ScoreStore())
        pool = ThreadPoolExecutor(config.workers or os.cpu_count() or 1)
        self.workers = Workers(pool, should_stop)
        self.trials = Trials(self.evaluator, opened, self.workers)
        self.earlier_seconds = opened.seconds()
        self.tally = _Tally()

    def close(self) -> None:
        # Workers never touch the ledger, so that a stopped run need not wait for them.
        stopped = self.workers.should_stop()
        self.workers.pool.shutdown(wait=not stopped, cancel_futures=True)

    def run(self) -> Outcome:
        trainer = CandidateTrainer(self.evaluator, self.config, self._baselines())
        self._evolve(trainer)
        return decide(
            self.config,
            self.ledger,
            self.trials,
            lambda phase, detail: self.report(self._progress(phase, detail)),
        )

    def _baselines(self) -> dict[str, TaskScore]:
        """Scores the baseline on all proxies, which also compiles their machines."""
        started = time.monotonic()
        program = get_known(self.config.baseline).program
        stages = (self.config.funnel.screen, self.config.funnel.proxy)
        jobs = [job for stage in stages for job in jobs_of(program, stage, "machine")]
        left = [job.task for job in jobs]

        def show() -> None:
            detail = f"the training loops of {', '.join(left)}" if left else "done"
            self.report(Progress("compiling", detail, seconds=time.monotonic() - started))

        # Trained afresh even when the score is known, because that is what compiles the machine.
        train = self.evaluator.score
        futures = [self.workers.pool.submit(train, *job.arguments) for job in jobs]
        scores = {}
        for job, future in zip(jobs, futures, strict=True):
            scores[job.task] = self.workers.result(future, show)
            self.trials.keep(job, scores[job.task])
            left.remove(job.task)
        show()
        return scores

    def _evolve(self, trainer: CandidateTrainer) -> None:
        starters = [get_known(name).program for name in self.config.start]
        state = evolution.init(self.config.seed, self.config.evolution, starters)
        self.started = time.monotonic()
        try:
            # The starters are always trained: without them there is nothing to report.
            while not (state.population and self._spent(state)):
                state, found_any = self._generation(state, trainer)
                if not found_any:
                    break  # nothing new can be found from here
        finally:
            self.ledger.add_seconds(time.monotonic() - self.started)

    def _generation(
        self, state: SearchState, trainer: CandidateTrainer
    ) -> tuple[SearchState, bool]:
        """Asks, trains and tells once. Also returns whether there was anything new."""
        proposals, state = evolution.ask(state, self._left(state))
        self.ledger.propose(proposals)
        fitness = self._train(proposals, trainer)
        state = evolution.tell(state, fitness)
        shared = {
            p.ordinal: state.fitness[p.digest] for p in proposals if p.status is not Status.REJECTED
        }
        self.ledger.commit_fitness(shared)
        self.tally.add(proposals, fitness)
        self.ledger.add_seconds(time.monotonic() - self.started)
        self.report(self._progress("searching", fraction=self._fraction(state)))
        return state, bool(fitness)

    def _train(
        self, proposals: tuple[Proposal, ...], trainer: CandidateTrainer
    ) -> dict[int, float]:
        """The fitness of the new proposals. Raises Stopped; what was finished is kept."""
        futures = {
            p.ordinal: self.workers.pool.submit(
                trainer.train, p.program, self._known(trainer, p.program)
            )
            for p in proposals
            if p.status is Status.NEW
        }
        fitness: dict[int, float] = {}
        for ordinal, future in futures.items():
            trained = self.workers.result(future)
            for job, score in trained.scores:
                self.trials.keep(job, score)
            self.tally.replayed += not trained.scores
            fitness[ordinal] = trained.fitness
        return fitness

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
