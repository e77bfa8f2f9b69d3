"""Chooses the best rule: validation, confirmation by an independent path, final comparison.

Fitness is no evidence, because the evolution overfits its proxies. So:
1. The constants of the finalists (the best on validation tasks during the run) are tuned.
2. They are ranked on the validation tasks again, all on the same new seeds.
3. A rule counts only if the fused path confirms it on fresh seeds.
4. The target tasks, which no choice uses, measure how good the best rule is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from ...dsl.algebra.canonical import program_digest
from ...dsl.program import Program
from ...dsl.syntax import format_program, parse
from ...evaluators.backends.base import COMPILED
from ...evaluators.formatting import percent
from ...evaluators.scores.learning_rates import with_median_rate
from ...evaluators.scores.scoring import TaskScore, mean_log_ratio
from ...known_algorithms.nearest import nearest_known
from ..config.rules import rule_program
from ..config.seeds import FINALISTS, FRESH
from ..config.settings import SearchConfig, Stage
from ..config.stages import jobs_of
from ..execution.jobs import Job, Trials
from ..store.ledger import Ledger
from ..store.outcome import Finalist, Opponent, Outcome, Overall, Round, Row, read_outcome
from .final_comparison import compared
from .finalists import finalists, is_on_front
from .how_far import Scaled, compared_by_scale, costs_of, scaled_jobs
from .opponents import tuned_opponents
from .pruning import MOST_COST, prune
from .tuning.tune import Tuned, tune

# Finalists are compared on this many times as many seeds as champions.
FINAL = 4
# The minimal number of seeds that confirm a rule; it was selected on fewer.
FRESH_SEEDS = 5

Say = Callable[[str, str], None]


def decide(
    config: SearchConfig, ledger: Ledger, trials: Trials, rounds: Sequence[Round], say: Say
) -> Outcome:
    """Chooses the best rule of a finished evolution and stores the outcome as a fact.

    Raises:
      Stopped: when asked to stop; a resumed run continues from there.
    """
    if (stored := read_outcome(ledger)) is not None:
        return stored
    finals = _Finals(config, ledger, trials, say)
    found = finals.validated(finals.with_tuned(finalists(config, ledger, rounds)))
    found, winner, scores = finals.confirmed(found)
    if winner is None:
        # Nothing was confirmed: the result is the rule that the search started from.
        starter = ledger.candidate(0)
        assert starter is not None
        ordinal, fitness = 0, starter.fitness or 0.0
        program = ledger.program(starter.program, "candidate 0")
        scores, _ = finals.confirm(program)
    else:
        ordinal, fitness, program = winner.ordinal, winner.fitness, parse(winner.program)
    program = with_tuned_rate(program, scores)
    pruned: tuple[str, ...] = ()
    if config.funnel.pruned and winner is not None:
        program, pruned = finals.pruned(program, winner)
    evolved = ledger.candidate(ordinal)
    assert evolved is not None
    # Where nothing better was found, there is no claim for which opponents would have to be tuned.
    known = [finals.baseline, *finals.rivals]
    opponents = (
        tuned_opponents(known, config, ledger, trials, say) if evolved.parent is not None else ()
    )
    comparison, overall, scaled = finals.comparison(program, opponents)
    outcome = Outcome(
        ordinal,
        evolved.program,
        format_program(program),
        fitness,
        winner is not None,
        tuple(found),
        comparison,
        pruned,
        str(nearest_known(program)) if evolved.parent is not None else "",
        overall,
        opponents,
        scaled.rows,
        scaled.overall,
        scaled.costs,
    )
    ledger.set_fact("outcome", json.loads(json.dumps(asdict(outcome))))
    return outcome


@dataclass(frozen=True)
class _TunedFact:
    """A finalist with tuned constants, as stored: its text, and the changes in words."""

    program: str
    changes: tuple[str, ...]


@dataclass(frozen=True)
class _PrunedFact:
    """The best rule after pruning, as stored: its text, and the steps in words."""

    program: str
    steps: tuple[str, ...]


class _Finals:
    """The stages after the evolution."""

    def __init__(self, config: SearchConfig, ledger: Ledger, trials: Trials, say: Say) -> None:
        self.funnel = config.funnel
        self.proxies = dict.fromkeys(config.proxies)
        self.pruning_tasks = config.pruning_tasks
        self.seed = config.seed
        self.backend = config.backend
        self.baseline = rule_program(config.baseline)
        self.rivals = [rule_program(rule) for rule in config.rivals if rule != config.baseline]
        self.ledger = ledger
        self.trials = trials
        self.say = say

    def with_tuned(self, finalists: list[Finalist]) -> list[Finalist]:
        """The finalists, and the first `funnel.tuned` of them once more with tuned constants."""
        tuned = [self._tuned(f) for f in finalists[: self.funnel.tuned]]
        return [*finalists, *(f for f in tuned if f.tuned)]

    def _tuned(self, finalist: Finalist) -> Finalist:
        key = f"tuned {finalist.ordinal}"
        stored = self.ledger.fact_as(key, _TunedFact)
        if stored is None:
            self.say("tuning", f"the constants of candidate {finalist.ordinal}")
            result: Tuned = tune(
                parse(finalist.program),
                self.proxies,
                self.trials,
                seed=self.seed,
                schedule=self.funnel.screen.schedule,
                most_gain=self.funnel.most_gain,
            )
            stored = _TunedFact(
                format_program(result.program),
                tuple(map(str, result.changes)),
            )
            self.ledger.set_fact(key, asdict(stored))
        self.ledger.program(stored.program, f"candidate {finalist.ordinal}, tuned,")
        return replace(finalist, program=stored.program, tuned=stored.changes)

    def validated(self, finalists: list[Finalist]) -> list[Finalist]:
        """Finalists with their validation score on the same seeds, best first."""
        stage = self.funnel.validation
        if not stage.tasks:
            return finalists
        stage = replace(stage, seeds=max(FINAL * stage.seeds, FRESH_SEEDS))
        programs = [self.baseline, *(parse(f.program) for f in finalists)]
        jobs = [job for p in programs for job in jobs_of(p, stage, self.backend, FINALISTS)]
        scores = self._run(jobs, "validating", f"{len(finalists)} finalists")
        width, gain = len(stage.tasks), self.funnel.most_gain
        base, *rest = (scores[i * width :][:width] for i in range(len(programs)))
        ranked = [
            replace(finalist, validation=mean_log_ratio(own, base, gain))
            for finalist, own in zip(finalists, rest, strict=True)
        ]
        return sorted(ranked, key=lambda f: (f.validation, f.fitness, f.ordinal))

    def confirmed(
        self, finalists: list[Finalist]
    ) -> tuple[list[Finalist], Finalist | None, list[TaskScore]]:
        """Trains finalists by the fused path on fresh seeds, until enough are tried.

        The first are tried until one is confirmed, then those on the Pareto front (`is_on_front`)
        until `funnel.confirmed` were tried.

        Returns:
          All finalists, with the confirmation of those tried; the first that was confirmed or None;
          its scores.
        """
        winner, scores = None, []
        found = list(finalists)
        tried = 0
        for place, finalist in enumerate(finalists):
            if winner is not None and (
                tried >= self.funnel.confirmed or not is_on_front(finalist, finalists)
            ):
                continue
            tried += 1
            own, value = self.confirm(parse(finalist.program))
            found[place] = replace(finalist, confirmation=value)
            if value <= 0 and winner is None:
                winner, scores = found[place], own
        return found, winner, scores

    def confirm(self, program: Program) -> tuple[list[TaskScore], float]:
        """Scores by the fused path on the proxies with seeds never used before, and their mean
        log-ratio to the baseline.
        """
        stages = (self.funnel.screen, self.funnel.proxy)
        own = [job for s in stages for job in self._fresh(program, s)]
        base = [job for s in stages for job in self._fresh(self.baseline, s, shared=True)]
        detail = f"{program.name} by the compiled path on fresh seeds"
        scores = self._run([*own, *base], "confirming", detail)
        own_scores = scores[: len(own)]
        return own_scores, mean_log_ratio(own_scores, scores[len(own) :], self.funnel.most_gain)

    def _fresh(self, program: Program, stage: Stage, *, shared: bool = False) -> list[Job]:
        stage = replace(stage, seeds=max(stage.seeds, FRESH_SEEDS))
        return jobs_of(program, stage, COMPILED, FRESH, shared=shared)

    def pruned(self, program: Program, winner: Finalist) -> tuple[Program, tuple[str, ...]]:
        """The best rule without parts that training does not need, and the steps in words.

        Returns the rule unchanged if the shorter one is worse on the validation tasks, or is not
        confirmed.
        """
        whole = program
        # The key names the rule, because a continued run may choose another one.
        key = f"pruned {program_digest(program)}"
        stored = self.ledger.fact_as(key, _PrunedFact)
        if stored is None:
            steps = []
            name, doc = program.name, program.doc

            def say(words: str) -> None:
                self.say("pruning", words)

            tasks, schedule = self.pruning_tasks, self.funnel.validation.schedule
            for step in prune(program, tasks, self.trials, say, schedule=schedule):
                program = step.after
                effect = "" if step.effect is None else f" ({percent(step.effect.mean)})"
                steps.append(f"{step.name}{effect}")
            program = replace(program, name=name, doc=doc)
            stored = _PrunedFact(format_program(program), tuple(steps))
            self.ledger.set_fact(key, asdict(stored))
        smaller = self.ledger.program(stored.program, "the best rule, pruned,")
        (again,) = self.validated([replace(winner, program=stored.program)])
        if self.funnel.validation.tasks and again.validation > winner.validation + MOST_COST:
            return whole, ()
        scores, value = self.confirm(smaller)
        if value > 0:
            return whole, ()
        return with_tuned_rate(smaller, scores), stored.steps

    def comparison(
        self, program: Program, opponents: Sequence[Opponent]
    ) -> tuple[tuple[Row, ...], tuple[Overall, ...], Scaled]:
        """Compares the best rule, the baseline and the rivals on the target tasks.

        Args:
          program: the best rule.
          opponents: the others with tuned constants, in their order; none if they have none.

        Returns:
          A row per task and rule, the overall result per rule, and how far that holds.
        """
        stage = self.funnel.target
        if not stage.tasks:
            return (), (), Scaled()
        names = [program.name, self.baseline.name, *(rival.name for rival in self.rivals)]
        tuned = [parse(opponent.program) for opponent in opponents]
        rules = [program, self.baseline, *self.rivals, *tuned]
        # Given rules score the same in every run, so their scores go to the user's cache.
        shared = [False, *[True] * (len(rules) - 1)]
        jobs = [
            job
            for rule, is_known in zip(rules, shared, strict=True)
            for job in self._fresh(rule, stage, shared=is_known)
        ]
        scores = self._run(jobs, "comparing", f"{program.name} with known rules on unseen tasks")
        width = len(stage.tasks)
        by_rule = [scores[i * width :][:width] for i in range(len(rules))]
        rows, overall = compared(names, by_rule[: len(names)], by_rule[len(names) :])
        # Opponents with tuned constants, where there are any.
        places = [0, *range(len(names) if tuned else 1, len(rules))]
        held = self._scaled(
            names, [rules[i] for i in places], [by_rule[i] for i in places], tuned=bool(tuned)
        )
        return rows, overall, held

    def _scaled(
        self,
        names: Sequence[str],
        rules: Sequence[Program],
        scores: Sequence[Sequence[TaskScore]],
        *,
        tuned: bool,
    ) -> Scaled:
        """How far the comparison holds.

        Args:
          names: the best rule, the baseline, its rivals. rules: the same.
          scores: of each on the target tasks. tuned: whether all but the first are tuned.
        """
        stage = self.funnel.scaled
        if not stage.tasks:
            return Scaled()
        jobs = scaled_jobs(rules, scores, stage)
        found = self._run(jobs, "comparing", f"{names[0]} on longer and wider tasks")
        self.say("timing", "a step of each rule")
        by_name = dict(zip(names, rules, strict=True))
        costs = costs_of(by_name, stage.tasks, self.trials.workers, self.trials.result)
        return compared_by_scale(names, found, stage.tasks, costs, tuned=tuned)

    def _run(self, jobs: list[Job], phase: str, detail: str) -> list[TaskScore]:
        def done(count: int) -> None:
            self.say(phase, f"{detail}: {count} of {len(jobs)} trained")

        return self.trials.run(jobs, done)


def with_tuned_rate(program: Program, scores: list[TaskScore]) -> Program:
    """The rule with the median of its tuned learning rates as default."""
    return with_median_rate(program, [s.learning_rate for s in scores if not s.diverged])
