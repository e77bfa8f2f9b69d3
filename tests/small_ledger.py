"""Runs made by hand, without training: real programs and mutations, invented scores."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from contextlib import closing
from pathlib import Path
from typing import Any

from evoptax.dsl.algebra.canonical import program_digest
from evoptax.dsl.algebra.simplifier import simplify
from evoptax.dsl.program import Program
from evoptax.dsl.syntax import format_program, parse
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.settings import Budget, Funnel, SearchConfig
from evoptax.search.mutation.mutate import mutate
from evoptax.search.store import ledger
from evoptax.search.store.ledger import Ledger
from evoptax.search.store.outcome import Champion, Finalist, Outcome, Round, Row
from evoptax.search.store.records import ALIKE, Proposal, Status
from evoptax.search.store.runs import Run, create_run

# Simplifying finalists takes most of the time of what reads an unfinished run; one more than the
# champions of a round, so that some finalist was not validated.
FINALISTS = 3
HOSTILE = "<script>alert('&\"`\\')</script>"


def make_run(
    folder: Path,
    *,
    name: str = "trial",
    count: int = 30,
    seed: int = 0,
    rounds: int = 0,
    config: SearchConfig | None = None,
    doc: str = "",
    change: str = "",
) -> Run:
    """A run of `count` candidates: some rejected, some duplicates, some diverged.

    Args:
      rounds: into how many it is divided, of which some champions were validated; 0 for one that
        has not ended.
      doc: the docstring of every program. change: put before every change.
    """
    if config is None:
        config = SearchConfig(
            budget=Budget(candidates=count or 1), funnel=Funnel(finalists=FINALISTS)
        )
    run = create_run(folder, name, config)
    rng = random.Random(seed)
    with closing(ledger.open_to_write(run.ledger_path)) as opened:
        opened.start_session()
        parents: list[tuple[int, Program, float]] = []
        first: dict[str, int] = {}
        scores: dict[int, float] = {}
        trained: set[tuple[str, int]] = set()
        for ordinal in range(count):
            if ordinal < 2:
                start = get_known(("adamw", "lion")[ordinal]).program
                program = dataclasses.replace(start, doc=doc or start.doc)
                parent, words = None, f"start: {program.name}"
            else:
                parent, before, _ = min(rng.sample(parents, 2), key=lambda p: p[2])
                mutated = mutate(before, rng)
                assert mutated is not None
                program, words = mutated.program, change + mutated.change
            digest = program_digest(program)
            duplicate_of = first.get(digest)
            status, reason = Status.NEW if duplicate_of is None else Status.DUPLICATE, ""
            number = ordinal * rounds // count
            if duplicate_of is not None:
                reason = ALIKE if ordinal % 3 == 1 else ""
                if (digest, number) not in trained and not reason:
                    status = Status.AGAIN
            if duplicate_of is None and parent is not None and rng.random() < 0.2:
                status, reason = Status.REJECTED, "does not descend"
            if status is Status.NEW:
                first[digest] = ordinal
                drawn = math.inf if rng.random() < 0.15 else rng.gauss(-0.001 * ordinal, 0.02)
                scores[ordinal] = 0.0 if parent is None else drawn
            elif status is Status.AGAIN and duplicate_of is not None:
                scores[ordinal] = scores[duplicate_of] + 0.01
            elif duplicate_of is not None:
                scores[ordinal] = scores[duplicate_of]
            if status is not Status.REJECTED and math.isfinite(scores[ordinal]):
                parents.append((ordinal, program, scores[ordinal]))
            proposal = Proposal(
                ordinal, parent, words, program, digest, status, reason, duplicate_of
            )
            opened.propose([proposal])
            if status.is_trained:
                trained.add((digest, number))
                record(opened, config, proposal, number)
        opened.commit_fitness(scores)
        if rounds:
            tell_rounds(opened, made_rounds(opened, count, rounds))
        opened.add_seconds(42.0)
    return run


def record(opened: Ledger, config: SearchConfig, proposal: Proposal, number: int) -> None:
    """Stores results of a trial in a round: each fourth candidate is stopped, each fifth diverges
    on the first task.
    """
    for stage in (config.funnel.screen, config.funnel.proxy):
        for task in stage.tasks:
            seeds = [stage.seeds * number + i for i in range(stage.seeds)]
            stopped = 20 if proposal.ordinal % 4 == 3 else None
            loss = math.inf if proposal.ordinal % 5 == 4 else 0.5
            fidelity = {"learning_rates": [0.1, 1.0], "seeds": seeds, "checkpoints": 5}
            score = {"scores": [[loss, math.inf] for _ in seeds], "stopped_at": stopped}
            row = (proposal.digest, task, 1, json.dumps(fidelity), "machine", json.dumps(score))
            opened.record([row])
            if stopped is not None or loss == math.inf:
                return


def made_rounds(opened: Ledger, count: int, rounds: int) -> list[Round]:
    """Rounds of a run: in each, the two fittest new candidates do half as well when held out."""
    new = [c for c in opened.candidates() if c.status == "new" and (c.fitness or 0.0) < math.inf]
    found = []
    for number in range(rounds):
        own = [c for c in new if c.ordinal * rounds // count == number]
        best = sorted(own, key=lambda c: (c.fitness, c.ordinal))[:2]
        champions = tuple(
            Champion(c.ordinal, c.fitness or 0.0, (c.fitness or 0.0) / 2) for c in best
        )
        proposed = -(-count * (number + 1) // rounds)
        found.append(Round(number, proposed, proposed // 2, champions))
    return found


def tell_rounds(opened: Ledger, rounds: list[Round]) -> None:
    """Stores rounds as the engine does."""
    opened.set_fact("rounds", [dataclasses.asdict(r) for r in rounds])


def finish(run: Run, *, seeds: int = 5, task: str = "photo_denoiser", **changes: Any) -> Outcome:
    """Stores an outcome: the best candidate, clearly better on one unseen task, open on another."""
    with closing(ledger.open_to_write(run.ledger_path)) as opened:
        trained = [
            (c.fitness, c.ordinal, c.program)
            for c in opened.candidates()
            if c.status == "new" and c.parent is not None and c.fitness is not None
        ]
        fitness, ordinal, program = min(trained)
        tuned = tuple(changes.pop("tuned", ()))
        rule = dataclasses.replace(simplify(parse(program)), name=f"evolved_{ordinal}")
        bounds = {"low": -0.045, "high": -0.019} if seeds > 1 else {}
        rows = (
            Row(rule.name, task, 3e-3, 0.23, seeds, -0.032, **bounds),
            Row(rule.name, "text_transformer_large", 1e-3, 2.11, seeds, -0.008, -0.02, 0.005),
            Row("adamw", task, 1e-3, 0.24, seeds),
            Row("adamw", "text_transformer_large", 1e-3, 2.13, seeds),
            Row("lion", task, 1e-4, 0.25, seeds, 0.03, 0.01, 0.05),
            Row("lion", "text_transformer_large", 1e-4, math.inf, seeds),
        )
        text = format_program(rule)
        start = opened.candidate(0)
        assert start is not None
        finalists = (
            Finalist(ordinal, fitness, -0.02, text, rule.size, len(rule.state), tuned, -0.01),
            Finalist(0, 0.0, math.inf, start.program, 12, 2),
        )
        outcome = Outcome(ordinal, program, text, fitness, True, finalists, rows)
        outcome = dataclasses.replace(outcome, **changes)
        opened.set_fact("outcome", dataclasses.asdict(outcome))
    return outcome
