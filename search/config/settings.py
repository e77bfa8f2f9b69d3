"""What a search is told, as frozen dataclasses; `files.py` reads, checks and writes them.

A field's annotation says what it accepts; the command line's options have the same ranges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated

from ...dsl.plugins import implementation, names_in
from ...dsl.primitives import PRIMITIVES
from ...evaluators.backends.base import backends
from ...evaluators.schedules import SCHEDULES
from ..execution.base import executors
from ..mutation.base import READABLE, Space, mutations, usual_weights
from ..mutation.weights import PRIMITIVE_WEIGHTS
from .ranges import Named, Names, NumberOrName, OneFound, OneOf, Range, Rising, Weights


@dataclass(frozen=True)
class Budget:
    """When to stop searching; whichever comes first. None means no limit.

    Attributes:
      seconds: of search, over all sessions of a run. Where it stops depends on the machine.
      candidates: distinct programs trained. Where it stops repeats exactly.
    """

    seconds: Annotated[float | None, Range(0, 1e9, "30 years", above=True)] = None
    candidates: Annotated[int | None, Range(1, 10**9, "the ledger would not fit a disk")] = None


# The package of what proposes candidates; it imports this module, so it is named and not imported.
STRATEGIES = "evoptax.search.strategies.kinds"
# The strategy that reads traces.
DISTILLATION = "distillation"


def _strategy_names() -> tuple[str, ...]:
    return names_in(STRATEGIES)


def _mutation_names() -> tuple[str, ...]:
    return tuple(mutation.name for mutation in mutations())


def _primitive_names() -> tuple[str, ...]:
    return tuple(row.name for row in PRIMITIVES.values() if row.searched)


@dataclass(frozen=True)
class Evolution:
    """Regularized evolution (Real et al. 2019), as in the Lion paper, and what it is compared with.

    Attributes:
      strategy: what proposes candidates; see `search.strategies.base`.
      population: how many individuals live; the oldest dies when one is born.
      tournament: how many are drawn to find a parent, the fittest of them.
      islands: into how many populations they are divided; after each round the best of each is
        copied to the next.
      batch: candidates to be trained that are proposed before any of them is scored. Part of what
        repeats exactly, so it does not depend on the number of workers.
      round: how many are trained on the same problems before fresh ones are drawn and the best go
        to validation; 0: the problems stay the same, and nothing is validated before the end.
      patience: where so many rounds do no better in validation than as many before, the population
        starts afresh, by turns from the start and from the best; 0: never.
      survivors: how much of a population, the fittest, survives a round: it is trained again on the
        next one's problems.
      mutations: mean number of mutations from parent to child (at least one; geometric).
      max_size: most primitive calls in a program.
      max_state: most state variables in a program.
      inputs: what mutations may read.
      weights: how often each mutation is drawn, relative to the others; 0: never. A configuration
        that names some leaves the others as they are.
      primitives: the same of the primitives that mutations write.
      cache: whether a candidate that behaves as an earlier one gets its fitness untrained.
      gates: whether candidates must descend simple problems before they are trained.
    """

    strategy: Annotated[str, OneFound(_strategy_names)] = "evolution"
    population: Annotated[int, Range(2, 100_000, "all of it is kept in memory")] = 1000
    tournament: Annotated[int, Range(1, 100_000, "no population is larger")] = 2
    islands: Annotated[int, Range(1, 1000, "each needs a population of 2 or more")] = 1
    batch: Annotated[int, Range(1, 10_000, "nothing is learned before all of it is trained")] = 16
    round: Annotated[int, Range(0, 10**9, "no budget is larger")] = 1000
    patience: Annotated[int, Range(0, 10**9, "no search has more rounds")] = 5
    survivors: Annotated[float, Range(0, 1, above=True)] = 0.25
    mutations: Annotated[float, Range(1, 100, "more leave nothing of the parent")] = 1.5
    max_size: Annotated[int, Range(1, 500, "the machine has no room for more")] = 60
    max_state: Annotated[int, Range(0, 12, "the machine has no room for more")] = 4
    inputs: Annotated[tuple[str, ...], Names("inputs", among=READABLE)] = READABLE
    weights: Annotated[Mapping[str, float], Weights("mutations", _mutation_names)] = field(
        default_factory=usual_weights
    )
    primitives: Annotated[Mapping[str, float], Weights("primitives", _primitive_names)] = field(
        default_factory=lambda: dict(PRIMITIVE_WEIGHTS)
    )
    cache: bool = True
    gates: bool = True

    @cached_property
    def space(self) -> Space:
        """What mutations may reach."""
        return Space(self.max_state, self.inputs, self.weights, self.primitives)

    @cached_property
    def space_of_constants(self) -> Space:
        """What mutations may reach where nothing but constants changes."""
        return replace(self.space, weights={"scale_constant": 1.0})


LEARNING_RATE_RANGE = Range(1e-12, 1e6, "training is in float32, and the grid may move")
# Of log-ratios: e^100 is a ratio that no loss in float32 has.
_LOG_RATIO = Range(0, 100, "a log-ratio, of which 100 is as good as infinite")
_FINALISTS = Range(1, 1000, "each is trained on every task of its stage")


@dataclass(frozen=True)
class Stage:
    """Tasks and how thoroughly rules are tried on them.

    Attributes:
      tasks: names of built-in tasks, or FILE.py:NAME; in a file, from the folder of that file.
      learning_rates: the grid that every rule gets, moved until its best rate lies inside; empty
        for the default grid.
      seeds: how many seeds of the problem, its initial weights and minibatches.
      schedule: what all learning rates are multiplied by at each step: constant, cosine or linear.
    """

    tasks: Annotated[tuple[str, ...], Names("names of tasks")] = ()
    learning_rates: Annotated[tuple[float, ...], Rising(LEARNING_RATE_RANGE, 100)] = ()
    seeds: Annotated[int, Range(1, 1000, "each is a training run of every rule")] = 1
    schedule: Annotated[str, OneOf(SCHEDULES)] = "cosine"


STAGES = ("screen", "proxy", "validation", "target")


@dataclass(frozen=True)
class Funnel:
    """From many cheap trials to few thorough ones.

    Attributes:
      screen: every candidate is trained on these.
      proxy: only candidates that pass the screen are trained on these too.
      promote_within: a candidate passes when its mean log-ratio to tuned AdamW on the screen is
        at most this (0.05: at most about 5 % worse).
      most_gain: what the gain on a task counts at most, as a log-ratio, so that none carries a rule
        (0.5: 39 % lower loss; see `evaluators.scores.scoring.bounded`).
      early_stopping: a candidate's training is stopped where its validation loss is this far behind
        tuned AdamW's at the same step, as a log-ratio (0.7: twice as high).
      validation: chooses among the finalists, on tasks that the evolution has not seen, or on
        seeds that it has not seen of tasks that it has.
      target: the final comparison; nothing is chosen by these tasks.
      champions: how many of the best candidates are validated after each round.
      finalists: how many of the best candidates are compared at the end.
      confirmed: how many of those that no simpler one beats are trained by the compiled path, at
        least until one is confirmed; they are the hall of fame.
      tuned: how many of them have their constants tuned before.
      pruned: whether what does not change how the best rule trains is removed from it.
    """

    screen: Stage = Stage(("quadratic", "cancer_logistic"))
    proxy: Stage = Stage(("deep_linear", "diabetes_quantiles", "digits_mlp"))
    promote_within: Annotated[float, Range(-100, 100, _LOG_RATIO.why)] = 0.1
    most_gain: Annotated[float, Range(0, 1e6, "as good as no limit")] = 0.5
    early_stopping: Annotated[float, _LOG_RATIO] = 0.7
    validation: Stage = Stage(("cancer_mlp", "digits_autoencoder"), seeds=2)
    target: Stage = Stage(("photo_denoiser", "text_transformer_large"), seeds=5)
    champions: Annotated[int, _FINALISTS] = 2
    finalists: Annotated[int, _FINALISTS] = 16
    confirmed: Annotated[int, _FINALISTS] = 6
    tuned: Annotated[int, Range(0, 1000, _FINALISTS.why)] = 0
    pruned: bool = False


_WORKERS = NumberOrName(
    Range(0, 1024, "processes of one machine; 0: one per core"), "an executor", executors
)


@dataclass(frozen=True)
class SearchConfig:
    """Everything that decides the outcome of a search, and how it runs.

    Attributes:
      seed: of the whole run; every random draw derives from it.
      start: known rules that the population starts from.
      baseline: the known rule that scores are relative to, tuned on the same grid.
      rivals: further known rules in the final comparison.
      workers: processes that train candidates, 0 for one per core; or the name of another executor
        (see `execution.base`). Does not change the outcome.
      backend: what trains candidates; see `evaluators.backends.base`.
      traces: file of traces, for the strategy "distillation", which finds a program for them in
        place of all training; the rest but the seed and the budget means nothing then. In a file,
        from that file's folder.
    """

    seed: Annotated[int, Range(0, 2**63 - 1, "64 bits")] = 0
    start: Annotated[tuple[str, ...], Names("names of known rules, as in adamw", 1)] = ("adamw",)
    baseline: Annotated[str, Named("the name of a known rule, as in adamw")] = "adamw"
    rivals: Annotated[tuple[str, ...], Names("names of known rules, as in lion")] = ("lion",)
    workers: Annotated[int | str, _WORKERS] = 0
    backend: Annotated[str, OneFound(backends)] = "machine"
    traces: str = ""
    budget: Budget = field(default_factory=Budget)
    evolution: Evolution = field(default_factory=Evolution)
    funnel: Funnel = field(default_factory=Funnel)

    @property
    def is_trained(self) -> bool:
        """Whether the strategy has candidates trained on tasks and compared with a baseline."""
        name = self.evolution.strategy
        trains: bool = implementation(STRATEGIES, name, "STRATEGY", "strategy").trains
        return trains

    @property
    def tasks(self) -> tuple[str, ...]:
        """Every task that candidates are trained on, once."""
        if not self.is_trained:
            return ()
        funnel = self.funnel
        stages = (funnel.screen, funnel.proxy, funnel.validation, funnel.target)
        return tuple(dict.fromkeys(task for stage in stages for task in stage.tasks))
