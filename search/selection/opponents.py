"""Tunes the constants of the baseline and its rivals, for a fair final comparison.

The winner's constants were mutated as many times as the search had candidates. So its opponents get
as many trials, on the same proxies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

from ...dsl.algebra.canonical import program_digest
from ...dsl.program import Program
from ...dsl.syntax import format_program
from ..config.settings import SearchConfig
from ..execution.jobs import Memory, Trials
from ..store.ledger import Ledger
from ..store.outcome import Opponent
from ..store.records import Status
from .tuning.kept import tuned_once


def tuned_opponents(
    rules: Sequence[Program],
    config: SearchConfig,
    ledger: Ledger,
    trials: Trials,
    say: Callable[[str, str], None],
) -> tuple[Opponent, ...]:
    """Known rules with constants tuned on the search's proxies; stored as facts.

    Args:
      rules: the baseline, its rivals.
      config: says in how many trials; see `Funnel.opponent_trials`.
      ledger: the run's. trials: the workers. say: called with the phase and progress in words.

    Returns:
      One for each rule; none if there are no trials, or nothing to compare on.

    Raises:
      Stopped: when asked to stop; a resumed run continues with the rule that was being tuned.
    """
    most = config.funnel.opponent_trials
    if most is None:
        counts = ledger.counts()
        most = sum(counts[status] for status in Status if status.is_trained)
    if not most or not config.funnel.target.tasks:
        return ()
    return tuple(_tuned(rule, most, config, ledger, trials, say) for rule in rules)


def _tuned(
    rule: Program,
    most: int,
    config: SearchConfig,
    ledger: Ledger,
    trials: Trials,
    say: Callable[[str, str], None],
) -> Opponent:
    # The key has the number, because a continued run has trained more candidates.
    key = f"opponent {program_digest(rule)} {most}"
    stored: Opponent | None = ledger.fact_as(key, Opponent)
    if stored is None:
        # Nothing of the run but its tasks matters, so that the result is kept for other runs too.
        # The ledger must not depend on what is kept, so training runs are not stored there.
        found = tuned_once(
            rule,
            dict.fromkeys(config.proxies),
            Trials(trials.workers, Memory(), trials.should_stop, trials.baseline),
            budget=most,
            schedule=config.funnel.screen.schedule,
            most_gain=config.funnel.most_gain,
            tidy=False,
            report=lambda tried: say(
                "tuning", f"the constants of {rule.name}: {tried} of at most {most} trials"
            ),
        )
        text = format_program(found.program)
        stored = Opponent(rule.name, text, found.trials, most, tuple(map(str, found.changes)))
        ledger.set_fact(key, asdict(stored))
    ledger.program(stored.program, f"opponent {rule.name}")
    return stored
