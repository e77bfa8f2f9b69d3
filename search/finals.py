"""Choosing the best rule: validation, confirmation by an independent path, final comparison.

What the evolution optimized proves nothing: it fits its few proxies. So the finalists are ranked on
validation tasks that the evolution never saw; the first of them that the fused path confirms on
fresh seeds is the best rule; and target tasks, by which nothing is chosen, say how good it is.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import asdict

import numpy as np

from ..dsl.canonical import program_digest
from ..dsl.program import LEARNING_RATE, Program
from ..dsl.rewriting import Level
from ..dsl.simplifier import simplify
from ..dsl.syntax import format_program, parse
from ..evaluators.scoring import TaskScore, compare, mean_log_ratio
from ..known_algorithms.catalogue import get_known
from .config import SearchConfig, Stage
from .funnel import FRESH_SEED, VALIDATION_SEED, Job, Trials, jobs_of
from .ledger import Ledger
from .outcome import Finalist, Outcome, Row, outcome_from_json

Say = Callable[[str, str], None]


def decide(
    config: SearchConfig,
    ledger: Ledger,
    trials: Trials,
    say: Say,
) -> Outcome:
    """Chooses the best rule of a finished evolution and stores the outcome as a fact.

    Raises:
      Stopped: when asked to stop before; a resumed run goes on from there.
    """
    if stored := ledger.fact("outcome"):
        return outcome_from_json(stored)
    stages = _Stages(config, trials, say)
    finalists = stages.validate(_finalists(config, ledger))
    winner = None
    for place, (finalist, program) in enumerate(finalists):
        scores, value = stages.confirm(program)
        finalists[place] = (dataclasses.replace(finalist, confirmation=value), program)
        if value <= 0:
            winner = place
            break
    if winner is None:
        # Nothing was better than the baseline where it counts: say so by keeping the starter.
        ordinal = 0
        starter = ledger.candidate(ordinal)
        assert starter is not None
        fitness, program = starter.fitness or 0.0, parse(starter.program)
        scores, _ = stages.confirm(program)
    else:
        finalist, program = finalists[winner]
        ordinal, fitness = finalist.ordinal, finalist.fitness
    program = with_tuned_rate(program, scores)
    candidate = ledger.candidate(ordinal)
    assert candidate is not None
    outcome = Outcome(
        ordinal,
        candidate.program,
        format_program(program),
        fitness,
        winner is not None,
        tuple(f for f, _ in finalists),
        stages.comparison(program),
    )
    ledger.set_fact("outcome", json.loads(json.dumps(asdict(outcome))))
    return outcome


def _finalists(config: SearchConfig, ledger: Ledger) -> list[tuple[Finalist, Program]]:
    """The best distinct candidates, simplified; distinct also under real-number identities."""
    trained = [
        c
        for c in ledger.candidates()
        if c.status == "new" and c.fitness is not None and math.isfinite(c.fitness)
    ]
    trained.sort(key=lambda c: (c.fitness, c.ordinal))
    seen: set[str] = set()
    found: list[tuple[Finalist, Program]] = []
    for candidate in trained:
        assert candidate.fitness is not None
        program = simplify(parse(candidate.program))
        digest = program_digest(program, Level.REAL)
        if digest in seen:
            continue
        seen.add(digest)
        name = f"evolved_{candidate.ordinal}" if candidate.parent is not None else program.name
        program = dataclasses.replace(
            program,
            name=name,
            doc=program.doc
            if candidate.parent is None
            else f"Found by evoptax, starting from {', '.join(config.start)}.",
        )
        found.append((Finalist(candidate.ordinal, candidate.fitness, math.inf), program))
        if len(found) == config.funnel.finalists:
            break
    return found


class _Stages:
    """The stages after the evolution."""

    def __init__(self, config: SearchConfig, trials: Trials, say: Say) -> None:
        self.funnel = config.funnel
        self.baseline = get_known(config.baseline).program
        self.rivals = [get_known(name).program for name in config.rivals]
        self.trials = trials
        self.say = say

    def validate(self, finalists: list[tuple[Finalist, Program]]) -> list[tuple[Finalist, Program]]:
        """Finalists with their validation score, best first."""
        stage = self.funnel.validation
        if not stage.tasks:
            return finalists
        self.say("validating", f"{len(finalists)} finalists on {', '.join(stage.tasks)}")
        base = self.trials.run(jobs_of(self.baseline, stage, "machine", VALIDATION_SEED))
        jobs = [
            job
            for _, program in finalists
            for job in jobs_of(program, stage, "machine", VALIDATION_SEED)
        ]
        scores = self.trials.run(jobs)
        width = len(stage.tasks)
        ranked = []
        for i, (finalist, program) in enumerate(finalists):
            value = mean_log_ratio(scores[i * width : (i + 1) * width], base)
            ranked.append((dataclasses.replace(finalist, validation=value), program))
        return sorted(ranked, key=lambda f: (f[0].validation, f[0].fitness, f[0].ordinal))

    def confirm(self, program: Program) -> tuple[list[TaskScore], float]:
        """Scores by the fused path on the proxies with seeds never used before, and their mean
        log-ratio to the baseline.
        """
        stages = (self.funnel.screen, self.funnel.proxy)
        self.say("confirming", f"{program.name} by the compiled path on fresh seeds")
        own = [job for s in stages for job in self._fresh(program, s)]
        base = [job for s in stages for job in self._fresh(self.baseline, s, shared=True)]
        scores = self.trials.run([*own, *base])
        own_scores = scores[: len(own)]
        return own_scores, mean_log_ratio(own_scores, scores[len(own) :])

    def _fresh(self, program: Program, stage: Stage, *, shared: bool = False) -> list[Job]:
        return jobs_of(program, stage, "fused", FRESH_SEED, shared=shared)

    def comparison(self, program: Program) -> tuple[Row, ...]:
        """The best rule, the baseline and its rivals on the target tasks."""
        stage = self.funnel.target
        rules = [self.baseline, *self.rivals]
        if not stage.tasks:
            return ()
        self.say("comparing", f"{program.name} with tuned AdamW and others on unseen tasks")
        # The known rules' scores are the same in every run, so they are kept between runs.
        known = [job for rule in rules for job in self._fresh(rule, stage, shared=True)]
        scores = self.trials.run([*self._fresh(program, stage), *known])
        names = [program.name, *(rule.name for rule in rules)]
        width = len(stage.tasks)
        rows = []
        for place, name in enumerate(names):
            # A search that found nothing better would list its starter and baseline twice.
            if place == 0 and name == self.baseline.name:
                continue
            for task in range(width):
                score, base = scores[place * width + task], scores[width + task]
                rows.append(_row(name, score, base, is_baseline=place == 1))
        return tuple(rows)


def with_tuned_rate(program: Program, scores: list[TaskScore]) -> Program:
    """The rule with a default learning rate that suits: the median of its tuned ones."""
    rates = [s.learning_rate for s in scores if not s.diverged]
    if not rates or LEARNING_RATE not in program.defaults:
        return program
    return program.with_defaults(lr=float(f"{np.exp(np.median(np.log(rates))):.1g}"))


def _row(rule: str, score: TaskScore, base: TaskScore, *, is_baseline: bool) -> Row:
    row = Row(rule, score.task, score.learning_rate, score.value, len(score.seeds))
    if is_baseline or score.diverged or base.diverged:
        return row
    result = compare(score, base)
    bounded = math.isfinite(result.low)
    return dataclasses.replace(
        row,
        log_ratio=result.mean,
        low=result.low if bounded else None,
        high=result.high if bounded else None,
    )
