"""The report's chart of all trials of a search, and the small bars for intervals."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ...evaluators.formatting import as_percent, percent, plural
from .html.plot import MOST_PERCENT, SIZE, Axis, axis, evenly, figure, path, round_step, signed

MOST_DOTS = 2000
MOST_KIN = 300

CHART_STYLE = """
.dots{stroke:var(--dot);stroke-width:4;stroke-linecap:round;opacity:.55}
.few{stroke-width:6;opacity:.8}
.off{stroke:var(--dot);stroke-width:1;opacity:.55}
.best{stroke:var(--blue);stroke-width:2.5}
.kin{stroke:var(--orange);stroke-width:8;stroke-linecap:round}
.bar{width:9rem;height:1rem;display:block}
.bar path{stroke:var(--ink);stroke-width:2}.bar .nil{stroke:var(--soft);stroke-width:1}
.bar .mean{stroke-width:7;stroke-linecap:round}
.bar .good{stroke:var(--good)}.bar .bad{stroke:var(--bad)}
"""


@dataclass(frozen=True)
class _Plot:
    """The data of the chart and its axis.

    Attributes:
      points: (place from 1, percent, ordinal) of each trial with a finite score.
      best: (place, percent) of each trial that was better than all before it.
      count: the number of trials. axis: for the scores.
    """

    points: Sequence[tuple[int, float, int]]
    best: Sequence[tuple[int, float]]
    count: int
    axis: Axis

    def x(self, place: float) -> int:
        return round(SIZE * place / self.count)

    @property
    def drawn(self) -> Sequence[tuple[int, float, int]]:
        """The points, thinned evenly to at most `MOST_DOTS`."""
        return evenly(self.points, MOST_DOTS)


def score_chart(trials: Sequence[tuple[int, float]], kin: Collection[int], baseline: str) -> str:
    """The score of every trial, and the best so far.

    Args:
      trials: (ordinal, fitness) in the order of training; inf where it diverged.
      kin: ordinals of the best rule and its ancestors, which are marked.
      baseline: the baseline's printed name.

    Returns:
      A figure, or an empty string if every candidate diverged.
    """
    points = [
        (place, as_percent(fitness), ordinal)
        for place, (ordinal, fitness) in enumerate(trials, start=1)
        if math.isfinite(fitness)
    ]
    if not points:
        return ""
    best = list(_best_so_far(points))
    plot = _Plot(points, best, len(trials), _axis(best, [value for _, value, _ in points]))
    return figure(
        legend=[
            ("dot", "", "a candidate"),
            ("blue", "rule", "best so far"),
            ("orange", "", "the best rule and its ancestors"),
        ],
        title=f"loss on the proxies, relative to {baseline}; lower is better",
        summary=(
            f"{plural(plot.count, 'candidate')} trained; the best so far went from"
            f" {signed(best[0][1])} % to {signed(best[-1][1])} % loss"
        ),
        shapes=_shapes(plot, kin),
        labels=_labels(plot, baseline),
        below="candidates trained",
        caption=_caption(plot),
    )


def _shapes(plot: _Plot, kin: Collection[int]) -> Iterator[str]:
    """The plot's paths, from back to front."""
    x, y, high = plot.x, plot.axis.y, plot.axis.high
    yield from plot.axis.back()
    yield path("off", "".join(f"M{x(place)} 8v34" for place, v, _ in plot.drawn if v > high))
    dots = "".join(f"M{x(place)} {y(v)}h0" for place, v, _ in plot.drawn if v <= high)
    yield path("dots few" if len(plot.drawn) < 300 else "dots", dots)
    place, value = plot.best[0]
    steps = "".join(f"H{x(place)}V{y(value)}" for place, value in plot.best[1:])
    yield path("best", f"M{x(place)} {y(value)}{steps}H{SIZE}")
    marked = [point for point in plot.points if point[2] in kin and point[1] <= high]
    for place, value, ordinal in evenly(marked, MOST_KIN):
        title = f"candidate {ordinal}: {signed(value)} %"
        yield path("kin", f"M{x(place)} {y(value)}h0", title)


def _labels(plot: _Plot, baseline: str) -> Iterator[str]:
    yield from plot.axis.labels(f"{baseline}, default constants")
    for place in _x_ticks(plot.count):
        css = "x end" if place == plot.count else "x"
        left = 100 * plot.x(place) / SIZE
        yield f'<span class="{css}" style="left:{left:g}%">{place:,}</span>'


def _caption(plot: _Plot) -> str:
    words = [f"{plural(plot.count, 'candidate')} trained."]
    above = sum(value > plot.axis.high for _, value, _ in plot.points)
    if above:
        words.append(
            f"{above:,} lie above the axis, over {signed(plot.axis.high)} %, such as those that"
            " failed the first, cheap tasks and were trained no further."
        )
    if plot.count > len(plot.points):
        diverged = plural(plot.count - len(plot.points), "candidate")
        words.append(f"{diverged} diverged and cannot be drawn.")
    if len(plot.points) > MOST_DOTS:
        words.append(f"{MOST_DOTS:,} of the others are drawn, evenly spaced.")
    return " ".join(words)


def interval_bar(mean: float | None, low: float | None, high: float | None, reach: float) -> str:
    """A 95 % interval as a bar: green below zero, red above, neutral if it contains zero.

    Args:
      mean, low, high: log-ratios; None if unknown.
      reach: the log-ratio at the right end; longer bars are cut off.
    """
    if mean is None or not math.isfinite(mean):
        return ""

    def x(value: float) -> float:
        return round(72 + 68 * max(-1.0, min(1.0, value / reach)), 1)

    side, line = "", ""
    if low is not None and high is not None:
        side = " good" if high < 0 else " bad" if low > 0 else ""
        line = f'<path class="whole{side}" d="M{x(low)} 8H{x(high)}"/>'
    label = percent(mean)
    return (
        f'<svg class="bar" role="img" aria-label="{label}" viewBox="0 0 144 16">'
        f'<path class="nil" d="M72 0V16"/>{line}<path class="mean{side}" d="M{x(mean)} 8h0"/></svg>'
    )


def _best_so_far(points: Iterable[tuple[int, float, int]]) -> Iterator[tuple[int, float]]:
    best = math.inf
    for place, value, _ in points:
        if value < best:
            best = value
            yield place, value


def _axis(best: Sequence[tuple[int, float]], values: Iterable[float]) -> Axis:
    """An axis that shows the best scores; far worse ones are cut off, so that gains are visible."""
    first, last = best[0][1], best[-1][1]
    high = max(10.0, 1.5 * abs(last), min(1.1 * first, MOST_PERCENT))
    return axis(last, high, values)


def _x_ticks(count: int) -> list[int]:
    step = max(1, round(round_step(count / 4)))
    # The last tick is the number of trials; a tick close to it would overlap.
    return [*(t for t in range(0, count, step) if count - t > step / 2), count]
