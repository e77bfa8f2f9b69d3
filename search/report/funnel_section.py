"""The report's section on the funnel: how many candidates came how far, and what stopped them."""

from __future__ import annotations

from collections.abc import Iterator

from ...evaluators.wording import share
from .counts import Reached, Tally, cache_words, floor_words
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
    """What became of the candidates; empty before anything was proposed."""
    tally = facts.tally
    if not tally.proposed:
        return ""
    figures = [
        ("proposed", f"{tally.proposed:,}", ""),
        ("trained", f"{len(tally.trials):,}", share(len(tally.trials), tally.proposed)),
        ("diverged in training", f"{tally.diverged:,}", share(tally.diverged, len(tally.trials))),
        ("time searching", duration(facts.seconds), ""),
    ]
    cells = "".join(
        f"<div><dt>{name}</dt><dd>{value} <small>{part}</small></dd></div>"
        for name, value, part in figures
    )
    lines = [*_before(tally), *_training(tally), *_after(facts)]
    return section(
        "What became of the candidates",
        f"<dl>{cells}</dl>",
        table(_HEAD, lines, _NUMERIC),
        paragraph(cache_words(tally)),
        *([paragraph(words)] if (words := floor_words(tally)) else []),
    )


def _before(tally: Tally) -> Iterator[str]:
    whole = tally.proposed
    yield row_group("Before training; share of all proposals", len(_HEAD))
    yield _line("proposed", whole, whole)
    for reason, count in tally.rejected.items():
        yield _line(f"rejected: {reason}", count, whole)
    yield _line("duplicate: the same program", tally.same_program, whole)
    yield _line("duplicate: behaves the same", tally.same_behaviour, whole)
    yield _line("to be trained", whole - tally.all_rejected - tally.duplicates, whole)


def _training(tally: Tally) -> Iterator[str]:
    whole = len(tally.trials)
    if not whole:
        return
    yield row_group("In training, task by task; share of all trained", len(_HEAD))
    kinds = f"{tally.new:,} for the first time, {tally.again:,} again on a later round's problems"
    yield _line("trained", whole, whole, kinds)
    for place, reached in enumerate(tally.reached):
        yield _line(
            f"{reached.stage}: {reached.task}", reached.trials, whole, _lost(reached, place, tally)
        )
    if any(reached.trials for reached in tally.reached):
        yield _line("through all of them", tally.whole, whole)


def _lost(reached: Reached, place: int, tally: Tally) -> str:
    words = [
        f"{count:,} {what}"
        for count, what in (
            (reached.stopped, "stopped at a hurdle"),
            (reached.diverged, "diverged"),
        )
        if count
    ]
    following = tally.reached[place + 1 : place + 2]
    if (
        tally.unpromoted
        and reached.stage == "screen"
        and following
        and (following[0].stage == "proxy")
    ):
        words.append(f"{tally.unpromoted:,} too far behind to go on")
    return ", ".join(words)


def _after(facts: Facts) -> Iterator[str]:
    champions = {c.ordinal for r in facts.rounds for c in r.champions}
    yield row_group("Chosen", len(_HEAD))
    yield _line("tried on held-out tasks after a round", len(champions))
    if facts.outcome is None:
        yield row(["finalists", "–", "", "", "the run is not finished"], _NUMERIC)
        return
    yield _line("finalists", len(facts.finalists))
    tried = sum(f.confirmation is not None for f in facts.finalists)
    yield _line("tried by the compiled path on fresh seeds", tried)
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
