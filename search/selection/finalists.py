"""The finalists of a search, and the Pareto front that decides the hall of fame."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

from ...dsl.algebra.canonical import program_digest
from ...dsl.algebra.simplifier import simplify
from ...dsl.syntax import format_program
from ..config.rules import rule_name
from ..config.settings import SearchConfig
from ..store.ledger import Ledger
from ..store.outcome import Finalist, Round
from ..store.records import Candidate


def finalists(config: SearchConfig, ledger: Ledger, rounds: Sequence[Round]) -> list[Finalist]:
    """The best distinct candidates, simplified: first champions by validation, then by fitness."""
    seen: set[str] = set()
    found: list[Finalist] = []
    for candidate, fitness in _best(ledger, rounds):
        program = simplify(ledger.program(candidate.program, f"candidate {candidate.ordinal}"))
        digest = program_digest(program)
        if digest in seen:
            continue
        seen.add(digest)
        if candidate.parent is not None:
            program = dataclasses.replace(
                program,
                name=f"evolved_{candidate.ordinal}",
                doc=f"Found by evoptax, starting from {', '.join(map(rule_name, config.start))}.",
            )
        found.append(
            Finalist(
                candidate.ordinal,
                fitness,
                math.inf,
                format_program(program),
                program.size,
                len(program.state),
            )
        )
        if len(found) == config.funnel.finalists:
            break
    return found


def _best(ledger: Ledger, rounds: Sequence[Round]) -> Iterator[tuple[Candidate, float]]:
    """Candidates with their fitness, the most promising first."""
    champions = [champion for r in rounds for champion in r.champions]
    for champion in sorted(champions, key=lambda c: (c.validation, c.ordinal)):
        candidate = ledger.candidate(champion.ordinal)
        assert candidate is not None
        yield candidate, champion.fitness
    for candidate in ledger.best_new():
        assert candidate.fitness is not None
        yield candidate, candidate.fitness


def is_on_front(finalist: Finalist, finalists: Sequence[Finalist]) -> bool:
    """Whether a finalist is on the Pareto front of validation score, size and state variables."""
    own = (finalist.validation, finalist.size, finalist.state)
    others = ((f.validation, f.size, f.state) for f in finalists)
    return not any(
        other != own and all(x <= y for x, y in zip(other, own, strict=True)) for other in others
    )
