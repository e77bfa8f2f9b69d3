"""The report's pictures: SVG made by hand.

The plot stretches with the page while its labels are HTML, so that both are sharp and readable on
a phone. Points are strokes of no length, which stay round however the plot is stretched.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from .page import text
from .wording import MINUS, as_percent, percent, plural

MOST_DOTS = 2000
MOST_KIN = 300
_SIZE = 1000  # the plot's own units, both ways
# Above the axis, a strip for the candidates that are off it.
_STRIP = 90
# A candidate that failed the screen is ranked behind by 0.5, so nothing beyond this is a loss
# that was measured on all proxies.
_MOST_PERCENT = 70.0

CHART_STYLE = """
figure{margin:1rem 0}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.4rem;font-size:.88rem;color:var(--soft);
padding:0;margin:.4rem 0}
.legend i{display:inline-block;width:.6rem;height:.6rem;border-radius:50%;margin-right:.45rem}
.legend i.rule{height:3px;width:1.4rem;border-radius:0;vertical-align:middle}
.axis{color:var(--soft);font-size:.85rem;margin:.2rem 0}
.x-title{text-align:right}
.plot{position:relative;height:20rem;margin:.3rem 0 1.9rem 3.4rem}
.plot svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
.plot span{position:absolute;font-size:.8rem;line-height:1;color:var(--soft);white-space:nowrap}
.plot .y{right:100%;margin-right:.5rem;transform:translateY(-50%)}
.plot .x{top:100%;margin-top:.5rem;transform:translateX(-50%)}
.plot .x.end{transform:translateX(-100%)}
.plot .zero{right:.2rem;transform:translateY(-130%);background:var(--paper);padding:.1rem .2rem}
svg path{fill:none;vector-effect:non-scaling-stroke}
.grid{stroke:var(--line);stroke-width:1}.base{stroke:var(--ink);stroke-width:1;
stroke-dasharray:4 3}
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
    """What is drawn where.

    Attributes:
      points: (place from 1, percent, ordinal) of each candidate with a finite score.
      best: (place, percent) of each that was better than all before.
      count: of candidates trained. low, high, step: the axis in percent.
    """

    points: Sequence[tuple[int, float, int]]
    best: Sequence[tuple[int, float]]
    count: int
    low: float
    high: float
    step: float

    def x(self, place: float) -> int:
        return round(_SIZE * place / self.count)

    def y(self, value: float) -> int:
        # What is above the axis ends at its edge.
        share = (self.high - min(value, self.high)) / (self.high - self.low)
        return round(_STRIP + (_SIZE - _STRIP) * share)

    @property
    def drawn(self) -> Sequence[tuple[int, float, int]]:
        """The points, or an even choice of them where they are too many."""
        return _evenly(self.points, MOST_DOTS)

    @property
    def ticks(self) -> list[float]:
        first, last = round(self.low / self.step), round(self.high / self.step)
        return [self.step * i for i in range(first, last + 1)]


def score_chart(trained: Sequence[tuple[int, float]], kin: Collection[int], baseline: str) -> str:
    """Every trained candidate's score, and the best so far.

    Args:
      trained: (ordinal, fitness) in the order of training; inf where it diverged.
      kin: ordinals of the best rule and its ancestors, which are marked.
      baseline: its name in print.

    Returns:
      A figure, or an empty string if every candidate diverged.
    """
    points = [
        (place, as_percent(fitness), ordinal)
        for place, (ordinal, fitness) in enumerate(trained, start=1)
        if math.isfinite(fitness)
    ]
    if not points:
        return ""
    best = list(_best_so_far(points))
    plot = _Plot(points, best, len(trained), *_axis(best))
    summary = (
        f"{plural(plot.count, 'candidate')} trained; the best so far went from"
        f" {_signed(best[0][1])} % to {_signed(best[-1][1])} % loss"
    )
    return "\n".join(
        [
            "<figure>",
            '<div class="legend"><span><i style="background:var(--dot)"></i>a candidate</span>'
            '<span><i class="rule" style="background:var(--blue)"></i>best so far</span>'
            '<span><i style="background:var(--orange)"></i>the best rule and its ancestors</span>'
            "</div>",
            f'<div class="axis">loss on the proxies, relative to {text(baseline)};'
            " lower is better</div>",
            '<div class="plot">',
            f'<svg role="img" aria-label="{text(summary)}" viewBox="0 0 {_SIZE} {_SIZE}"'
            ' preserveAspectRatio="none">',
            *_shapes(plot, kin),
            "</svg>",
            *_labels(plot, baseline),
            "</div>",
            '<div class="axis x-title">candidates trained</div>',
            f"<figcaption>{text(_caption(plot))}</figcaption>",
            "</figure>",
        ]
    )


def _shapes(plot: _Plot, kin: Collection[int]) -> Iterator[str]:
    """The plot's paths, from back to front."""
    x, y, high = plot.x, plot.y, plot.high
    yield _path("grid", "".join(f"M0 {y(tick)}H{_SIZE}" for tick in plot.ticks))
    yield _path("off", "".join(f"M{x(place)} 8v34" for place, v, _ in plot.drawn if v > high))
    dots = "".join(f"M{x(place)} {y(v)}h0" for place, v, _ in plot.drawn if v <= high)
    yield _path("dots few" if len(plot.drawn) < 300 else "dots", dots)
    if plot.low <= 0 <= high:
        yield _path("base", f"M0 {y(0)}H{_SIZE}")
    place, value = plot.best[0]
    steps = "".join(f"H{x(place)}V{y(value)}" for place, value in plot.best[1:])
    yield _path("best", f"M{x(place)} {y(value)}{steps}H{_SIZE}")
    marked = [point for point in plot.points if point[2] in kin and point[1] <= high]
    for place, value, ordinal in _evenly(marked, MOST_KIN):
        title = f"candidate {ordinal}: {_signed(value)} %"
        yield _path("kin", f"M{x(place)} {y(value)}h0", title)


def _path(css: str, d: str, title: str = "") -> str:
    inner = f"><title>{title}</title></path>" if title else "/>"
    return f'<path class="{css}" d="{d}"{inner}'


def _labels(plot: _Plot, baseline: str) -> Iterator[str]:
    """What stands beside the axes, placed in percent of the plot."""

    def beside(tick: float) -> str:
        return f'style="top:{100 * plot.y(tick) / _SIZE:g}%"'

    for tick in plot.ticks:
        yield f'<span class="y" {beside(tick)}>{_signed(tick)} %</span>'
    if any(value > plot.high for _, value, _ in plot.points):
        yield '<span class="y" style="top:2.5%">over</span>'
    for place in _x_ticks(plot.count):
        css = "x end" if place == plot.count else "x"
        left = 100 * plot.x(place) / _SIZE
        yield f'<span class="{css}" style="left:{left:g}%">{place:,}</span>'
    if plot.low <= 0 <= plot.high:
        yield f'<span class="zero" {beside(0.0)}>{text(baseline)}, tuned</span>'


def _caption(plot: _Plot) -> str:
    words = [f"{plural(plot.count, 'candidate')} trained."]
    above = sum(value > plot.high for _, value, _ in plot.points)
    if above:
        words.append(
            f"{above:,} lie above the axis, over {_signed(plot.high)} %; those that failed the"
            " first, cheap tasks are ranked there and trained no further."
        )
    if plot.count > len(plot.points):
        diverged = plural(plot.count - len(plot.points), "candidate")
        words.append(f"{diverged} diverged and cannot be drawn.")
    if len(plot.points) > MOST_DOTS:
        words.append(f"{MOST_DOTS:,} of the others are drawn, evenly spaced.")
    return " ".join(words)


def interval_bar(mean: float | None, low: float | None, high: float | None, reach: float) -> str:
    """A 95 % interval around zero: green below, red above, neutral where it holds zero.

    Args:
      mean, low, high: log-ratios; None where there is none.
      reach: the log-ratio at the right end; what lies beyond is cut off.
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


def _axis(best: Sequence[tuple[int, float]]) -> tuple[float, float, float]:
    """Lowest and highest percent shown, and the step between ticks.

    The axis is for the best: it leaves out what is far worse, or gains of a few percent vanish.
    """
    first, last = best[0][1], best[-1][1]
    high = max(10.0, 1.5 * abs(last), min(1.1 * first, _MOST_PERCENT))
    low = min(last, 0.0)
    step = _round_step((high - low) / 8)
    return step * math.floor(low / step), step * math.ceil(high / step), step


def _round_step(width: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(width))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= width * 0.999)


def _x_ticks(count: int) -> list[int]:
    step = max(1, round(_round_step(count / 4)))
    # The last tick says how many there were; one close to it would overlap.
    return [*(t for t in range(0, count, step) if count - t > step / 2), count]


def _evenly(
    points: Sequence[tuple[int, float, int]], most: int
) -> Sequence[tuple[int, float, int]]:
    """All of them, or an even choice that ends with the last."""
    if len(points) <= most:
        return points
    return [points[(i + 1) * len(points) // most - 1] for i in range(most)]


def _signed(value: float) -> str:
    return "0" if value == 0 else f"{value:+,.3g}".replace("-", MINUS)
