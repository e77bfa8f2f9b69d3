"""Pruning: removes from a rule what does not change how it trains.

Candidates are all programs with one call less or one constant rounded, the simplest first. Each is
trained beside the rule, on tasks that no selection used, with the same seeds and learning rates. If
it is not worse it replaces the rule, and the search starts again, until no candidate is accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...dsl.algebra.canonical import program_digest
from ...dsl.algebra.reductions import reductions, with_plain_rate
from ...dsl.algebra.simplifier import rank, simplify
from ...dsl.liveness import without_dead_code
from ...dsl.machine.bytecode import TooLarge, check_fits
from ...dsl.program import Program
from ...evaluators.backends.base import AS_DATA
from ...evaluators.fidelity import LEARNING_RATES, Fidelity
from ...evaluators.scores.learning_rates import Grid, rate_search, searched
from ...evaluators.scores.scoring import TaskScore, joined, log_ratios
from ...evaluators.scores.statistics import Estimate, estimate
from ...evaluators.tasks import list_tasks
from ..config.seeds import PRUNING
from ..config.stages import MOVES
from ..execution.jobs import Job, Trials
from ..filters.trial import try_out

# Training stops after this many steps; effects that need longer are not detected.
MOST_STEPS = 200
SEEDS = 6
# The largest accepted cost of a change, as a log-ratio, provided that its interval contains zero.
MOST_COST = 0.01
# A change that costs more than `_HOPELESS` on the first seeds of the first task is rejected at
# once.
_SCREEN_SEEDS = 2
_HOPELESS = 0.05

Rates = Mapping[str, Grid]  # by task


@dataclass(frozen=True)
class Pruned:
    """One accepted step.

    Attributes:
      name: the change in words. after: the program after it.
      effect: the log-ratio of validation losses, after over before; None if only the unit of the
        learning rate changed.
    """

    name: str
    after: Program
    effect: Estimate | None


def prune(
    program: Program,
    tasks: Sequence[str],
    trials: Trials,
    say: Callable[[str], None] = lambda text: None,
    *,
    seeds: int = SEEDS,
    most_steps: int = MOST_STEPS,
    schedule: str = "constant",
) -> Iterator[Pruned]:
    """Steps towards a simpler program that trains as well.

    Args:
      program: the rule, already simplified exactly.
      tasks: names of tasks that the rule was not selected on.
      trials: the workers, with these tasks loaded, and the store of results.
      say: called with each change before it is tried.
      seeds: the number of seeds per task. most_steps: the longest training.
      schedule: of the learning rate; see `evaluators.schedules`.

    Raises:
      UserError: the rule diverges on some task at every learning rate.
    """
    judge = _Judge(trials, tuple(tasks), seeds, most_steps, schedule)
    current, rates = program, judge.rates_for(program)
    refused: set[str] = set()
    while True:
        plain = with_plain_rate(current)
        if plain is not None:
            factor, current = plain
            rates = {t: tuple(rate * factor for rate in grid) for t, grid in rates.items()}
            yield Pruned(f"learning rate in units of {factor:g}", current, None)
            continue
        for words, smaller in _candidates(current):
            digest = program_digest(smaller)
            if digest in refused:
                continue
            say(words)
            effect = judge.effect(smaller, current, rates)
            if effect is not None:
                # Only now: an exact simplification takes seconds, and most reductions are refused.
                current = simplify(smaller)
                yield Pruned(words, current, effect)
                break
            refused.add(digest)
        else:
            return


def _candidates(program: Program) -> list[tuple[str, Program]]:
    """Simpler programs, the simplest first."""
    found: dict[str, tuple[str, Program]] = {}
    finite = try_out(program).finite
    for words, smaller in reductions(program):
        try:
            check_fits(smaller)
        except TooLarge:
            continue
        # Rejected if newly non-finite on some probe. Pruning tasks may lack what reveals a division
        # of zero by zero, such as weights without a gradient.
        if (finite & ~try_out(smaller).finite).any():
            continue
        smaller = without_dead_code(smaller)
        if rank(smaller) < rank(program):
            found.setdefault(program_digest(smaller), (words, smaller))
    return sorted(found.values(), key=lambda pair: rank(pair[1]))


class _Judge:
    """Trains rules on the same problems and compares them."""

    def __init__(
        self,
        trials: Trials,
        tasks: tuple[str, ...],
        seeds: int,
        most_steps: int,
        schedule: str,
    ) -> None:
        self._schedule = schedule
        self._trials = trials
        self._tasks = tasks
        self._seeds = tuple(range(PRUNING, PRUNING + seeds))
        infos = {info.name: info for info in list_tasks()}
        steps = {name: infos[name].steps for name in tasks if name in infos}
        self._steps = {name: min(most_steps, steps.get(name, most_steps)) for name in tasks}

    def rates_for(self, program: Program) -> Rates:
        """By task, the learning-rate grid in which the program's best rate lies."""
        searches = {task: rate_search(program, LEARNING_RATES, MOVES) for task in self._tasks}
        first = self._seeds[:1]
        found = searched(searches, lambda rates: self._scores(program, rates, first))
        return {task: score.learning_rates for task, score in found.items()}

    def effect(self, program: Program, current: Program, rates: Rates) -> Estimate | None:
        """The effect of replacing `current` by `program`; None if that costs too much."""
        one = {task: rates[task] for task in self._tasks[:1]}
        first = self._differences(program, current, one, self._seeds[:_SCREEN_SEEDS])
        if not first.mean() <= _HOPELESS:
            return None
        found = estimate(self._differences(program, current, rates, self._seeds))
        fine = found.mean <= 0 or (found.mean <= MOST_COST and found.low <= 0)
        return found if fine else None

    def _differences(
        self, program: Program, current: Program, rates: Rates, seeds: tuple[int, ...]
    ) -> np.ndarray:
        """Log-ratios of validation losses, shape (tasks, seeds)."""
        ours, theirs = (self._scores(p, rates, seeds) for p in (program, current))
        return np.stack([log_ratios(ours[task], theirs[task]) for task in rates])

    def _scores(
        self, program: Program, rates: Rates, seeds: tuple[int, ...]
    ) -> dict[str, TaskScore]:
        """A program's scores by task, each on its grid."""
        # One job per seed, so that all workers are busy.
        jobs = [
            Job(program, task, self._fidelity(grid, seed, task), AS_DATA)
            for task, grid in rates.items()
            for seed in seeds
        ]
        scores = iter(self._trials.run(jobs))
        return {task: joined([next(scores) for _ in seeds]) for task in rates}

    def _fidelity(self, rates: Grid, seed: int, task: str) -> Fidelity:
        return Fidelity(rates, (seed,), steps=self._steps[task], schedule=self._schedule)
