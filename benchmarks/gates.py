"""What the gates and the behavioural fingerprint do to a search, and whether they are right.

Evolves a population from AdamW by real training, then

- counts which proposals are structural duplicates, rejected at each gate, or behavioural
  duplicates of a candidate trained before, and how the trained ones fare;
- compares the scores of behavioural duplicates, which were all trained here, with their twins';
- trains samples of what each gate rejected, and counts how many would have scored.

    python benchmarks/gates.py [--candidates N] [--samples N] [--docs]
"""

from __future__ import annotations

import argparse
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
from evoptax.dsl.algebra.canonical import program_digest
from evoptax.dsl.machine.bytecode import TooLarge
from evoptax.dsl.program import Program
from evoptax.evaluators.cache import enable_compilation_cache
from evoptax.evaluators.fidelity import Fidelity
from evoptax.evaluators.scores.evaluate import Evaluator
from evoptax.evaluators.scores.scoring import TaskScore, bounded, log_ratio, mean_over_tasks
from evoptax.evaluators.tasks import get_task
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.settings import Evolution, Funnel, SearchConfig
from evoptax.search.filters.fingerprints import behaviour
from evoptax.search.filters.gates import examine
from evoptax.search.mutation.mutate import mutate
from evoptax.search.store.records import ALIKE, Status
from evoptax.search.strategies.kinds.evolution import STRATEGY
from evoptax.search.strategies.state import Batch, SearchState
from mutation import microseconds_each
from performance import environment
from scipy import stats

# The default screen, by which the population evolves, and two more.
SCREEN = ("quadratic", "digits_mlp")
TASKS = (*SCREEN, "cancer_logistic", "rosenbrock")
SETTINGS = Evolution(population=200, tournament=3, round=0)
FUNNEL = Funnel()
LEVEL = FUNNEL.promote_within
# A large program may be a good one: the gate is a limit, not a conclusion.
LIMITS = ("too large", "too large for the machine")
DOCS = Path(__file__).resolve().parent.parent / "docs" / "gates.md"

Table = list[str]


class Trained:
    """Scores of programs, each trained once, relative to AdamW tuned on the same grid."""

    def __init__(self) -> None:
        self._evaluator = Evaluator({name: get_task(name) for name in TASKS})
        self._baseline = get_known("adamw").program
        self.score = cache(self._score)

    def _score(self, program: Program, task: str) -> TaskScore:
        return self._evaluator.score(program, task, Fidelity())

    def ratio(self, program: Program, task: str) -> float:
        """log(rule / AdamW) on a task, as much as counts; inf where it diverged at every rate."""
        found = log_ratio(self.score(program, task), self.score(self._baseline, task))
        return float(bounded(found, FUNNEL.most_gain))

    def fitness(self, program: Program, tasks: Iterable[str] = SCREEN) -> float:
        """The mean of log-ratios."""
        return mean_over_tasks(self.ratio(program, task) for task in tasks)


def evolve(trained: Trained, candidates: int, seed: int) -> tuple[list[Batch], SearchState]:
    """All batches of a search until so many candidates were trained."""
    state = STRATEGY.init(SearchConfig(seed=seed, evolution=SETTINGS), [get_known("adamw").program])
    batches = []
    while state.trained < candidates:
        while STRATEGY.should_ask(state):
            _, state = STRATEGY.ask(state)
        batches.append(state.pending[0])
        new = [p for p in state.pending[0] if p.status is Status.NEW]
        state = STRATEGY.tell(state, {p.ordinal: trained.fitness(p.program) for p in new})
    return batches, state


def share(count: int, of: int) -> str:
    return f"{count:,} ({count / max(of, 1):.1%})"


def proposals_table(trained: Trained, batches: Sequence[Batch]) -> Table:
    """What became of proposals."""
    proposals = [p for batch in batches[1:] for p in batch]
    fates = Counter((p.status, p.reason) for p in proposals)
    new = [p.program for p in proposals if p.status is Status.NEW]
    alike = fates[Status.DUPLICATE, ALIKE]
    fitness = [trained.fitness(program) for program in new]
    fingerprints = [behaviour(program) for program in new]
    rows = [
        ("proposals", f"{len(proposals):,}"),
        ("duplicates by structure", share(fates[Status.DUPLICATE, ""], len(proposals))),
        ("duplicates by behaviour", share(alike, len(proposals))),
        ("  as a share of those new by structure", share(alike, alike + len(new))),
        ("trained", share(len(new), len(proposals))),
        ("  diverge", share(fitness.count(math.inf), len(new))),
        (f"  score (at most {LEVEL})", share(sum(f <= LEVEL for f in fitness), len(new))),
        ("  have no fingerprint", share(fingerprints.count(None), len(new))),
    ]
    rows += [
        (f"rejected: {reason}", share(count, len(proposals)))
        for (status, reason), count in fates.most_common()
        if status is Status.REJECTED
    ]
    return ["| | |", "| --- | ---: |", *(f"| {name} | {value} |" for name, value in rows)]


def merges_table(trained: Trained, batches: Sequence[Batch]) -> Table:
    """Whether duplicates by behaviour, trained after all, score as their twins do."""
    proposals = [p for batch in batches for p in batch]
    gaps, scaled = [], 0
    for p in proposals:
        if p.reason != ALIKE or p.duplicate_of is None:
            continue
        duplicate_of = proposals[p.duplicate_of].program
        ours, theirs = behaviour(p.program), behaviour(duplicate_of)
        assert ours is not None and theirs is not None
        if abs(ours.log_scale - theirs.log_scale) > 1e-6:
            # On the same grid their learning rates are not the same.
            scaled += 1
            continue
        gaps.append(max(_gap(trained, p.program, duplicate_of, task) for task in SCREEN))
    apart = np.array(gaps)
    return [
        f"{len(gaps):,} pairs of one scale, {scaled:,} of different ones. Of the former"
        f" {int(np.sum(apart == 0)):,} have identical tuned scores, {int(np.sum(apart <= 0.01)):,}"
        f" scores within 1 %; the furthest apart are {apart.max(initial=0.0):.1%}."
    ]


def _gap(trained: Trained, one: Program, other: Program, task: str) -> float:
    """Log-ratio of tuned scores; 0 where both diverged."""
    a, b = trained.score(one, task), trained.score(other, task)
    if a.diverged or b.diverged:
        return 0.0 if a.diverged is b.diverged else math.inf
    return abs(math.log(max(a.value, 1e-9)) - math.log(max(b.value, 1e-9)))


def rejects(state: SearchState, samples: int, most: int) -> dict[str, list[Program]]:
    """Distinct children that the gates reject, by reason, up to so many of each."""
    rng = random.Random(0)
    found: dict[str, dict[str, Program]] = defaultdict(dict)
    for _ in range(most):
        program = rng.choice(state.population).program
        for _ in range(rng.choice((1, 2, 4))):
            child = mutate(program, rng)
            program = child.program if child else program
        reason = examine(program, max_size=SETTINGS.max_size).rejection
        if reason and reason not in LIMITS and len(found[reason]) < samples:
            found[reason][program_digest(program)] = program
    return {reason: list(programs.values()) for reason, programs in found.items()}


def rejects_table(trained: Trained, found: Mapping[str, Sequence[Program]]) -> Table:
    """How many of what was rejected would have scored."""
    lines = [
        "| reason | trained | diverge | score | best fitness | rate at most | score on one task |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for reason, programs in found.items():
        ratios = np.full((len(programs), len(TASKS)), np.inf)
        for i, program in enumerate(programs):
            for j, task in enumerate(TASKS):
                try:
                    ratios[i, j] = trained.ratio(program, task)
                except TooLarge:
                    break
        fitness = ratios[:, : len(SCREEN)].mean(1)
        scored = int(np.sum(fitness <= LEVEL))
        # Clopper and Pearson's one-sided 95 % bound.
        bound = stats.beta.ppf(0.95, scored + 1, len(programs) - scored)
        lines.append(
            f"| {reason} | {len(programs)} | {np.mean(np.isinf(fitness)):.0%} | {scored}"
            f" | {fitness.min():.2f} | {bound:.1%} | {int(np.sum((ratios <= LEVEL).any(1)))} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=1500)
    parser.add_argument("--samples", type=int, default=300, help="of each reason")
    parser.add_argument("--tries", type=int, default=40_000, help="children bred to find them")
    parser.add_argument("--docs", action="store_true", help="write docs/gates.md")
    args = parser.parse_args()
    enable_compilation_cache()
    trained = Trained()
    batches, state = evolve(trained, args.candidates, seed=0)
    proposals = [p for batch in batches for p in batch]
    bred = [p.program for p in proposals]
    sections = {
        "environment": [environment()],
        "cost": [
            f"{microseconds_each(partial(examine, max_size=SETTINGS.max_size), bred):.0f} us per"
            f" proposal of {np.mean([p.size for p in bred]):.0f} calls on average"
        ],
        "proposals": proposals_table(trained, batches),
        "merges": merges_table(trained, batches),
        "rejects": rejects_table(trained, rejects(state, args.samples, args.tries)),
    }
    for name, lines in sections.items():
        print(f"\n{name}\n" + "\n".join(lines))
    if args.docs:
        DOCS.write_text(filled(DOCS.read_text(encoding="utf-8"), sections), encoding="utf-8")


def filled(page: str, sections: Mapping[str, Table]) -> str:
    """The page with each section's lines between `<!-- name -->` and `<!-- end -->`."""
    for name, lines in sections.items():
        before, _, rest = page.partition(f"<!-- {name} -->\n")
        page = "".join(
            (
                before,
                f"<!-- {name} -->\n",
                "\n".join(lines),
                "\n<!-- end -->",
                *rest.partition("<!-- end -->")[2:],
            )
        )
    return page


if __name__ == "__main__":
    main()
