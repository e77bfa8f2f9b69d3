"""The report's section on the funnel: the number of candidates at each stage."""

from __future__ import annotations

from collections.abc import Iterator

from ...evaluators.formatting import share
from .counts import Reached, SearchCounts, cache_words, floor_words
from .facts import Facts
from .hall_of_fame import hall_of_fame, is_confirmed
from .html.page import paragraph, row, row_group, section, table, text

FUNNEL_STYLE = """
.share{width:7rem;height:.6rem;display:block}
.share path{stroke:var(--blue);stroke-width:9;opacity:.7}
.words{display:inline-block;white-space:normal;min-width:12rem}
"""

_HEAD = ("", "candidates", "", "share", "of which")
_NUMERIC = (1, 3)


def funnel_section(facts: Facts) -> str:
    """The section; empty before anything was proposed."""
    counts = facts.counts
    if not counts.proposed:
        return ""
    figures = [
        ("proposed", f"{counts.proposed:,}", ""),
        ("trained", f"{len(counts.trials):,}", share(len(counts.trials), counts.proposed)),
        (
            "diverged in training",
            f"{counts.diverged:,}",
            share(counts.diverged, len(counts.trials)),
        ),
        ("time searching", duration(facts.seconds), ""),
    ]
    cells = "".join(
        f"<div><dt>{name}</dt><dd>{value} <small>{part}</small></dd></div>"
        for name, value, part in figures
    )
    lines = [*_before(counts), *_training(counts), *_after(facts)]
    return section(
        "What became of the candidates",
        f"<dl>{cells}</dl>",
        table(_HEAD, lines, _NUMERIC),
        paragraph(cache_words(counts)),
        *([paragraph(words)] if (words := floor_words(counts)) else []),
    )


def _before(counts: SearchCounts) -> Iterator[str]:
    whole = counts.proposed
    yield row_group("Before training; share of all proposals", len(_HEAD))
    yield _line("proposed", whole, whole)
    for reason, count in counts.rejected.items():
        yield _line(f"rejected: {reason}", count, whole)
    yield _line("duplicate: the same program", counts.same_program, whole)
    yield _line("duplicate: behaves the same", counts.same_behaviour, whole)
    yield _line("to be trained", whole - counts.all_rejected - counts.duplicates, whole)


def _training(counts: SearchCounts) -> Iterator[str]:
    whole = len(counts.trials)
    if not whole:
        return
    yield row_group("In training, task by task; share of all trained", len(_HEAD))
    kinds = f"{counts.new:,} for the first time, {counts.again:,} again on a later round's problems"
    yield _line("trained", whole, whole, kinds)
    for place, reached in enumerate(counts.reached):
        yield _line(
            f"{reached.stage}: {reached.task}", reached.trials, whole, _lost(reached, place, counts)
        )
    if any(reached.trials for reached in counts.reached):
        yield _line("through all of them", counts.whole, whole)


def _lost(reached: Reached, place: int, counts: SearchCounts) -> str:
    words = [
        f"{count:,} {what}"
        for count, what in (
            (reached.stopped, "stopped early"),
            (reached.diverged, "diverged"),
        )
        if count
    ]
    following = counts.reached[place + 1 : place + 2]
    if (
        counts.unpromoted
        and reached.stage == "screen"
        and following
        and (following[0].stage == "proxy")
    ):
        words.append(f"{counts.unpromoted:,} too far behind to go on")
    return ", ".join(words)


def _after(facts: Facts) -> Iterator[str]:
    champions = {c.ordinal for r in facts.rounds for c in r.champions}
    yield row_group("Chosen", len(_HEAD))
    yield _line("validated on held-out tasks after a round", len(champions))
    if facts.outcome is None:
        yield row(["finalists", "–", "", "", "the run is not finished"], _NUMERIC)
        return
    yield _line("finalists", len(facts.finalists))
    tried = sum(f.confirmation is not None for f in facts.finalists)
    yield _line("tested by the compiled path on fresh seeds", tried)
    yield _line("confirmed there", sum(map(is_confirmed, facts.finalists)))
    yield _line("in the hall of fame", len(hall_of_fame(facts.finalists)))
    best = f"candidate {facts.best}" if facts.outcome["confirmed"] else "none was better"
    yield _line("the best", int(facts.outcome["confirmed"]), words=best)


def _line(name: str, count: int, whole: int = 0, words: str = "") -> str:
    bar = ""
    if whole:
        width = round(100 * count / whole, 1)
        bar = (
            '<svg class="share" aria-hidden="true" viewBox="0 0 100 8" preserveAspectRatio="none">'
            f'<path d="M0 4H{width:g}"/></svg>'
        )
    cells = [
        text(name),
        f"{count:,}",
        bar,
        share(count, whole),
        f'<span class="words">{text(words)}</span>' if words else "",
    ]
    return row(cells, _NUMERIC)


def duration(seconds: float) -> str:
    """ "42 s", "12 min", "1.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
