"""The report's tables of the final comparison: by task, and over all tasks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ...evaluators.formatting import number, p_value, percent, printed_name
from .charts import interval_bar
from .conclusions import (
    best_rows,
    interval_words,
    is_tuned,
    overall_of,
    overall_side,
    overall_words,
    side,
    tier,
    with_constants,
)
from .html.page import row, row_group, table, text

Outcome = Mapping[str, Any]

_HEAD = ("rule", "vs baseline", "95 % interval", "", "loss", "learning rate", "seeds")
_NUMERIC = (1, 2, 4, 5, 6)
_OVERALL_HEAD = ("best rule against", "loss", "95 % interval", "", "p", "unseen tasks", "seeds")
_OVERALL_NUMERIC = (1, 2, 4, 6)


def comparison_table(outcome: Outcome, baseline: str) -> str:
    """Every rule on every unseen task, task by task.

    Args:
      outcome: `dataclasses.asdict` of a `finals.Outcome`.
      baseline: name of the rule that the others are relative to.
    """
    comparison = outcome["comparison"]
    best = best_rows(outcome)
    if best[0]["rule"] == baseline:
        # If nothing better was found, the best rule is the baseline, which has its own lines.
        comparison, best = comparison[len(best) :], ()
    reach = _reach(comparison)
    base = any(map(is_tuned, comparison))
    lines = []
    for task in dict.fromkeys(r["task"] for r in comparison):
        lines.append(row_group(task, len(_HEAD)))
        for r in comparison:
            if r["task"] == task:
                chosen = any(r is b for b in best)
                is_baseline = r["rule"] == baseline and is_tuned(r) == base and not chosen
                lines.append(_comparison_row(r, reach, chosen=chosen, is_baseline=is_baseline))
    return table(_HEAD, lines, _NUMERIC)


def _comparison_row(r: Mapping[str, Any], reach: float, *, chosen: bool, is_baseline: bool) -> str:
    ratio = r["log_ratio"]
    if not math.isfinite(r["loss"]):
        ratio = math.inf
    css = {-1: "good", 0: "", 1: "bad"}[side(r)]
    cells = [
        text(r["rule"] if chosen else with_constants(printed_name(r["rule"]), tuned=is_tuned(r))),
        "baseline" if is_baseline else f'<span class="{css}">{percent(ratio)}</span>',
        interval_words(r),
        interval_bar(ratio, r["low"], r["high"], reach),
        number(r["loss"], padded=True),
        number(r["learning_rate"]),
        str(r["seeds"]),
    ]
    return row(cells, _NUMERIC, "chosen" if chosen else "")


def _reach(rows: Iterable[Mapping[str, Any]]) -> float:
    """The scale of the interval bars: wide enough for all estimates, not for all intervals."""
    means = [abs(r["log_ratio"]) for r in rows if r["log_ratio"] is not None]
    bounds = [abs(r[key]) for r in rows for key in ("low", "high") if r[key] is not None]
    finite = [m for m in means if math.isfinite(m)]
    return max(0.01, min(1.1 * max(bounds, default=0.0), 4 * max(finite, default=0.0)))


def overall_table(outcome: Outcome) -> str:
    """The best rule against each rival, over all unseen tasks and over each tier.

    Args:
      outcome: as above; its "overall" has a line for each rival. Empty if it has none.
    """
    lines = overall_of(outcome)
    if not lines:
        return ""
    bounds = [abs(o[key]) for o in lines for key in ("low", "high") if math.isfinite(o[key])]
    means = [abs(o["mean"]) for o in lines if math.isfinite(o["mean"])]
    reach = max(0.01, min(1.1 * max(bounds, default=0.0), 4 * max(means, default=0.0)))
    return table(_OVERALL_HEAD, [_overall_row(o, reach) for o in lines], _OVERALL_NUMERIC)


def _overall_row(o: Mapping[str, Any], reach: float) -> str:
    bounded = math.isfinite(o["low"]) and math.isfinite(o["high"])
    low, high = (o["low"], o["high"]) if bounded else (None, None)
    css = {-1: "good", 0: "", 1: "bad"}[overall_side(o)]
    cells = [
        text(with_constants(printed_name(o["against"]), tuned=is_tuned(o))),
        f'<span class="{css}">{text(overall_words(o).removesuffix(" loss"))}</span>',
        interval_words({"low": low, "high": high}),
        interval_bar(o["mean"], low, high, reach),
        p_value(o["p"]),
        f"{o['tasks']} {tier(o) or 'in all'}",
        str(o["seeds"]),
    ]
    return row(cells, _OVERALL_NUMERIC)
