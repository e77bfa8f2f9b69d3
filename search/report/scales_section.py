"""The report's section on how far the comparison holds: longer and wider tasks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...evaluators.formatting import as_percent, number, p_value, percent, printed_name
from ...evaluators.task_names import Scale, split_scale
from .conclusions import is_tuned, overall_side, side, with_constants
from .html.page import paragraph, row, row_group, section, table, text
from .html.plot import SIZE, Axis, axis, figure, path

Outcome = Mapping[str, Any]
Line = Mapping[str, Any]

SCALES_STYLE = """
.scaled{stroke-width:2.5}
.scaled.s0{stroke:var(--blue)}.scaled.s1{stroke:var(--orange)}.scaled.s2{stroke:var(--ink)}
.scaled.s3,.scaled.s4{stroke-dasharray:6 4}
.scaled.s3{stroke:var(--orange)}.scaled.s4{stroke:var(--ink)}
.scaled.s5{stroke:var(--dot)}
"""
_COLOURS = ("blue", "orange", "ink", "orange", "ink", "dot")
_WORDS = (
    "The same rules on the same tasks, trained longer, or with wider models. Constants are those of"
    " the comparison above; the learning rate is the best of the one there, those half a decade"
    " beside it, and further ones where that is at the edge. Percent: loss relative to the"
    " baseline's at the same scale, with a paired 95 % interval over seeds; negative is better."
)


def scales_section(outcome: Outcome | None, base: str) -> str:
    """The section; empty if the run compared nothing on longer or wider tasks.

    Args:
      outcome: `dataclasses.asdict` of an `Outcome`.
      base: the rule that the others are relative to, in words.
    """
    if not outcome or not outcome["scaled"]:
        return ""
    return section(
        "How far it holds",
        paragraph(_WORDS, "note"),
        _chart(outcome, base),
        _overall(outcome),
        _by_task(outcome),
        *_costs(outcome),
    )


def _series(outcome: Outcome) -> dict[str, list[Line]]:
    """The lines of each rule that is shown, by its name in words: the best rule, its opponents with
    tuned constants, or with their own where they have no others.
    """
    rows: Sequence[Line] = outcome["scaled"]
    tuned = any(map(is_tuned, rows))
    best = rows[0]["rule"]
    found: dict[str, list[Line]] = {}
    for r in (*outcome["comparison"], *rows):
        if r["rule"] == best or is_tuned(r) == tuned:
            found.setdefault(_name(r, best), []).append(r)
    return found


def _name(r: Line, best: str) -> str:
    if r["rule"] == best:
        return best
    return with_constants(printed_name(r["rule"]), tuned=is_tuned(r))


def _chart(outcome: Outcome, base: str) -> str:
    """A line for each rule: geometric means over the tasks of each scale, and over all
    of these as they are listed.
    """
    bases = {split_scale(r["task"])[0] for r in outcome["scaled"]}
    scales = [Scale(), *dict.fromkeys(split_scale(r["task"])[1] for r in outcome["scaled"])]
    curves: dict[str, list[float | None]] = {}
    for name, rows in _series(outcome).items():
        at = {split_scale(r["task"]): r for r in rows}
        means = [_mean([at[key] for key in at if key[0] in bases and key[1] == s]) for s in scales]
        if any(mean is not None for mean in means):
            curves[name] = means
    values = [value for means in curves.values() for value in means if value is not None]
    if not values:
        return ""
    shown = dict(list(curves.items())[: len(_COLOURS)])
    finite = [value for value in values if value < 200]
    scale_axis = axis(min(finite, default=0.0), max(finite, default=0.0), values)
    return figure(
        legend=[(_COLOURS[i], "rule", name) for i, name in enumerate(shown)],
        title=f"loss relative to {base}; lower is better",
        summary="; ".join(
            f"{name}: "
            + ", ".join(
                f"{_percent(value)} at {s}" for s, value in zip(scales, means, strict=True) if value
            )
            for name, means in shown.items()
        ),
        shapes=_shapes(shown, scale_axis),
        labels=_labels(scales, scale_axis, base),
        below="scale",
        caption="Geometric means over tasks and seeds; the tables below have all numbers.",
    )


def _mean(rows: Sequence[Line]) -> float | None:
    """The geometric mean of losses relative to the baseline's, in percent; None without losses."""
    ratios = [r["log_ratio"] for r in rows if r["log_ratio"] is not None]
    if not ratios or not all(map(math.isfinite, ratios)):
        return None
    return as_percent(sum(ratios) / len(ratios))


def _percent(value: float) -> str:
    return percent(math.log1p(value / 100))


def _x(place: int, count: int) -> int:
    return round(SIZE * (place + 0.5) / count)


def _shapes(curves: Mapping[str, Sequence[float | None]], scale: Axis) -> Iterator[str]:
    yield from scale.back()
    for i, (name, means) in enumerate(curves.items()):
        ends = [
            (_x(place, len(means)), scale.y(value))
            for place, value in enumerate(means)
            if value is not None
        ]
        yield path(f"scaled s{i}", "M" + "L".join(f"{x} {y}" for x, y in ends), name)


def _labels(scales: Sequence[Scale], scale: Axis, base: str) -> Iterator[str]:
    yield from scale.labels(base)
    for place, each in enumerate(scales):
        left = 100 * _x(place, len(scales)) / SIZE
        yield f'<span class="x" style="left:{left:g}%">{text(str(each))}</span>'


def _overall(outcome: Outcome) -> str:
    """The best rule against each opponent, over the tasks of each scale."""
    head = ("best rule against", "scale", "loss", "95 % interval", "p", "tasks")
    lines = []
    for o in outcome["scaled_overall"]:
        css = {-1: "good", 0: "", 1: "bad"}[overall_side(o)]
        bounded = math.isfinite(o["low"]) and math.isfinite(o["high"])
        cells = [
            text(with_constants(printed_name(o["against"]), tuned=is_tuned(o))),
            text(o["tier"]),
            f'<span class="{css}">{percent(o["mean"])}</span>',
            f"{percent(o['low'])} to {percent(o['high'])}" if bounded else "–",
            p_value(o["p"]),
            str(o["tasks"]),
        ]
        lines.append(row(cells, (2, 4, 5)))
    return table(head, lines, (2, 4, 5))


def _by_task(outcome: Outcome) -> str:
    head = ("rule", "vs baseline", "loss", "learning rate")
    best = outcome["scaled"][0]["rule"]
    lines = []
    for task in dict.fromkeys(r["task"] for r in outcome["scaled"]):
        name, scale = split_scale(task)
        lines.append(row_group(f"{name}, {scale}", len(head)))
        for r in outcome["scaled"]:
            if r["task"] == task:
                css = {-1: "good", 0: "", 1: "bad"}[side(r)]
                ratio = r["log_ratio"] if math.isfinite(r["loss"]) else math.inf
                cells = [
                    text(_name(r, best)),
                    "baseline" if ratio is None else f'<span class="{css}">{percent(ratio)}</span>',
                    number(r["loss"], padded=True),
                    number(r["learning_rate"]),
                ]
                lines.append(row(cells, (1, 2, 3), "chosen" if r["rule"] == best else ""))
    return table(head, lines, (1, 2, 3))


def _costs(outcome: Outcome) -> Iterator[str]:
    """State and time of a step."""
    costs = outcome["costs"]
    if not costs:
        return
    first = next(iter(costs.values()))
    yield paragraph(f"A training step on {first['task']}, {first['weights']:,} weights:")
    lines = [
        row(
            [
                text(printed_name(rule)),
                f"{cost['state'] / cost['weights']:.3g}",
                f"{4e-6 * cost['state']:.3g}",
                f"{cost['milliseconds']:.3g}",
            ],
            (1, 2, 3),
        )
        for rule, cost in costs.items()
    ]
    yield table(("rule", "state per weight", "state, MB", "milliseconds"), lines, (1, 2, 3))
