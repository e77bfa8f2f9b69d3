"""The engine: the edge where the pure search meets workers, clocks, files and signals.

Resume is replay: the evolution is asked and told again from the start, with the ledger's results
in place of training, until it reaches what was never trained.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from ..known_algorithms.catalogue import get_known
from . import evolution, ledger
from .config import SearchConfig
from .evolution import Batch, SearchState, Status
from .finals import decide
from .funnel import CHECKPOINTS, CandidateTrainer, Stopped, Trials, jobs_of, submit, succeeded
from .ledger import Ledger
from .outcome import Outcome
from .runs import Run
from .workers import Workers


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

    def add(self, batch: Batch, fitness: Mapping[int, float]) -> None:
        for proposal in batch:
            self.counts[proposal.status] += 1
        for value in fitness.values():
            self.diverged += value == float("inf")
            self.best = value if self.best is None else min(self.best, value)


def run_search(
    run: Run,
    config: SearchConfig,
    workers: Workers,
    *,
    report: Report = lambda progress: None,
    should_stop: ShouldStop = lambda: False,
) -> Outcome | None:
    """Runs or continues a search until its budget is spent, then chooses the best rule.

    Args:
      run: a folder with a ledger.
      config: what the run was started with.
      workers: who train; started with (at least) `config.tasks`.
      report: called now and then with progress.
      should_stop: asked between candidates; when true, the run saves and returns None. What the
        workers have begun then, they finish for nothing: close them to end at once.

    Returns:
      The outcome, or None if it was stopped before there was one.

    Raises:
      UserError: the ledger cannot be continued, a starter is unknown, or workers cannot train.
    """
    with closing(ledger.open_to_write(run.ledger_path)) as opened:
        if opened.fact("versions") is None:
            opened.set_fact(
                "versions", {name: version(name) for name in ("evoptax", "jax", "numpy")}
            )
        opened.start_session()
        try:
            return _Engine(opened, config, workers, report, should_stop).run()
        except Stopped:
            workers.cancel()
            return None


class _Engine:
    def __init__(
        self,
        opened: Ledger,
        config: SearchConfig,
        workers: Workers,
        report: Report,
        should_stop: ShouldStop,
    ) -> None:
        self.ledger = opened
        self.config = config
        self.report = report
        self.trials = Trials(workers, opened, should_stop)
        self.earlier_seconds = opened.seconds()
        self.started = time.monotonic()
        self.tally = _Tally()
        # By ordinal, of candidates that are pending.
        self.answers: dict[int, Future[dict[str, Any]]] = {}

    def run(self) -> Outcome:
        trainer = CandidateTrainer(self.trials, self.config, self._baselines())
        self._evolve(trainer)
        return decide(
            self.config,
            self.ledger,
            self.trials,
            lambda phase, detail: self.report(self._progress(phase, detail)),
        )

    def _baselines(self) -> dict[str, str]:
        """Scores of the baseline on all proxies, by task.

        Trained afresh even when they are known, because that compiles the machines: each of them
        once, by whichever worker is free. The other workers read it from JAX's cache when they
        first meet the task.
        """
        program = get_known(self.config.baseline).program
        stages = (self.config.funnel.screen, self.config.funnel.proxy)
        jobs = [
            job
            for stage in stages
            for job in jobs_of(program, stage, "machine", checkpoints=CHECKPOINTS)
        ]
        futures = {job.task: submit(self.trials.workers, job) for job in jobs}

        def show() -> None:
            left = [task for task, future in futures.items() if not future.done()]
            detail = f"the training loops of {', '.join(left)}" if left else "done"
            seconds = time.monotonic() - self.started
            self.report(Progress("compiling", detail, seconds=seconds))

        scores = {task: self.trials.result(future, show) for task, future in futures.items()}
        for job in jobs:
            self.trials.keep(job, scores[job.task])
        show()
        return scores

    def _evolve(self, trainer: CandidateTrainer) -> None:
        starters = [get_known(name).program for name in self.config.start]
        state = evolution.init(self.config.seed, self.config.evolution, starters)
        self.started = time.monotonic()
        try:
            self._send(state.pending[0], trainer)
            # The starters are always trained: without them there is nothing to report.
            going = True
            while state.pending:
                state = self._tell(state, trainer)
                while going and evolution.should_ask(state):
                    going = not self._spent(state)
                    if going:
                        batch, state = evolution.ask(state, self._left(state))
                        self._send(batch, trainer)
                        # Where nothing new is found or pending, there is nothing new to be found.
                        going = any(p.status is Status.NEW for b in state.pending for p in b)
        except Stopped:
            for batch in state.pending:
                self._keep(batch, trainer)
            raise
        finally:
            self.ledger.add_seconds(time.monotonic() - self.started)

    def _send(self, batch: Batch, trainer: CandidateTrainer) -> None:
        """Stores a batch, and has workers train what is new in it."""
        stored = self.ledger.propose(batch)
        for proposal in batch:
            ordinal = proposal.ordinal
            if proposal.status is not Status.NEW:
                continue
            if (fitness := stored.get(ordinal)) is None:
                self.answers[ordinal] = trainer.start(proposal, is_new=ordinal not in stored)
            else:
                self.answers[ordinal] = Future()
                self.answers[ordinal].set_result({"fitness": fitness, "scores": {}})
                self.tally.replayed += 1

    def _tell(self, state: SearchState, trainer: CandidateTrainer) -> SearchState:
        """Waits for the oldest pending batch, and stores what came out."""
        batch = state.pending[0]
        fitness = {
            p.ordinal: self.trials.result(self.answers[p.ordinal])["fitness"]
            for p in batch
            if p.status is Status.NEW
        }
        self._keep(batch, trainer)
        state = evolution.tell(state, fitness)
        self.ledger.commit_fitness(
            {p.ordinal: state.fitness(p.digest) for p in batch if p.status is not Status.REJECTED}
        )
        self.tally.add(batch, fitness)
        self.ledger.add_seconds(time.monotonic() - self.started)
        self.report(self._progress("searching", fraction=self._fraction(state)))
        return state

    def _keep(self, batch: Batch, trainer: CandidateTrainer) -> None:
        """Stores the scores of those candidates of a batch that have been trained."""
        answers = [(p, self.answers.pop(p.ordinal)) for p in batch if p.ordinal in self.answers]
        trainer.keep((p, answer.result()) for p, answer in answers if succeeded(answer))

    def _spent(self, state: SearchState) -> bool:
        fraction = self._fraction(state)
        return self._left(state) == 0 or (fraction is not None and fraction >= 1)

    def _left(self, state: SearchState) -> int | None:
        most = self.config.budget.candidates
        return None if most is None else max(0, most - state.asked)

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
            rate=max(0, trained - self.tally.replayed) / seconds if seconds else 0.0,
            fraction=fraction,
        )
