"""The loop of a strategy that trains nothing: workers answer its own questions.

Resume is replay: all questions are asked again, and the ledger raises if a candidate differs from
the stored one.
"""

from __future__ import annotations

from dataclasses import asdict

from ..store.outcome import Outcome, read_outcome
from ..strategies.base import Findings, Strategy
from .progress import Progress
from .session import Session


class AskingLoop:
    """Asks until the strategy is done or the budget is spent; stores what is found."""

    def __init__(self, strategy: Strategy[Findings], session: Session) -> None:
        self.strategy, self.session = strategy, session
        self.stored = 0  # the number of found candidates that are in the ledger

    def run(self) -> Outcome:
        """Runs to the end, and returns the outcome, which is also stored as a fact.

        Raises:
          Stopped: when asked to stop.
        """
        ledger = self.session.ledger
        if (known := read_outcome(ledger)) is not None:
            return known
        state = self.strategy.init(self.session.config, ())
        self._store(state)
        while not (state.is_over or self._spent(state)):
            while self.strategy.should_ask(state):
                _, state = self.strategy.ask(state)
            state = self.strategy.next_round(self._told(state))
        outcome = self._told(self.strategy.finish(state)).outcome
        assert outcome is not None
        ledger.set_fact("outcome", asdict(outcome))
        return outcome

    def _told(self, state: Findings) -> Findings:
        """The state after all pending questions are answered."""
        self.session.report(Progress(*state.phase))
        trials = self.session.trials
        asked = {"do": "question", "strategy": self.session.config.evolution.strategy}
        answers = {
            question.ordinal: trials.workers.submit({**asked, **question.request}, question.what)
            for batch in state.pending
            for question in batch
        }
        while state.pending:
            oldest = [question.ordinal for question in state.pending[0]]
            told = {ordinal: trials.result(answers[ordinal]) for ordinal in oldest}
            state = self.strategy.tell(state, told)
            self._store(state)
            self.session.store_seconds()
        return state

    def _store(self, state: Findings) -> None:
        """Stores the candidates that are new since the last call."""
        new = state.found[self.stored :]
        self.session.ledger.propose(proposal for proposal, _ in new)
        self.session.ledger.commit_fitness({p.ordinal: fitness for p, fitness in new})
        self.stored = len(state.found)

    def _spent(self, state: Findings) -> bool:
        most, used = self.session.config.budget.candidates, self.session.time_used
        return (most is not None and state.tried >= most) or (used is not None and used >= 1)
