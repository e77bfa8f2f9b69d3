"""What a search found, as data. Nothing here needs JAX, so that what only reads answers at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...evaluators.scores.cost import Cost

if TYPE_CHECKING:
    from .ledger import Ledger


@dataclass(frozen=True)
class Champion:
    """One of the best of a round: its candidate, and its mean log-ratios to the baseline on the
    problems it was evolved on and on the validation tasks.
    """

    ordinal: int
    fitness: float
    validation: float


@dataclass(frozen=True)
class Round:
    """A round of the search.

    Attributes:
      number: from 0. proposed, trained: candidates so far, at its end.
      champions: those validated at its end, the fittest first.
      fresh: the candidate that the population started from again after it; None if it went on.
    """

    number: int
    proposed: int
    trained: int
    champions: tuple[Champion, ...]
    fresh: int | None = None


@dataclass(frozen=True)
class Finalist:
    """A candidate that is compared at the end.

    Attributes:
      ordinal: of the candidate; fitness: on the proxies; validation: mean log-ratio to the
        baseline on the validation tasks; confirmation: the same by the fused path on fresh seeds
        of the proxies (None if not tried).
      program: its text, simplified and tuned. size, state: its primitive calls and state variables.
      tuned: what tuning its constants changed, in words.
    """

    ordinal: int
    fitness: float
    validation: float
    program: str
    size: int
    state: int
    tuned: tuple[str, ...] = ()
    confirmation: float | None = None


@dataclass(frozen=True)
class Row:
    """A rule on an unseen task, tuned as everyone: a line of the final comparison.

    Attributes:
      loss: mean validation loss at the tuned learning rate (inf: diverged at every rate).
      log_ratio, low, high, p: to the baseline, with tuned constants if it has any; with a 95 %
        interval over seeds and the p-value of a paired test, as in `Overall` (None where they have
        no meaning, as for the baseline itself or with few seeds). Runs of older versions have no p
        and an interval from a t-test.
      solved: whether its loss is as low as can be told; rules that solve a task count as equal.
      tuned: whether it is an opponent with tuned constants; see `Opponent`.
    """

    rule: str
    task: str
    learning_rate: float
    loss: float
    seeds: int
    log_ratio: float | None = None
    low: float | None = None
    high: float | None = None
    solved: bool = False
    p: float | None = None
    tuned: bool = False


@dataclass(frozen=True)
class Overall:
    """The best rule against another over all unseen tasks, or over those of one tier.

    Attributes:
      against: the other's name.
      mean: of log(best / other) over tasks and seeds, which is the log of the ratio of geometric
        means. low, high: its 95 % interval over seeds (infinite without one). p: of a paired test.
      tasks, seeds: how many of each. left_out: tasks on which the other diverged.
      tier: of these tasks; empty for all of them.
      tuned: whether the other had tuned constants.
    """

    against: str
    mean: float
    low: float
    high: float
    p: float
    tasks: int
    seeds: int
    left_out: int = 0
    tier: str = ""
    tuned: bool = False


@dataclass(frozen=True)
class Opponent:
    """The baseline or a rival, with constants tuned on the search's own proxies.

    Attributes:
      rule: its name. program: its text with tuned constants.
      trials: how many sets of constants were tried. most: how many might have been.
      changes: what tuning changed, in words.
    """

    rule: str
    program: str
    trials: int
    most: int
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What a search found.

    Attributes:
      ordinal: the candidate that won; a starter's if nothing better was confirmed.
      program: text of the best rule as evolved. simplified: the same rule, simplified; this is
        what was confirmed, compared and exported.
      fitness: mean log-ratio to the baseline on the proxies.
      confirmed: whether the fused path found it no worse than the baseline on fresh seeds.
      finalists: best validation first. comparison: on target tasks, fresh seeds.
      pruned: what was removed from the best rule because it changes nothing, in words.
      kinship: the nearest known rule, in words; empty for a starter.
      overall: against the baseline and each rival over all target tasks, and over each tier of
        them where there are several.
      opponents: the baseline and the rivals with tuned constants; none if they were not tuned.
      scaled: as `comparison`, on longer and wider tasks. scaled_overall: the
        best rule against the others over the tasks of each scale, which is in `tier`.
      costs: by rule, state and time of a step on the largest of these tasks; empty without them.
    """

    ordinal: int
    program: str
    simplified: str
    fitness: float
    confirmed: bool
    finalists: tuple[Finalist, ...]
    comparison: tuple[Row, ...]
    pruned: tuple[str, ...] = ()
    kinship: str = ""
    overall: tuple[Overall, ...] = ()
    opponents: tuple[Opponent, ...] = ()
    scaled: tuple[Row, ...] = ()
    scaled_overall: tuple[Overall, ...] = ()
    costs: Mapping[str, Cost] = field(default_factory=dict)


def read_outcome(opened: Ledger) -> Outcome | None:
    """What a run has found; None before there is an outcome.

    Raises:
      UserError: the ledger holds something else in its place.
    """
    found: Outcome | None = opened.fact_as("outcome", Outcome)
    if found is not None:
        opened.check_ordinals([found.ordinal, *(f.ordinal for f in found.finalists)], "the outcome")
        opened.program(found.program, "the outcome")
        opened.program(found.simplified, "the outcome, simplified,")
        for finalist in found.finalists:
            opened.program(finalist.program, f"finalist {finalist.ordinal}")
        for opponent in found.opponents:
            opened.program(opponent.program, f"opponent {opponent.rule}")
    return found


def read_rounds(opened: Ledger) -> tuple[Round, ...]:
    """The rounds of a run that have ended, oldest first.

    Raises:
      UserError: the ledger holds something else in their place.
    """
    found: tuple[Round, ...] = opened.fact_as("rounds", tuple[Round, ...], ())
    opened.check_ordinals((c.ordinal for r in found for c in r.champions), "a round")
    return found


def best_champion(rounds: Sequence[Round]) -> tuple[Round, Champion] | None:
    """The best on the held-out tasks, and its round; None if none was finite there."""
    tried = [(c.validation, r.number, c.ordinal, r, c) for r in rounds for c in r.champions]
    finite = [entry for entry in tried if math.isfinite(entry[0])]
    return min(finite)[3:] if finite else None
