"""Counts of a run's candidates: rejected by gate, duplicates, and trained by task."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...evaluators.formatting import number, plural, share
from ..config.seeds import ROUNDS_END
from ..config.settings import Funnel, SearchConfig
from ..store.ledger import Ledger
from ..store.outcome import Round
from ..store.plain import shown
from ..store.records import ALIKE, Status

# Chen et al. 2023, appendix: the cache of their search had this hit rate.
LION_HIT_RATE = "89 %"
# The fact that stores the counts of a trimmed ledger, whose rows are gone.
COUNTS = "tally"
# Errors that mean that a stored result is not a score.
_NO_SCORE = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError),
)
# How a trial on a task ended.
PASSED, STOPPED, DIVERGED = "passed", "stopped", "diverged"


@dataclass(frozen=True)
class Reached:
    """The outcomes of trials on one task.

    Attributes:
      task: its name. stage: "screen" or "proxy".
      trials: how many candidates were trained on it. stopped: how many of them by early stopping.
      diverged: how many of them at every learning rate.
    """

    task: str
    stage: str
    trials: int
    stopped: int
    diverged: int


@dataclass(frozen=True)
class SearchCounts:
    """Numbers of proposals.

    Attributes:
      rejected: by gate, the strictest first.
      same_program, same_behaviour: duplicates with an equal program, or an equal fingerprint.
      trials: ordinal and fitness of each trained proposal, in order; inf if it diverged.
      new, again: how many of the trials were a candidate's first, and how many a re-evaluation on a
        later round's problems.
      waiting: proposals that are not trained yet.
      reached: outcomes by task, in the order of training.
      exploits: training runs that scored below the lowest possible loss; they do not count.
      floors: the lowest possible loss by task, where that is not 0.
      unpromoted: trials that passed each task of the screen, but were too far behind overall.
    """

    rejected: Mapping[str, int]
    same_program: int
    same_behaviour: int
    trials: tuple[tuple[int, float], ...]
    new: int
    again: int
    waiting: int
    reached: tuple[Reached, ...]
    unpromoted: int
    exploits: int = 0
    floors: Mapping[str, float] = field(default_factory=dict)

    @property
    def all_rejected(self) -> int:
        """Proposals that a gate rejected."""
        return sum(self.rejected.values())

    @property
    def duplicates(self) -> int:
        """Proposals that got the fitness of an earlier candidate."""
        return self.same_program + self.same_behaviour

    @property
    def looked_up(self) -> int:
        """Proposals that passed the gates and were looked up in the cache."""
        return self.duplicates + self.new + self.again + self.waiting

    @property
    def proposed(self) -> int:
        """All proposals."""
        return self.all_rejected + self.looked_up

    @property
    def diverged(self) -> int:
        """Trials without a finite loss."""
        return sum(not math.isfinite(fitness) for _, fitness in self.trials)

    @property
    def whole(self) -> int:
        """Trials that passed every task of screen and proxy."""
        last = self.reached[-1] if self.reached else None
        return last.trials - last.stopped - last.diverged if last else len(self.trials)


def read_counts(opened: Ledger, config: SearchConfig, rounds: Sequence[Round]) -> SearchCounts:
    """Counts the candidates in a ledger.

    Args:
      opened: the run's ledger. config: its configuration. rounds: its finished rounds.
    """
    stored: SearchCounts | None = opened.fact_as(COUNTS, SearchCounts)
    if stored is not None:
        return stored
    rejected: Counter[str] = Counter()
    by_status: Counter[str] = Counter()
    trials: list[tuple[int, float]] = []
    digests: list[str] = []
    for candidate in opened.candidates():
        if candidate.status == Status.REJECTED:
            rejected[candidate.reason] += 1
        elif candidate.status == Status.DUPLICATE:
            by_status[ALIKE if candidate.reason == ALIKE else "program"] += 1
        elif candidate.fitness is None:
            by_status["waiting"] += 1
        else:
            by_status[candidate.status] += 1
            trials.append((candidate.ordinal, candidate.fitness))
            digests.append(candidate.digest)
    ends = [r.proposed for r in rounds]
    keys = [
        (digest, bisect_right(ends, ordinal))
        for digest, (ordinal, _) in zip(digests, trials, strict=True)
    ]
    endings, exploits, floors = _endings(opened)
    reached, unpromoted = _reached(keys, endings, config.funnel)
    return SearchCounts(
        dict(sorted(rejected.items(), key=lambda item: (-item[1], item[0]))),
        by_status["program"],
        by_status[ALIKE],
        tuple(trials),
        by_status[Status.NEW],
        by_status[Status.AGAIN],
        by_status["waiting"],
        reached,
        unpromoted,
        exploits,
        floors,
    )


def funnel_words(counts: SearchCounts) -> str:
    """The counts in a sentence."""
    gates = ", ".join(f"{reason} {count:,}" for reason, count in counts.rejected.items())
    rejected = f"{counts.all_rejected:,} rejected" + (f" ({gates})" if gates else "")
    again = f" ({counts.new:,} first, {counts.again:,} again)" if counts.again else ""
    waiting = f", {counts.waiting:,} not trained yet" if counts.waiting else ""
    whole = (
        f"; {counts.whole:,} of the trained on all proxies"
        if counts.reached and counts.trials
        else ""
    )
    if counts.exploits:
        whole += (
            f"; {plural(counts.exploits, 'training run')} scored below the task's lowest possible"
            " loss and did not count"
        )
    return (
        f"{counts.proposed:,} proposed: {rejected}, {plural(counts.duplicates, 'duplicate')},"
        f" {len(counts.trials):,} trained{again}{waiting}{whole}."
    )


def floor_words(counts: SearchCounts) -> str:
    """How losses are compared on tasks whose lowest possible loss is not 0; empty if none is."""
    if not counts.floors:
        return ""
    floors = ", ".join(
        f"{number(floor)} on {task}" for task, floor in sorted(counts.floors.items())
    )
    return f"Losses are compared by their distance from the lowest possible one: {floors}."


def cache_words(counts: SearchCounts) -> str:
    """The cache's hit rates, by level, in a sentence."""
    if not counts.looked_up:
        return "Every candidate was rejected, so none was looked up in the cache."
    whole = share(counts.duplicates, counts.looked_up)
    program, alike = (
        share(part, counts.looked_up) for part in (counts.same_program, counts.same_behaviour)
    )
    return (
        f"Cache hit rate: {whole} of the {counts.looked_up:,} candidates that passed the gates were"
        f" duplicates and cost no training ({program} the same program as an earlier one, {alike}"
        f" another program that behaves the same). The Lion paper reports {LION_HIT_RATE} for its"
        " far longer search."
    )


def _endings(opened: Ledger) -> tuple[dict[tuple[str, int, str], str], int, dict[str, float]]:
    """How each trial ended, by digest, round and task; and a search's `exploits` and `floors`."""
    exploits, floors = 0, {}
    numbers: dict[str, int | None] = {}
    found = {}
    for digest, task, fidelity, _, scores in opened.results():
        # Parsed by hand: the checked parser of `plain` takes ten times as long, and a long run has
        # a hundred thousand results.
        try:
            score = json.loads(scores)
            exploits += score.get("exploits", 0)
            if floor := float(score.get("floor", 0.0)):  # runs of older versions have none
                floors[task] = floor
            if fidelity not in numbers:
                numbers[fidelity] = _round_of(json.loads(fidelity)["seeds"])
            if (in_round := numbers[fidelity]) is not None:
                found[digest, in_round, task] = _ending(score)
        except (
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            ArithmeticError,
            RecursionError,
        ):
            raise opened.damaged(
                f"a result on {shown(task)} is no score: {shown(scores)}"
            ) from None
    return found, exploits, floors


def _round_of(seeds: Sequence[int]) -> int | None:
    """The round that used these seeds; None for later stages."""
    return seeds[0] // len(seeds) if seeds and seeds[0] < ROUNDS_END else None


def _ending(score: Mapping[str, Any]) -> str:
    """How a score ended, as `TaskScore` defines it; without NumPy, which is slower here."""
    if not any(map(math.isfinite, (sum(rate) for rate in zip(*score["scores"], strict=True)))):
        return DIVERGED
    return PASSED if score.get("stopped_at") is None else STOPPED


def _reached(
    keys: Iterable[tuple[str, int]], endings: Mapping[tuple[str, int, str], str], funnel: Funnel
) -> tuple[tuple[Reached, ...], int]:
    """The outcomes by task, and how many passed the screen's tasks without being promoted."""
    stages = {task: "proxy" for task in funnel.proxy.tasks}
    stages = {task: "screen" for task in funnel.screen.tasks} | stages
    by_task: dict[str, Counter[str]] = {task: Counter() for task in stages}
    unpromoted = 0
    for digest, in_round in keys:
        ended = {task: endings.get((digest, in_round, task)) for task in stages}
        for task, ending in ended.items():
            if ending is not None:
                by_task[task][ending] += 1
        passed = all(ended[task] == PASSED for task in funnel.screen.tasks)
        if passed and funnel.proxy.tasks and ended[funnel.proxy.tasks[0]] is None:
            unpromoted += bool(funnel.screen.tasks)
    reached = tuple(
        Reached(task, stages[task], sum(c.values()), c[STOPPED], c[DIVERGED])
        for task, c in by_task.items()
    )
    return reached, unpromoted
