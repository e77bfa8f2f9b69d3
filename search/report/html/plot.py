"""The frame of the report's plots: axes, labels and legend around a hand-made SVG.

The plot stretches with the page while its labels are HTML, so that both are sharp and readable on
a phone. Points are strokes of no length, which keep their shape however the plot is stretched.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ....evaluators.formatting import MINUS
from .page import text

T = TypeVar("T")

SIZE = 1000  # the plot's own units, both ways
# The height of the strip above the axis for values that are off it.
_STRIP = 90
# What fails the screen or is stopped early is ranked behind by 0.5, so nothing beyond this is a
# loss that was measured on all proxies.
MOST_PERCENT = 70.0

PLOT_STYLE = """
figure{margin:1rem 0}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.4rem;font-size:.88rem;color:var(--soft);
padding:0;margin:.4rem 0}
.legend i{display:inline-block;width:.6rem;height:.6rem;border-radius:50%;margin-right:.45rem}
.legend i.rule{height:3px;width:1.4rem;border-radius:0;vertical-align:middle}
.legend i.square{border-radius:0}
.legend i.mark{width:0;height:.9rem;border-radius:0;border-left:2px dotted var(--ink);
vertical-align:middle}
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
"""


@dataclass(frozen=True)
class Axis:
    """The vertical axis, in percent; lower is better, and drawn lower.

    Attributes:
      low, high: its ends. step: between ticks. over: whether anything lies above it.
    """

    low: float
    high: float
    step: float
    over: bool

    def y(self, value: float) -> int:
        """The vertical position of a value, clipped at the upper end of the axis."""
        share = (self.high - min(value, self.high)) / (self.high - self.low)
        return round(_STRIP + (SIZE - _STRIP) * share)

    @property
    def ticks(self) -> list[float]:
        """The values that are labelled."""
        first, last = round(self.low / self.step), round(self.high / self.step)
        return [self.step * i for i in range(first, last + 1)]

    def back(self) -> Iterator[str]:
        """The background: the grid, and the baseline at zero."""
        yield path("grid", "".join(f"M0 {self.y(tick)}H{SIZE}" for tick in self.ticks))
        yield path("base", f"M0 {self.y(0)}H{SIZE}")

    def labels(self, baseline: str) -> Iterator[str]:
        """The labels beside the axis, positioned in percent of the plot; `baseline`: what zero is,
        in words.
        """

        def beside(tick: float) -> str:
            return f'style="top:{100 * self.y(tick) / SIZE:g}%"'

        for tick in self.ticks:
            yield f'<span class="y" {beside(tick)}>{signed(tick)} %</span>'
        if self.over:
            yield '<span class="y" style="top:2.5%">over</span>'
        yield f'<span class="zero" {beside(0.0)}>{text(baseline)}</span>'


def axis(low: float, high: float, values: Iterable[float]) -> Axis:
    """An axis of round numbers, in percent, that contains zero, `low` and `high`.

    Args:
      low, high: the range to show. values: all values; some may be above `high`.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    step = round_step(max(high - low, 0.1) / 8)
    low, high = step * math.floor(low / step), step * math.ceil(high / step)
    if high == low:
        high = low + step
    return Axis(low, high, step, any(value > high for value in values))


def figure(
    *,
    legend: Sequence[tuple[str, str, str]],
    title: str,
    summary: str,
    shapes: Iterable[str],
    labels: Iterable[str],
    below: str,
    caption: str,
) -> str:
    """A plot with legend, axis titles, labels and caption.

    Args:
      legend: (colour, shape, words) of each series; shapes are "", "rule", "square" and "mark".
      title: of the vertical axis. below: of the horizontal one.
      summary: the content in words, for screen readers.
      shapes: SVG. labels: HTML, safe already.
      caption: plain text.
    """
    kinds = "".join(
        f'<span><i class="{shape}" style="background:var(--{colour})"></i>{text(words)}</span>'
        for colour, shape, words in legend
    )
    return "\n".join(
        [
            "<figure>",
            f'<div class="legend">{kinds}</div>',
            f'<div class="axis">{text(title)}</div>',
            '<div class="plot">',
            f'<svg role="img" aria-label="{text(summary)}" viewBox="0 0 {SIZE} {SIZE}"'
            ' preserveAspectRatio="none">',
            *shapes,
            "</svg>",
            *labels,
            "</div>",
            f'<div class="axis x-title">{text(below)}</div>',
            f"<figcaption>{text(caption)}</figcaption>",
            "</figure>",
        ]
    )


def path(css: str, d: str, title: str = "") -> str:
    """An SVG path with an optional tooltip."""
    inner = f"><title>{text(title)}</title></path>" if title else "/>"
    return f'<path class="{css}" d="{d}"{inner}'


def round_step(width: float) -> float:
    """The smallest 1, 2 or 5 times a power of ten that is at least `width`."""
    power = 10.0 ** math.floor(math.log10(width))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= width * 0.999)


def evenly(items: Sequence[T], most: int) -> Sequence[T]:
    """The items, thinned evenly to at most `most`, with the last one kept."""
    if len(items) <= most:
        return items
    return [items[(i + 1) * len(items) // most - 1] for i in range(most)]


def signed(value: float) -> str:
    """A percentage with its sign: "+5", "−2.5", "0"."""
    return "0" if value == 0 else f"{value:+,.3g}".replace("-", MINUS)
