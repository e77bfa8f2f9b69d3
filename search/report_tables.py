"""The report's tables: the final comparison and the finalists."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from .charts import interval_bar
from .page import row, row_group, table, text
from .verdict import best_rows, interval_words, side
from .wording import number, percent, printed_name

Outcome = Mapping[str, Any]

_HEAD = ("rule", "vs baseline", "95 % interval", "", "loss", "learning rate", "seeds")
_NUMERIC = (1, 2, 4, 5, 6)


def comparison_table(outcome: Outcome, baseline: str) -> str:
    """Every rule on every unseen task, task by task.

    Args:
      outcome: `dataclasses.asdict` of a `finals.Outcome`.
      baseline: name of the rule that the others are relative to.
    """
    comparison = outcome["comparison"]
    best = best_rows(outcome)
    if best[0]["rule"] == baseline:
        # Where nothing better was found, the best rule is the baseline, which has its own lines.
        comparison, best = comparison[len(best) :], ()
    reach = _reach(comparison)
    lines = []
    for task in dict.fromkeys(r["task"] for r in comparison):
        lines.append(row_group(task, len(_HEAD)))
        for r in comparison:
            if r["task"] == task:
                chosen = any(r is b for b in best)
                lines.append(_comparison_row(r, baseline, reach, chosen))
    return table(_HEAD, lines, _NUMERIC)


def _comparison_row(r: Mapping[str, Any], baseline: str, reach: float, chosen: bool) -> str:
    ratio = r["log_ratio"]
    if not math.isfinite(r["loss"]):
        ratio = math.inf
    is_baseline = r["rule"] == baseline
    css = {-1: "good", 0: "", 1: "bad"}[side(r)]
    cells = [
        text(printed_name(r["rule"])),
        "baseline" if is_baseline else f'<span class="{css}">{percent(ratio)}</span>',
        interval_words(r),
        interval_bar(ratio, r["low"], r["high"], reach),
        number(r["loss"], padded=True),
        number(r["learning_rate"]),
        str(r["seeds"]),
    ]
    return row(cells, _NUMERIC, "chosen" if chosen else "")


def _reach(rows: Iterable[Mapping[str, Any]]) -> float:
    """How far the interval bars reach: wide enough for estimates, not for the widest interval."""
    means = [abs(r["log_ratio"]) for r in rows if r["log_ratio"] is not None]
    bounds = [abs(r[key]) for r in rows for key in ("low", "high") if r[key] is not None]
    finite = [m for m in means if math.isfinite(m)]
    return max(0.01, min(1.1 * max(bounds, default=0.0), 4 * max(finite, default=0.0)))


def finalists_table(outcome: Outcome, *, validated: bool) -> str:
    """The finalists, best validation first; bold the one that was taken.

    Args:
      outcome: `dataclasses.asdict` of a `finals.Outcome`.
      validated: whether the run had validation tasks at all.
    """
    lines = []
    for f in outcome["finalists"]:
        cells = [
            f"candidate {f['ordinal']}",
            percent(f["fitness"]),
            percent(f["validation"]) if validated else "–",
            "not tried" if f["confirmation"] is None else percent(f["confirmation"]),
        ]
        taken = outcome["confirmed"] and f["ordinal"] == outcome["ordinal"]
        lines.append(row([*cells, "taken" if taken else ""], (1, 2, 3), "chosen" if taken else ""))
    head = ("finalist", "proxies", "validation", "confirmation", "")
    return table(head, lines, (1, 2, 3))
