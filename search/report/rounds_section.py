"""The report's section on meta-overfitting: champions on proxies and on held-out tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...evaluators.formatting import percent
from ..store.outcome import Champion, Round
from .facts import Facts
from .html.page import folded, paragraph, row, section, table
from .html.plot import evenly
from .overfitting import judge_rounds
from .round_chart import round_chart

# Longer tables are thinned evenly.
MOST_ROWS = 400

_MEANING = (
    "Each round draws fresh problems of the proxies, the tasks that candidates are evolved on. At"
    " its end the best new candidates are trained on held-out tasks, which do not affect the"
    " evolution except at a restart. If losses keep falling on the proxies and rise on the"
    " held-out tasks, the search overfits its proxies: meta-overfitting."
)
_HEAD = ("round", "candidate", "on its problems", "held-out", "candidates trained by then", "")
_NUMERIC = (0, 1, 2, 3, 4)


def rounds_section(facts: Facts) -> str:
    """The section with the run's meta-overfitting curve, or with the reason why there is none."""
    if not facts.counts.proposed:
        return ""
    title = "Does it carry over to held-out tasks?"
    funnel, held_out = facts.config.funnel, ", ".join(facts.config.funnel.validation.tasks)
    if not held_out:
        return section(title, paragraph("Unknown, because this run has no validation tasks."))
    if not facts.config.evolution.round:
        words = (
            "There is no curve: this search had no rounds (evolution.round is 0), so it validated"
            " nothing before its end."
        )
        return section(title, paragraph(words))
    if not any(r.champions for r in facts.rounds):
        words = "No candidate has been validated on held-out tasks yet."
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
        restart = f"then restart from {r.fresh}" if last and r.fresh is not None else ""
        yield row([f"{r.number + 1:,}", *_scores(champion), f"{r.trained:,}", restart], _NUMERIC)


def _scores(champion: Champion | None) -> Sequence[str]:
    if champion is None:
        return ("no new one", "–", "–")
    return (f"{champion.ordinal}", percent(champion.fitness), percent(champion.validation))
