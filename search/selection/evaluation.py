"""`evaluate`: compares rules on tasks, each with its learning rate tuned in the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ...dsl.errors import UserError
from ...dsl.inputs import Source, refusal
from ...dsl.machine.bytecode import fits_a_smaller_machine
from ...dsl.program import LEARNING_RATE, Program
from ...evaluators.backends.base import AS_DATA, COMPILED
from ...evaluators.fidelity import LEARNING_RATES, Fidelity
from ...evaluators.protocol import USUAL, Protocol
from ...evaluators.scores.comparison import RuleResult, compare_rules
from ...evaluators.scores.cost import Cost
from ...evaluators.scores.learning_rates import Grid, rate_search, searched
from ...evaluators.scores.profiles import CHECKPOINTS
from ...evaluators.scores.scoring import TaskScore
from ...evaluators.task_names import Scale, split_scale
from ..config.seeds import RATES
from ..config.stages import MOVES, scaled_from
from ..execution.base import Executor
from ..execution.jobs import Job, Memory, Trials
from ..execution.scheduling import Report, Run, train
from .how_far import costs_of, grid_on
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
      scaled: longer and wider tasks, which are no part of the results. by_scale: the same results
        over the tasks of each scale. costs: by rule, on the largest of these tasks.
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
    scaled: Sequence[str] = ()
    by_scale: Mapping[Scale, Sequence[RuleResult]] = field(default_factory=dict)
    costs: Mapping[str, Cost] = field(default_factory=dict)

    @property
    def unusable(self) -> list[str]:
        """Tasks on which the baseline diverged, which no comparison uses."""
        return [task for task in self.tasks if self.scores[self.baseline, task].diverged]

    def tasks_at(self, scale: Scale) -> list[str]:
        """The longer and wider tasks of a scale."""
        return [task for task in self.scaled if split_scale(task)[1] == scale]

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
    fits = {name: fits_a_smaller_machine(program) for name, program in programs.items()}

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

    reported = range(seeds)
    choosing = range(RATES, RATES + rate_seeds) if rate_seeds else reported

    def scored(grids: Mapping[Pair, Grid]) -> dict[Pair, TaskScore]:
        searches = {
            (name, task): rate_search(programs[name], grid, MOVES)
            for (name, task), grid in grids.items()
        }
        found = searched(searches, lambda grids: trained(grids, choosing))
        if not rate_seeds:
            return found
        return trained({pair: (score.learning_rate,) for pair, score in found.items()}, reported)

    scaled = scaled_from(tiers)
    plain = [task for task in tiers if task not in scaled]
    scores = scored({(name, task): LEARNING_RATES for name in programs for task in plain})
    near = {
        (name, task): grid_on(scores[name, base]) or LEARNING_RATES
        for name in programs
        for task, base in scaled.items()
    }
    scores |= scored(near)
    tuned = frozenset(name for name, p in programs.items() if LEARNING_RATE in p.defaults)
    by_scale = {
        scale: compare_rules(
            scores, list(programs), [t for t in scaled if split_scale(t)[1] == scale], baseline
        )
        for scale in dict.fromkeys(split_scale(task)[1] for task in scaled)
    }
    waits = Trials(workers, Memory(), should_stop).result
    return Evaluation(
        baseline,
        plain,
        seeds,
        schedule,
        compare_rules(scores, list(programs), plain, baseline),
        scores,
        tuned,
        rate_seeds=rate_seeds,
        scaled=list(scaled),
        by_scale=by_scale,
        costs=costs_of(programs, list(scaled), workers, waits) if scaled else {},
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
