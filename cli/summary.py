"""Prints the result and the statistics of a search."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..evaluators.formatting import p_value, percent, plural
from ..search.report.best_section import tuned_of
from ..search.report.counts import cache_words, floor_words, funnel_words
from ..search.report.facts import Facts
from ..search.report.hall_of_fame import hall_of_fame
from ..search.report.overfitting import judge_rounds
from ..search.report.report import conclusion_of
from ..search.store.outcome import Finalist, Outcome, Row
from ..search.store.runs import BEST_OPTAX, BEST_RULE, REPORT, Run
from .output import print_table, print_text

# The number of lines of a list that are printed.
_MOST_LINES = 12


def print_outcome(outcome: Outcome, facts: Facts) -> None:
    """Prints the best rule, its simplified form, the comparison and where the files are."""
    run = facts.run
    conclusion = conclusion_of(facts)
    print_text(f"\n{conclusion.sentence}")
    for caveat in conclusion.caveats:
        print_text(caveat)
    if not facts.config.is_trained:
        print_text(f"\n{outcome.simplified}\nKinship: {outcome.kinship}.")
        _print_files(run)
        return
    confirmed = ", confirmed by the compiled path on fresh seeds" if outcome.confirmed else ""
    print_text(f"\nBest rule: candidate {outcome.ordinal}{confirmed}.\n")
    print_text(outcome.program)
    print_text("Simplified:\n")
    print_text(outcome.simplified)
    if outcome.kinship:
        print_text(f"Kinship: {outcome.kinship}.\n")
    _print_list("Constants tuned on the proxies:", tuned_of(facts))
    _print_list("Removed, because training does not need it:", outcome.pruned)
    _print_list(
        "Opponents' constants, tuned on the proxies:",
        [f"{o.rule}: {', '.join(o.changes) or 'none better found'}" for o in outcome.opponents],
    )
    print_comparison(outcome.comparison)
    _print_scales(outcome)
    _print_fame(facts)
    print_search(facts)
    _print_files(run)


def _print_files(run: Run) -> None:
    print_text(f"\nFiles in {run.folder}:")
    for name, what in (
        (BEST_RULE, "the rule as program text"),
        (BEST_OPTAX, "the rule as an Optax optimizer"),
        (REPORT, "the report"),
        ("ledger.sqlite", "everything that was tried"),
    ):
        if (run.folder / name).exists():
            print_text(f"  {name:20} {what}")


def print_unfinished(facts: Facts) -> None:
    """Prints the state of a run that is not finished."""
    conclusion = conclusion_of(facts)
    print_text(conclusion.sentence)
    for caveat in conclusion.caveats:
        print_text(caveat.replace("`", ""))
    if facts.finalists:
        print_text("\nThe best on held-out tasks so far (not confirmed yet):\n")
        _print_finalists(facts.finalists, best=None)
    print_search(facts)


def print_search(facts: Facts) -> None:
    """Prints the counts of candidates by stage, and the conclusion on meta-overfitting."""
    if not (facts.counts.proposed and facts.config.is_trained):
        return
    print_text(f"\n{funnel_words(facts.counts)}")
    print_text(cache_words(facts.counts))
    if words := floor_words(facts.counts):
        print_text(words)
    if any(r.champions for r in facts.rounds):
        conclusion = judge_rounds(facts.rounds)
        print_text(" ".join([conclusion.sentence, *conclusion.caveats]))


def search_as_json(facts: Facts) -> dict[str, Any]:
    """The funnel and the rounds of a run as plain data."""
    counts = facts.counts
    return {
        "funnel": {
            "proposed": counts.proposed,
            "rejected": dict(counts.rejected),
            "duplicates": {"program": counts.same_program, "behaviour": counts.same_behaviour},
            "trained": {"new": counts.new, "again": counts.again},
            "tasks": [asdict(reached) for reached in counts.reached],
        },
        "rounds": [asdict(r) for r in facts.rounds],
        "hall_of_fame": [f.ordinal for f in hall_of_fame(facts.finalists)],
    }


def print_comparison(rows: Sequence[Row]) -> None:
    """Prints the final comparison with the baseline, a line per rule and task."""
    if not rows:
        return
    seeds = rows[0].seeds
    print_text(
        f"On tasks the search never saw ({seeds} seeds, learning rate tuned for each rule):\n"
    )
    by_task: Mapping[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_task[row.task].append(row)
    lines = [
        (
            task,
            f"{row.rule}, tuned" if row.tuned else row.rule,
            f"{row.learning_rate:g}",
            f"{row.loss:.4f}" if math.isfinite(row.loss) else "diverged",
            "baseline" if row.log_ratio is None else percent(row.log_ratio),
            "" if row.low is None else f"{percent(row.low)} to {percent(row.high)}",
        )
        for task, of_task in by_task.items()
        for row in of_task
    ]
    print_table(("task", "rule", "lr", "loss", "vs baseline", "95 % interval"), lines)


def _print_scales(outcome: Outcome) -> None:
    """How far the comparison holds, a line for each opponent and scale."""
    if not outcome.scaled_overall:
        return
    print_text("\nHow far it holds, on longer and wider tasks with the same constants:\n")
    lines = [
        (
            f"{over.against}, tuned" if over.tuned else over.against,
            over.tier,
            percent(over.mean),
            f"{percent(over.low)} to {percent(over.high)}" if math.isfinite(over.low) else "",
            p_value(over.p),
            str(over.tasks),
        )
        for over in outcome.scaled_overall
    ]
    print_table(("best rule against", "scale", "loss", "95 % interval", "p", "tasks"), lines)


def _print_fame(facts: Facts) -> None:
    members = hall_of_fame(facts.finalists)
    if members:
        others = plural(len(facts.finalists) - len(members), "other finalist")
        print_text(
            f"\nHall of fame: confirmed, and no simpler one is as good; {others} in the report.\n"
        )
        _print_finalists(members, best=facts.best)


def _print_finalists(finalists: Sequence[Finalist], best: int | None) -> None:
    lines = [
        (
            f"candidate {f.ordinal}" + (" (taken)" if f.ordinal == best else ""),
            percent(f.validation),
            "not tried" if f.confirmation is None else percent(f.confirmation),
            percent(f.fitness),
            f.size,
            f.state,
        )
        for f in finalists
    ]
    print_table(("rule", "held-out", "fresh seeds", "proxies", "operations", "state"), lines)


def _print_list(title: str, items: Sequence[str]) -> None:
    if not items:
        return
    print_text(title)
    for item in items[:_MOST_LINES]:
        print_text(f"  {item}")
    if len(items) > _MOST_LINES:
        print_text(f"  and {len(items) - _MOST_LINES} more")
    print_text()
