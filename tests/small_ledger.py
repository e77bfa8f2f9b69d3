"""Runs made by hand, without training: real programs and mutations, invented scores."""

from __future__ import annotations

import dataclasses
import math
import random
from contextlib import closing
from pathlib import Path
from typing import Any

from evoptax.dsl.canonical import program_digest
from evoptax.dsl.program import Program
from evoptax.dsl.simplifier import simplify
from evoptax.dsl.syntax import format_program, parse
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search import ledger
from evoptax.search.config import Budget, SearchConfig
from evoptax.search.evolution import Proposal, Status
from evoptax.search.finals import Finalist, Outcome, Row
from evoptax.search.mutation import mutate
from evoptax.search.runs import Run, create_run

HOSTILE = "<script>alert('&\"`\\')</script>"


def make_run(
    folder: Path,
    *,
    name: str = "trial",
    count: int = 30,
    seed: int = 0,
    config: SearchConfig | None = None,
    doc: str = "",
    change: str = "",
) -> Run:
    """A run of `count` candidates: some rejected, some duplicates, some diverged.

    Args:
      doc: the docstring of every program. change: put before every change.
    """
    run = create_run(folder, name, config or SearchConfig(budget=Budget(candidates=count or 1)))
    rng = random.Random(seed)
    with closing(ledger.open_to_write(run.ledger_path)) as opened:
        opened.start_session()
        parents: list[tuple[int, Program, float]] = []
        first: dict[str, int] = {}
        scores: dict[int, float] = {}
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
            twin = first.get(digest)
            status, reason = Status.NEW if twin is None else Status.DUPLICATE, ""
            if twin is None and parent is not None and rng.random() < 0.2:
                status, reason = Status.REJECTED, "does not descend"
            if status is Status.NEW:
                first[digest] = ordinal
                drawn = math.inf if rng.random() < 0.15 else rng.gauss(-0.001 * ordinal, 0.02)
                scores[ordinal] = 0.0 if parent is None else drawn
            elif twin is not None:
                scores[ordinal] = scores[twin]
            if status is not Status.REJECTED and math.isfinite(scores[ordinal]):
                parents.append((ordinal, program, scores[ordinal]))
            opened.propose(
                [Proposal(ordinal, parent, words, program, digest, status, reason, twin)]
            )
        opened.commit_fitness(scores)
        opened.add_seconds(42.0)
    return run


def finish(run: Run, *, seeds: int = 5, task: str = "photo_denoiser", **changes: Any) -> Outcome:
    """Stores an outcome: the best candidate, clearly better on one unseen task, open on another."""
    with closing(ledger.open_to_write(run.ledger_path)) as opened:
        trained = [
            (c.fitness, c.ordinal, c.program)
            for c in opened.candidates()
            if c.status == "new" and c.parent is not None and c.fitness is not None
        ]
        fitness, ordinal, program = min(trained)
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
        finalists = (Finalist(ordinal, fitness, -0.02, -0.01), Finalist(0, 0.0, math.inf))
        text = format_program(rule)
        outcome = Outcome(ordinal, program, text, fitness, True, finalists, rows)
        outcome = dataclasses.replace(outcome, **changes)
        opened.set_fact("outcome", dataclasses.asdict(outcome))
    return outcome
