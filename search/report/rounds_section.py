"""The report's section on meta-overfitting: the champions of each round, on what they were evolved
on and on held-out tasks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...evaluators.formatting import percent
from ..store.outcome import Champion, Round
from .facts import Facts
from .html.page import folded, paragraph, row, section, table
from .html.plot import evenly
from .overfitting import judge_rounds
from .round_chart import round_chart

# A table longer than this is thinned out.
MOST_ROWS = 400

_MEANING = (
    "Each round draws fresh problems of the tasks that candidates are evolved on (the proxies), and"
    " at its end the best that were not tried before are trained on held-out tasks that decide"
    " nothing while they evolve. Where the first go on falling and the second rise, the search fits"
    " its own problems and no longer learns to train: meta-overfitting."
)
_HEAD = ("round", "candidate", "on its problems", "held-out", "candidates trained by then", "")
_NUMERIC = (0, 1, 2, 3, 4)


def rounds_section(facts: Facts) -> str:
    """The run's meta-overfitting curve, or why there is none."""
    if not facts.counts.proposed:
        return ""
    title = "Does it carry over to held-out tasks?"
    funnel, held_out = facts.config.funnel, ", ".join(facts.config.funnel.validation.tasks)
    if not held_out:
        return section(title, paragraph("This run has no validation tasks, so nobody knows."))
    if not facts.config.evolution.round:
        words = (
            "This search kept its problems from beginning to end and tried nothing on held-out"
            " tasks before that, so there is no curve."
        )
        return section(title, paragraph(words))
    if not any(r.champions for r in facts.rounds):
        words = "No round has ended with a candidate to try on held-out tasks yet."
        return section(title, paragraph(words))
    proxies = ", ".join((*funnel.screen.tasks, *funnel.proxy.tasks))
    conclusion = judge_rounds(facts.rounds)
    numbers = table(_HEAD, _rows(facts.rounds), _NUMERIC)
    return section(
        title,
        paragraph(conclusion.sentence),
        *(paragraph(caveat, "note") for caveat in conclusion.caveats),
        round_chart(facts.rounds, facts.baseline),
        paragraph(_MEANING, "note"),
        paragraph(f"Proxies: {proxies}. Held-out: {held_out}.", "note"),
        folded("the numbers, round by round", numbers),
    )


def _rows(rounds: Sequence[Round]) -> Iterator[str]:
    champions = [(r, place) for r in rounds for place in range(max(1, len(r.champions)))]
    for r, place in evenly(champions, MOST_ROWS):
        champion = r.champions[place] if r.champions else None
        last = place >= len(r.champions) - 1
        restart = f"then afresh from {r.fresh}" if last and r.fresh is not None else ""
        yield row([f"{r.number + 1:,}", *_scores(champion), f"{r.trained:,}", restart], _NUMERIC)


def _scores(champion: Champion | None) -> Sequence[str]:
    if champion is None:
        return ("no new one", "–", "–")
    return (f"{champion.ordinal}", percent(champion.fitness), percent(champion.validation))
