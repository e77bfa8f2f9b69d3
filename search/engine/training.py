"""The loop of a strategy whose candidates are trained on tasks and compared with a baseline.

Resume is replay: the strategy is asked and told again from the start. Stored results stand in for
training, until it proposes a candidate that was never trained.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import asdict
from typing import Any

from ...evaluators.scores.early_stopping import BaselineCurve, baseline_curve
from ...evaluators.scores.evaluate import score_from_json
from ...evaluators.scores.scoring import mean_log_ratio
from ..config.rules import rule_program
from ..config.seeds import CHAMPIONS
from ..config.stages import jobs_of
from ..execution.jobs import HUNG, Stopped, submit, succeeded
from ..selection.finals import decide
from ..selection.funnel import CandidateTrainer, proxy_jobs
from ..selection.rounds import Standing, after_validation, champions
from ..store.outcome import Champion, Outcome, Round, read_rounds
from ..store.records import Status
from ..strategies.base import Strategy
from ..strategies.state import Batch, Individual, Population, SearchState
from .progress import Counts, Progress
from .session import Session


class TrainingLoop:
    """Trains candidates round by round, validates the best, and compares the finalists."""

    def __init__(self, strategy: Strategy[SearchState], session: Session) -> None:
        self.strategy, self.session = strategy, session
        self.ledger, self.config = session.ledger, session.config
        self.baseline, self.trials = session.baseline, session.trials
        # The number of proposals of earlier sessions; replaying them ignores the time budget.
        self.stored = sum(self.ledger.counts().values())
        self.counts = Counts()
        # Answers of pending candidates, by ordinal.
        self.answers: dict[int, Future[dict[str, Any]]] = {}
        self.standing = Standing()
        self.rounds: list[Round] = []

    def run(self) -> Outcome:
        self._evolve()
        return decide(
            self.config,
            self.ledger,
            self.trials,
            self.rounds,
            lambda phase, detail: self.session.report(self._progress(phase, detail)),
        )

    def _evolve(self) -> None:
        curves = self._first_curves()
        starters = [rule_program(rule) for rule in self.config.start]
        state = self.strategy.init(self.config, starters)
        self.session.start_clock()
        try:
            while True:
                trainer = CandidateTrainer(self.trials, self.config, state.round, curves)
                asked_before = state.asked
                state, going = self._one_round(state, trainer)
                is_last = not going or state.asked == asked_before
                fresh = self._end_round(state, is_last=is_last)
                if is_last:
                    return
                state = self.strategy.next_round(state, fresh)
                curves = self._curves(state.round)
        finally:
            self.session.store_seconds()

    def _first_curves(self) -> dict[str, BaselineCurve]:
        """The baseline's curve on the first round's problems, by task.

        Trained even if the scores are stored, because that compiles the machine for each task once,
        in any free worker. The others then load it from JAX's compilation cache.
        """
        jobs = proxy_jobs(self.baseline, self.config, 0)
        futures = {job.task: submit(self.trials.workers, job, essential=True) for job in jobs}

        def show() -> None:
            left = [task for task, future in futures.items() if not future.done()]
            detail = f"the training loops of {', '.join(left)}" if left else "done"
            seconds = self.session.seconds
            self.session.report(Progress("compiling", detail, seconds=seconds))

        scores = {task: self.trials.result(future, show) for task, future in futures.items()}
        for job in jobs:
            self.trials.keep(job, scores[job.task])
        show()
        return {task: baseline_curve(score_from_json(score)) for task, score in scores.items()}

    def _curves(self, number: int) -> dict[str, BaselineCurve]:
        """The baseline's curve on a later round's problems, by task."""
        jobs = proxy_jobs(self.baseline, self.config, number)
        return {score.task: baseline_curve(score) for score in self.trials.run(jobs)}

    def _one_round(self, state: SearchState, trainer: CandidateTrainer) -> tuple[SearchState, bool]:
        """Runs a round; returns the state at its end, and whether the budget allows another."""
        going = True
        try:
            for batch in state.pending:  # the rules that the search starts from, always trained
                self._send(batch, trainer)
            while True:
                while going and self.strategy.should_ask(state):
                    going = not self._spent(state)
                    if going:
                        batch, state = self.strategy.ask(state, self._left(state))
                        self._send(batch, trainer)
                        # Only duplicates and rejections are pending: the round can find no more.
                        if not any(p.status.is_trained for b in state.pending for p in b):
                            return self._told(state, trainer), bool(self.config.evolution.round)
                if not state.pending:
                    break
                state = self._tell(state, trainer)
        except Stopped:
            for batch in state.pending:
                self._keep(batch, trainer)
            raise
        return state, going and not self._spent(state)

    def _told(self, state: SearchState, trainer: CandidateTrainer) -> SearchState:
        """The state after all pending batches are trained and told."""
        while state.pending:
            state = self._tell(state, trainer)
        return state

    def _end_round(self, state: SearchState, *, is_last: bool) -> Population:
        """Validates the best of a round; returns the new population if the search restarts."""
        best = champions(state, self.standing, self.config.funnel.champions)
        validated = self._validated(state.round, best) if self.config.evolution.round else []
        self.standing, fresh = after_validation(state, self.standing, validated)
        self.rounds.append(
            Round(
                state.round,
                state.next_ordinal,
                state.trained,
                tuple(Champion(i.ordinal, i.fitness, value) for i, value in validated),
                fresh[0].ordinal if fresh and not is_last else None,
            )
        )
        # During replay the stored list may be the longer one: never overwrite it with a shorter.
        if len(self.rounds) > len(read_rounds(self.ledger)):
            self.ledger.set_fact("rounds", [asdict(r) for r in self.rounds])
        return fresh

    def _validated(self, number: int, best: Population) -> list[tuple[Individual, float]]:
        """Pairs of an individual and its mean log-ratio to the baseline on the validation tasks."""
        stage = self.config.funnel.validation
        if not stage.tasks or not best:
            return []
        self.session.report(self._progress("validating", f"the best of round {number + 1}"))
        programs = [self.baseline, *(i.program for i in best)]
        # The same seeds in every round, so that rounds are comparable. Tournaments do not use these
        # seeds, and finalists are compared on others.
        scores = self.trials.run(
            [j for p in programs for j in jobs_of(p, stage, self.config.backend, CHAMPIONS)]
        )
        width, gain = len(stage.tasks), self.config.funnel.most_gain
        base, *rest = (scores[i * width :][:width] for i in range(len(programs)))
        return [(i, mean_log_ratio(own, base, gain)) for i, own in zip(best, rest, strict=True)]

    def _send(self, batch: Batch, trainer: CandidateTrainer) -> None:
        """Stores a batch, and submits its untrained candidates to the workers."""
        stored = self.ledger.propose(batch)
        for proposal in batch:
            ordinal = proposal.ordinal
            if not proposal.status.is_trained:
                continue
            if (fitness := stored.get(ordinal)) is None:
                self.answers[ordinal] = trainer.start(proposal, is_new=ordinal not in stored)
            else:
                self.answers[ordinal] = Future()
                self.answers[ordinal].set_result({"fitness": fitness, "scores": {}})
                self.counts.replayed += 1

    def _tell(self, state: SearchState, trainer: CandidateTrainer) -> SearchState:
        """Waits for the oldest pending batch, stores its fitness, and tells the strategy."""
        batch = state.pending[0]
        fitness = {
            p.ordinal: self.trials.result(self.answers[p.ordinal])["fitness"]
            for p in batch
            if p.status.is_trained
        }
        self._keep(batch, trainer)
        state = self.strategy.tell(state, fitness)
        # A duplicate gets the mean fitness of its original, a trained candidate its own.
        means = {p.ordinal: p.candidate for p in batch if p.candidate is not None}
        self.ledger.commit_fitness(
            {ordinal: state.fitness(c) for ordinal, c in means.items()} | fitness
        )
        self.counts.add(batch, fitness)
        self.session.store_seconds()
        self.session.report(
            self._progress("searching", number=state.round, fraction=self._fraction(state))
        )
        return state

    def _keep(self, batch: Batch, trainer: CandidateTrainer) -> None:
        """Stores the scores of the candidates of a batch that are trained already."""
        answers = [(p, self.answers.pop(p.ordinal)) for p in batch if p.ordinal in self.answers]
        trained = [(p, answer.result()) for p, answer in answers if succeeded(answer)]
        trainer.keep(trained)
        for proposal, answer in trained:
            if HUNG in answer:
                self.ledger.note_hung(f"candidate {proposal.ordinal}", answer[HUNG])

    def _spent(self, state: SearchState) -> bool:
        fraction = self._fraction(state)
        return self._left(state) == 0 or (fraction is not None and fraction >= 1)

    def _left(self, state: SearchState) -> int | None:
        most = self.config.budget.candidates
        return None if most is None else max(0, most - state.asked)

    def _fraction(self, state: SearchState) -> float | None:
        most, parts = self.config.budget.candidates, []
        if most is not None:
            parts.append(state.trained / most)
        used = self.session.time_used
        if used is not None and state.next_ordinal >= self.stored:
            parts.append(used)
        return max(parts) if parts else None

    def _progress(
        self, phase: str, detail: str = "", number: int = 0, fraction: float | None = None
    ) -> Progress:
        statuses = self.counts.statuses
        seconds = self.session.seconds
        trained = statuses[Status.NEW] + statuses[Status.AGAIN]
        return Progress(
            phase,
            detail,
            trained=trained,
            proposed=sum(statuses.values()),
            duplicates=statuses[Status.DUPLICATE],
            rejected=statuses[Status.REJECTED],
            diverged=self.counts.diverged,
            best=self.counts.best,
            baseline=self.baseline.name,
            validation=self.standing.value if self.standing.best else None,
            round=number,
            seconds=seconds,
            rate=max(0, trained - self.counts.replayed) / seconds if seconds else 0.0,
            fraction=fraction,
        )
