"""`evaluate`: compares rules on tasks, each with its learning rate tuned in the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ...dsl.errors import UserError
from ...dsl.inputs import Source, refusal
from ...dsl.machine.bytecode import TooLarge, assemble
from ...dsl.machine.operations import FULL
from ...dsl.program import LEARNING_RATE, Program
from ...evaluators.backends.base import AS_DATA, COMPILED
from ...evaluators.fidelity import LEARNING_RATES, Fidelity
from ...evaluators.protocol import USUAL, Protocol
from ...evaluators.scores.comparison import RuleResult, compare_rules
from ...evaluators.scores.learning_rates import Grid, rate_search, searched
from ...evaluators.scores.profiles import CHECKPOINTS
from ...evaluators.scores.scoring import TaskScore
from ..config.seeds import RATES
from ..config.stages import MOVES
from ..execution.base import Executor
from ..execution.jobs import Job
from ..execution.scheduling import Report, Run, train
from .tuning.tune import Tuned

Pair = tuple[str, str]  # a rule and a task


@dataclass(frozen=True)
class Tuning:
    """How the constants of all compared rules were tuned, on other seeds than those compared on.

    Attributes:
      trials: the largest number of sets of constants that were tried for each rule.
      tasks: names of the tasks it was done on. protocol: whether that was tuned too.
      rules: the result by rule.
    """

    trials: int
    tasks: Sequence[str]
    protocol: bool
    rules: Mapping[str, Tuned]


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`.

    Attributes:
      baseline: the rule that the others are compared with.
      tasks: names.
      seeds: the number of training runs of each rule on each task.
      rate_seeds: of how many further runs the learning rates were chosen; 0: of those same ones.
      schedule: name of the learning-rate schedule.
      results: one per rule, best first.
      scores: by rule and task.
      tuned: the rules that have a learning rate.
      tuning: how the constants of all rules were tuned before; None if they are as written.
    """

    baseline: str
    tasks: Sequence[str]
    seeds: int
    schedule: str
    results: Sequence[RuleResult]
    scores: Mapping[Pair, TaskScore]
    tuned: frozenset[str]
    tuning: Tuning | None = None
    rate_seeds: int = 0

    @property
    def unusable(self) -> list[str]:
        """Tasks on which the baseline diverged, which no comparison uses."""
        return [task for task in self.tasks if self.scores[self.baseline, task].diverged]

    @property
    def rivals(self) -> list[RuleResult]:
        """The rules that are compared with the baseline."""
        return [result for result in self.results if result.rule != self.baseline]


def evaluate(
    programs: Mapping[str, Program],
    baseline: str,
    workers: Executor,
    *,
    seeds: int,
    rate_seeds: int = 0,
    schedule: str = "constant",
    backend: str = "",
    protocols: Mapping[str, Protocol] | None = None,
    report: Report = lambda training: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Evaluation:
    """Trains rules on the tasks that the workers have loaded, and compares them.

    Args:
      programs: by name, the baseline among them.
      baseline: the rule that the others are compared with.
      workers: the executor.
      seeds: training runs of each rule on each task.
      rate_seeds: training runs, with other seeds, by which the learning rate of a rule on a task is
        chosen; it is then trained with that one alone. 0: the rate is chosen by the runs that are
        reported, which trains all of them with every rate.
      schedule: name of the learning-rate schedule; see `evaluators.schedules`.
      backend: name of the backend. Default: on proxy tasks the machine, unless the rule
        needs the full one; else the fused path, because there training takes longer than compiling.
      protocols: the training protocol of each rule; default: the usual one.
      report, should_stop: see `scheduling.train`.

    Raises:
      UserError: a task cannot be loaded or trained.
      Stopped: when asked to stop; finished scores stay in the user's cache.
    """
    tiers = workers.tiers()
    fits = {name: _fits_a_smaller_machine(program) for name, program in programs.items()}

    def path(name: str, task: str) -> str:
        return backend or (AS_DATA if tiers[task] == "proxy" and fits[name] else COMPILED)

    def trained(grids: Mapping[Pair, Grid], these: range) -> dict[Pair, TaskScore]:
        jobs = {
            Run(name, task, seed): Job(
                programs[name],
                task,
                Fidelity(rates, (seed,), checkpoints=CHECKPOINTS, schedule=schedule).under(
                    (protocols or {}).get(name, USUAL)
                ),
                path(name, task),
                shared=True,
            )
            for (name, task), rates in grids.items()
            for seed in these
        }
        return train(jobs, workers, report, should_stop)

    searches = {
        (name, task): rate_search(program, LEARNING_RATES, MOVES)
        for name, program in programs.items()
        for task in tiers
    }
    reported = range(seeds)
    choosing = range(RATES, RATES + rate_seeds) if rate_seeds else reported
    scores = searched(searches, lambda grids: trained(grids, choosing))
    if rate_seeds:
        chosen = {pair: (score.learning_rate,) for pair, score in scores.items()}
        scores = trained(chosen, reported)
    tuned = frozenset(name for name, p in programs.items() if LEARNING_RATE in p.defaults)
    results = compare_rules(scores, list(programs), list(tiers), baseline)
    return Evaluation(
        baseline, list(tiers), seeds, schedule, results, scores, tuned, rate_seeds=rate_seeds
    )


def trainable(
    programs: Mapping[str, Program], asked: Sequence[str], baseline: str
) -> tuple[dict[str, Program], tuple[str, ...]]:
    """Leaves out rules that need inputs which training does not provide.

    Returns:
      The other rules, and a sentence for each rule that is left out.

    Raises:
      UserError: the baseline, or every requested rule, would be left out.
    """
    lacks = {name: refusal(program, Source.TRAINING) for name, program in programs.items()}
    left_out = {name: f"{name} {lack}" for name, lack in lacks.items() if lack}
    for name, reason in left_out.items():
        if name == baseline or all(rule in left_out for rule in asked):
            raise UserError(reason)
    kept = {name: program for name, program in programs.items() if name not in left_out}
    return kept, tuple(f"{reason}; it is left out" for reason in left_out.values())


def _fits_a_smaller_machine(program: Program) -> bool:
    """Whether a program needs no full machine, which is slower than compiling."""
    try:
        return assemble(program).form != FULL
    except TooLarge:
        return False
