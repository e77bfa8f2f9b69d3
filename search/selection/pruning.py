"""Simplification by effect: what does not change how a rule trains goes.

The cheapest of all programs that lack one call or hold a rounder constant is trained beside the
rule, on tasks that nothing was selected on, with the same seeds and learning rates; where it is not
worse, it takes the rule's place, and so on until nothing more can go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...dsl.algebra.canonical import program_digest
from ...dsl.algebra.reductions import reductions, with_plain_rate
from ...dsl.algebra.simplifier import rank, simplify
from ...dsl.machine.bytecode import TooLarge, check_fits
from ...dsl.program import Program
from ...evaluators.evaluate import Fidelity, score_from_json
from ...evaluators.scoring import LEARNING_RATES, TaskScore, joined, log_ratios
from ...evaluators.statistics import Estimate, estimate
from ...evaluators.tasks import list_tasks
from ..execution.base import Executor
from ..execution.jobs import Job, submit
from ..filters.trial import try_out

# Cheap tasks of several families, the validation tier first. Those that a rule was selected on, or
# is to be judged by, are passed over, and the first three of the rest are used.
_TASKS = (
    "cancer_mlp",
    "photo_siren",
    "burgers_pinn",
    "teacher_student",
    "digits_conv",
    "deep_linear",
    "cancer_logistic",
    "digits_vit",
    "rosenbrock",
    "text_transformer",
)
_TASK_COUNT = 3
# Training is cut here: an effect that shows only later is out of reach anyway.
MOST_STEPS = 200
SEEDS = 6
# Seeds that no search uses.
_FIRST_SEED = 50_000
# A change may cost this much, as a log-ratio, if its interval has zero within.
MOST_COST = 0.01
# On the first seeds of the first task, one that is so much worse is not tried any further.
_SCREEN_SEEDS = 2
_HOPELESS = 0.05
# The grid moves by this many rates, at most so many times, until the best rates lie inside.
_SHIFT, _SHIFTS = 4, 4


@dataclass(frozen=True)
class Pruned:
    """One step.

    Attributes:
      name: what was done. after: the program then.
      effect: on the validation loss, relative to the program before, as a log-ratio; None for what
        changes only the learning rate's unit.
    """

    name: str
    after: Program
    effect: Estimate | None


def tasks_for(taken: Sequence[str] = ()) -> tuple[str, ...]:
    """The tasks to judge steps by, for a rule that was selected on, or is compared on, others."""
    return tuple(name for name in _TASKS if name not in taken)[:_TASK_COUNT]


def prune(
    program: Program,
    tasks: Sequence[str],
    workers: Executor,
    say: Callable[[str], None] = lambda text: None,
    *,
    seeds: int = SEEDS,
    most_steps: int = MOST_STEPS,
    schedule: str = "constant",
) -> Iterator[Pruned]:
    """Steps towards a simpler program that trains as well.

    Args:
      program: simplified already.
      tasks: names of tasks that the rule was not selected on.
      workers: who train, on these tasks.
      say: told what is being tried.
      seeds: of every task. most_steps: of training.
      schedule: of the learning rate; see `evaluators.schedules`.

    Raises:
      UserError: the rule diverges on some task at every learning rate.
    """
    judge = _Judge(workers, tuple(tasks), seeds, most_steps, schedule)
    current, rates = program, judge.rates_for(program)
    refused: set[str] = set()
    while True:
        plain = with_plain_rate(current)
        if plain is not None:
            factor, current = plain
            rates = tuple(rate * factor for rate in rates)
            yield Pruned(f"learning rate in units of {factor:g}", current, None)
            continue
        for words, smaller in _candidates(current):
            digest = program_digest(smaller)
            if digest in refused:
                continue
            say(words)
            effect = judge.effect(smaller, current, rates)
            if effect is not None:
                current = smaller
                yield Pruned(words, current, effect)
                break
            refused.add(digest)
        else:
            return


def _candidates(program: Program) -> list[tuple[str, Program]]:
    """Simpler programs, each simplified exactly, the simplest first."""
    found: dict[str, tuple[str, Program]] = {}
    finite = try_out(program).finite
    for words, smaller in reductions(program):
        try:
            check_fits(smaller)
        except TooLarge:
            continue
        # The tasks to judge by need not have what divides zero by zero: weights without a gradient.
        if (finite & ~try_out(smaller).finite).any():
            continue
        simple = simplify(smaller)
        if rank(simple) < rank(program):
            found.setdefault(program_digest(simple), (words, simple))
    return sorted(found.values(), key=lambda pair: rank(pair[1]))


class _Judge:
    """Trains rules on the same problems and compares them."""

    def __init__(
        self,
        workers: Executor,
        tasks: tuple[str, ...],
        seeds: int,
        most_steps: int,
        schedule: str,
    ) -> None:
        self._schedule = schedule
        self._workers = workers
        self._tasks = tasks
        self._seeds = tuple(range(_FIRST_SEED, _FIRST_SEED + seeds))
        infos = {info.name: info for info in list_tasks()}
        steps = {name: infos[name].steps for name in tasks if name in infos}
        self._steps = {name: min(most_steps, steps.get(name, most_steps)) for name in tasks}
        self._known: dict[tuple[object, ...], list[TaskScore]] = {}

    def rates_for(self, program: Program) -> tuple[float, ...]:
        """A learning-rate grid, moved until the program's best rates lie inside."""
        rates = LEARNING_RATES
        step = rates[1] / rates[0]
        for _ in range(_SHIFTS):
            scores = self._scores(program, rates, self._tasks, self._seeds[:1])
            places = [score.best for score in scores if not score.diverged]
            low, high = places.count(0), places.count(len(rates) - 1)
            if 2 * max(low, high) <= len(places) or not places:
                break
            moved = step ** (_SHIFT if high >= low else -_SHIFT)
            rates = tuple(rate * moved for rate in rates)
        return rates

    def effect(
        self, program: Program, current: Program, rates: tuple[float, ...]
    ) -> Estimate | None:
        """What it costs to have one program in the place of another; None if too much."""
        first = self._differences(
            program, current, rates, self._tasks[:1], self._seeds[:_SCREEN_SEEDS]
        )
        if not first.mean() <= _HOPELESS:
            return None
        found = estimate(self._differences(program, current, rates, self._tasks, self._seeds))
        fine = found.mean <= 0 or (found.mean <= MOST_COST and found.low <= 0)
        return found if fine else None

    def _differences(
        self,
        program: Program,
        current: Program,
        rates: tuple[float, ...],
        tasks: tuple[str, ...],
        seeds: tuple[int, ...],
    ) -> np.ndarray:
        """Log-ratios of validation losses, shape (tasks, seeds)."""
        ours = self._scores(program, rates, tasks, seeds)
        theirs = self._scores(current, rates, tasks, seeds)
        return np.stack([log_ratios(a, b) for a, b in zip(ours, theirs, strict=True)])

    def _scores(
        self,
        program: Program,
        rates: tuple[float, ...],
        tasks: tuple[str, ...],
        seeds: tuple[int, ...],
    ) -> list[TaskScore]:
        key = (program_digest(program), rates, tasks, seeds)
        if key not in self._known:
            # A seed at a time, so that all workers have something to do.
            jobs = [
                Job(program, task, self._fidelity(rates, seed, task), "machine")
                for task in tasks
                for seed in seeds
            ]
            answers = [submit(self._workers, job) for job in jobs]
            scores = [score_from_json(answer.result()) for answer in answers]
            self._known[key] = [
                joined(scores[i * len(seeds) : (i + 1) * len(seeds)]) for i in range(len(tasks))
            ]
        return self._known[key]

    def _fidelity(self, rates: tuple[float, ...], seed: int, task: str) -> Fidelity:
        return Fidelity(rates, (seed,), steps=self._steps[task], schedule=self._schedule)
