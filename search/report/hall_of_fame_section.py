"""The report's section on the hall of fame and the other finalists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...evaluators.formatting import percent
from ..store.outcome import Finalist
from .facts import Facts
from .hall_of_fame import FAME_RULES, hall_of_fame, standing
from .html.page import bullets, code_block, folded, paragraph, row, section, table, text, wide_row

_HEAD = ("rule", "held-out", "fresh seeds", "proxies", "operations", "state", "")
_NUMERIC = (1, 2, 3, 4, 5)
_MOST_TUNED = 12


def fame_section(facts: Facts) -> str:
    """The hall of fame and the other finalists; before the end, the best so far."""
    if not facts.finalists:
        return ""
    validated = bool(facts.config.funnel.validation.tasks)
    if not facts.outcome:
        words = (
            "No rule has been confirmed yet; that happens at the end of the run. These are the best"
            " on held-out tasks so far."
        )
        lines = _rules(facts, facts.finalists, validated, {})
        return section("Hall of fame", paragraph(words), table(_HEAD, lines, _NUMERIC))
    members = hall_of_fame(facts.finalists)
    others = [f for f in facts.finalists if f not in members]
    reasons = {f.ordinal: standing(f, facts.finalists) for f in others}
    parts = [paragraph(FAME_RULES, "note")]
    if not validated:
        parts.append(paragraph("Without validation tasks only size and state count.", "note"))
    if members:
        parts.append(table(_HEAD, _rules(facts, members, validated, {}), _NUMERIC))
    else:
        parts.append(paragraph("It is empty: no finalist was confirmed."))
    if others:
        lines = _rules(facts, others, validated, reasons)
        parts += ["<h3>Other finalists</h3>", table(_HEAD, lines, _NUMERIC)]
    words = (
        "Loss relative to the tuned baseline: on held-out tasks; on the proxies with fresh seeds,"
        " by the compiled path; and on the proxies during the search. A lead in the last column"
        " that shrinks in the first is overfitting to the proxies."
    )
    return section("Hall of fame", *parts, paragraph(words, "note"))


def _rules(
    facts: Facts, finalists: Sequence[Finalist], validated: bool, reasons: dict[int, str]
) -> Iterator[str]:
    """Two rows per finalist: its numbers, and its folded program."""
    for f in finalists:
        taken = bool(facts.outcome and facts.outcome["confirmed"] and f.ordinal == facts.best)
        cells = [
            f"candidate {f.ordinal}",
            percent(f.validation) if validated else "–",
            "not tried" if f.confirmation is None else percent(f.confirmation),
            percent(f.fitness),
            str(f.size),
            str(f.state),
            "taken" if taken else text(reasons.get(f.ordinal, "")),
        ]
        yield row(cells, _NUMERIC, "opened chosen" if taken else "opened")
        tuned = f"{paragraph('Constants that were tuned:')}{bullets(f.tuned, _MOST_TUNED)}"
        title = "its program, with tuned constants" if f.tuned else "its program"
        inner = folded(title, code_block(f.program) + (tuned if f.tuned else ""))
        yield wide_row(inner, len(_HEAD), "inside")
