"""The configuration of a search, as frozen dataclasses; `files.py` reads, checks and writes them.

A field's annotation holds the accepted values, which the command line uses for its options too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Annotated

from ...dsl.plugins import implementation, names_in
from ...dsl.primitive import CORE
from ...evaluators.backends.base import AS_DATA, backends
from ...evaluators.schedules import SCHEDULES
from ...known_algorithms.catalogue import KNOWN, get_known
from ..execution.base import executors
from ..mutation.base import READABLE, Space, mutations, usual_weights
from ..mutation.grammars import DRAWABLE, GRAMMARS, READ_BY
from .pruning_tasks import tasks_for
from .ranges import Named, Names, NumberOrName, OneFound, OneOf, Range, Rising, Weights


@dataclass(frozen=True)
class Budget:
    """When to stop searching: at the first limit reached. None means no limit.

    Attributes:
      seconds: time of search, over all sessions of a run. Not reproducible.
      candidates: the number of distinct programs trained. Reproducible exactly.
    """

    seconds: Annotated[float | None, Range(0, 1e9, "30 years", above=True)] = None
    candidates: Annotated[int | None, Range(1, 10**9, "the ledger would not fit a disk")] = None


# The package of strategies. Named instead of imported, because it imports this module.
STRATEGIES = "evoptax.search.strategies.kinds"
# The strategy that reads traces.
DISTILLATION = "distillation"


# Known rules that lend parts by default. Written down, so that documenting another rule changes no
# search; none of them uses a matrix operation.
GRAFTS = (
    "momentum",
    "nesterov",
    "adagrad",
    "rmsprop",
    "adadelta",
    "adam",
    "amsgrad",
    "adabelief",
    "diffgrad",
    "adan",
    "lion",
    "optimistic_gd",
    "adagrad_norm",
    "lars",
    "lamb",
    "global_norm_clipping",
)


def _strategy_names() -> tuple[str, ...]:
    return names_in(STRATEGIES)


def _mutation_names() -> tuple[str, ...]:
    return tuple(mutation.name for mutation in mutations())


def _primitive_names() -> tuple[str, ...]:
    return DRAWABLE


# Stand for what the grammar says, until that is known.
_OF_GRAMMAR: Mapping[str, float] = MappingProxyType({})
_INPUTS_OF_GRAMMAR = ("those of the grammar",)


@dataclass(frozen=True)
class Evolution:
    """Regularized evolution (Real et al. 2019), as in the Lion paper, and its alternatives.

    Attributes:
      strategy: the search strategy; see `search.strategies.base`.
      population: the number of living individuals; each newborn replaces the oldest.
      tournament: the number of individuals drawn to select a parent, the fittest of them.
      islands: the number of separate populations; after each round the best individual of each is
        copied to the next.
      batch: the number of candidates that are proposed before any of them is scored. It affects the
        outcome, so it is independent of the number of workers.
      round: the number of candidates trained on the same problems; then the best are validated and
        fresh problems are drawn. 0: one set of problems, and validation only at the end.
      patience: the search restarts if this many rounds are no better in validation than as many
        before; alternately from the initial rules and from the best candidate. 0: never.
      survivors: the part of the population, its fittest, that is trained again on the next round's
        problems and stays.
      mutations: mean number of mutations from parent to child (geometric, at least 1).
      max_size: the largest number of primitive calls in a program.
      max_state: the largest number of state variables in a program.
      inputs: the inputs that mutations may read, by default those of the grammar.
      grammar: the primitives that mutations draw, and the inputs that they read; see
        `search.mutation.grammars`.
      weights: relative frequency of each mutation; 0: never. Those that a configuration does not
        name keep their defaults.
      primitives: relative frequency of each primitive in mutations. Those that a configuration
        does not name keep what the grammar says; those of other grammars may be named too.
      grafts: known rules whose parts the mutation `graft` puts into programs.
      cache: whether a candidate with a known fingerprint gets the known fitness without training.
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
    inputs: Annotated[tuple[str, ...], Names("inputs", among=READABLE)] = _INPUTS_OF_GRAMMAR
    grammar: Annotated[str, OneOf(tuple(GRAMMARS))] = CORE
    weights: Annotated[Mapping[str, float], Weights("mutations", _mutation_names)] = field(
        default_factory=usual_weights
    )
    primitives: Annotated[Mapping[str, float], Weights("primitives", _primitive_names)] = field(
        default_factory=lambda: _OF_GRAMMAR
    )
    grafts: Annotated[tuple[str, ...], Names("names of known rules", among=tuple(KNOWN))] = GRAFTS
    cache: bool = True
    gates: bool = True

    def __post_init__(self) -> None:
        if self.primitives is _OF_GRAMMAR:
            object.__setattr__(self, "primitives", dict(GRAMMARS.get(self.grammar, {})))
        if self.inputs is _INPUTS_OF_GRAMMAR:
            object.__setattr__(self, "inputs", READ_BY.get(self.grammar, ()))

    def with_grammar(self, grammar: str) -> Evolution:
        """The same with what another grammar draws and reads, but for what its own did not set."""
        usual = GRAMMARS[self.grammar]
        chosen = {n: w for n, w in self.primitives.items() if w != usual.get(n)}
        primitives = dict(sorted({**GRAMMARS[grammar], **chosen}.items()))
        inputs = READ_BY[grammar] if self.inputs == READ_BY[self.grammar] else self.inputs
        return replace(self, grammar=grammar, primitives=primitives, inputs=inputs)

    @cached_property
    def space(self) -> Space:
        """The programs that mutations may reach."""
        donors = tuple(get_known(name).program for name in self.grafts)
        return Space(self.max_state, self.inputs, self.weights, self.primitives, donors)

    @cached_property
    def space_of_constants(self) -> Space:
        """The programs that differ only in constants."""
        return self.space.only(of_constants=True)

    @cached_property
    def space_of_structures(self) -> Space:
        """The programs that differ in more than constants."""
        return self.space.only(of_constants=False)


LEARNING_RATE_RANGE = Range(1e-12, 1e6, "training is in float32, and the grid may move")
# Of log-ratios: e^100 is a ratio that no loss in float32 has.
_LOG_RATIO = Range(0, 100, "a log-ratio, of which 100 is as good as infinite")
TRIALS = Range(0, 1_000_000, "each is trained on every task")
_FINALISTS = Range(1, 1000, "each is trained on every task of its stage")


@dataclass(frozen=True)
class Stage:
    """Tasks, and how rules are trained on them.

    Attributes:
      tasks: names of built-in tasks, or FILE.py:NAME. In a configuration file, FILE.py is relative
      to
        that file's folder.
      learning_rates: the grid of learning rates, moved for each rule until its best rate lies
        inside; empty for the default grid.
      seeds: the number of seeds; each gives a problem, initial weights and minibatches.
      schedule: of the learning rate: constant, cosine or linear.
    """

    tasks: Annotated[tuple[str, ...], Names("names of tasks")] = ()
    learning_rates: Annotated[tuple[float, ...], Rising(LEARNING_RATE_RANGE, 100)] = ()
    seeds: Annotated[int, Range(1, 1000, "each is a training run of every rule")] = 1
    schedule: Annotated[str, OneOf(SCHEDULES)] = "cosine"


STAGES = ("screen", "proxy", "validation", "target", "scaled")


@dataclass(frozen=True)
class Funnel:
    """From many cheap trials to few thorough ones.

    Attributes:
      screen: every candidate is trained on these tasks.
      proxy: candidates that pass the screen are trained on these too.
      promote_within: a candidate passes the screen if its mean log-ratio to AdamW is at most
        this (0.05: at most about 5 % worse).
      most_gain: the cap on the gain on one task, as a log-ratio, so that no single task decides
      (0.5:
        39 % lower loss; see `evaluators.scores.scoring.bounded`).
      early_stopping: training stops when the validation loss exceeds AdamW's at the same step
        by this log-ratio (0.7: twice as high).
      validation: tasks, or seeds, that the evolution has not seen. They rank the finalists.
      target: tasks of the final comparison; no choice uses them.
      scaled: longer and wider tasks, as in text_lstm@4steps, on which all rules of the final
        comparison are trained once more, with the same constants.
      champions: the number of candidates validated after each round.
      finalists: the number of candidates compared at the end.
      confirmed: the number of finalists on the Pareto front that are trained by the compiled path
        (more if none of them is confirmed). Those confirmed form the hall of fame.
      tuned: the number of finalists whose constants are tuned before.
      pruned: whether parts that do not change how the best rule trains are removed.
      opponent_trials: the largest number of sets of constants that are tried for the baseline and
        for each rival before the final comparison, on screen and proxies. None: as many as
        candidates were trained. 0: opponents have their default constants alone.
    """

    screen: Stage = Stage(("quadratic", "cancer_logistic"))
    proxy: Stage = Stage(("deep_linear", "diabetes_quantiles", "digits_mlp"))
    promote_within: Annotated[float, Range(-100, 100, _LOG_RATIO.why)] = 0.1
    most_gain: Annotated[float, Range(0, 1e6, "as good as no limit")] = 0.5
    early_stopping: Annotated[float, _LOG_RATIO] = 0.7
    validation: Stage = Stage(("cancer_mlp", "digits_autoencoder"), seeds=2)
    target: Stage = Stage(("photo_denoiser", "text_transformer_large"), seeds=5)
    scaled: Stage = Stage()
    champions: Annotated[int, _FINALISTS] = 2
    finalists: Annotated[int, _FINALISTS] = 16
    confirmed: Annotated[int, _FINALISTS] = 6
    tuned: Annotated[int, Range(0, 1000, _FINALISTS.why)] = 0
    pruned: bool = False
    opponent_trials: Annotated[int | None, TRIALS] = None


# The best of the usual optimizers besides AdamW: signs, Nesterov momentum, and orthogonalization.
RIVALS = ("lion", "nadamw", "muon_moonlight")
_RULE = "a known name, as in adamw, RUN:best, or a file with one program"
_WORKERS = NumberOrName(
    Range(0, 1024, "processes of one machine; 0: one per core"), "an executor", executors
)


@dataclass(frozen=True)
class SearchConfig:
    """The whole configuration of a search.

    Attributes:
      seed: every random draw of the run derives from it.
      start: rules that the population starts from, each a known name, RUN:best, RUN:NUMBER, or the
        path of a file with one program (in a configuration file, relative to that file's folder).
        When a search starts, all but known names are replaced by program text.
      baseline: the rule that scores are relative to, tuned on the same grid; in the same form.
      rivals: further rules in the final comparison; in the same form.
      workers: the number of processes that train, 0 for one per core; or the name of another
        executor (see `execution.base`). Does not change the outcome.
      backend: how candidates are trained; see `evaluators.backends.base`.
      traces: a file of traces, for the strategy "distillation". That strategy trains nothing and
      uses
        only this, the seed and the budget. In a configuration file, relative to that file's folder.
    """

    seed: Annotated[int, Range(0, 2**63 - 1, "64 bits")] = 0
    start: Annotated[tuple[str, ...], Names(f"rules, each {_RULE}", 1)] = ("adamw",)
    baseline: Annotated[str, Named(_RULE)] = "adamw"
    rivals: Annotated[tuple[str, ...], Names(f"rules, each {_RULE}")] = RIVALS
    workers: Annotated[int | str, _WORKERS] = 0
    backend: Annotated[str, OneFound(backends)] = AS_DATA
    traces: str = ""
    budget: Budget = field(default_factory=Budget)
    evolution: Evolution = field(default_factory=Evolution)
    funnel: Funnel = field(default_factory=Funnel)

    @property
    def is_trained(self) -> bool:
        """Whether the strategy trains candidates on tasks and compares them with a baseline."""
        name = self.evolution.strategy
        trains: bool = implementation(STRATEGIES, name, "STRATEGY", "strategy").trains
        return trains

    @property
    def proxies(self) -> tuple[str, ...]:
        """The tasks that fitness is measured on: screen and proxies, once."""
        return tuple(dict.fromkeys((*self.funnel.screen.tasks, *self.funnel.proxy.tasks)))

    @property
    def tasks(self) -> tuple[str, ...]:
        """Every task that candidates are trained on, once."""
        if not self.is_trained:
            return ()
        funnel = self.funnel
        stages = [getattr(funnel, name) for name in STAGES]
        return tuple(dict.fromkeys(task for stage in stages for task in stage.tasks))

    @property
    def pruning_tasks(self) -> tuple[str, ...]:
        """The tasks on which the parts of the best rule are tried, if it is pruned."""
        return tasks_for(self.tasks) if self.is_trained and self.funnel.pruned else ()

    @property
    def loaded_tasks(self) -> tuple[str, ...]:
        """Every task that an executor of the search has to load."""
        return self.tasks + self.pruning_tasks
