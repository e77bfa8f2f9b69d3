"""The chart of a run's meta-overfitting curve: its champions, round by round."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ...evaluators.formatting import as_percent, percent, plural
from ..store.outcome import Champion, Round, best_champion
from .html.plot import MOST_PERCENT, SIZE, Axis, axis, evenly, figure, path, round_step, signed
from .overfitting import stretches

# The largest number of champions drawn, and of those with a tooltip.
MOST_MARKS = 1000
MOST_NAMED = 200

ROUND_STYLE = """
.line{stroke-width:2;opacity:.85}
.proxies{stroke:var(--blue)}.held{stroke:var(--orange)}
.points{stroke-width:7}
.points.proxies{stroke-linecap:round}.points.held{stroke-linecap:square;stroke-width:6}
.points.rest{stroke-width:4;opacity:.55}
.fresh{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:2 4}
"""


@dataclass(frozen=True)
class _Series:
    """One of the two scores of a champion.

    Attributes:
      css: its CSS class. key: the field of `Champion`. words: the tasks it is measured on.
    """

    css: str
    key: str
    words: str

    def value(self, champion: Champion) -> float:
        """In percent; inf where it diverged."""
        ratio: float = getattr(champion, self.key)
        return as_percent(ratio) if math.isfinite(ratio) else ratio


_PROXIES = _Series("proxies", "fitness", "on the problems it was evolved on")
_HELD_OUT = _Series("held", "validation", "on the held-out tasks")


def round_chart(rounds: Sequence[Round], baseline: str) -> str:
    """The champions' scores on the problems they were evolved on, and on the held-out tasks.

    Args:
      rounds: the finished rounds, oldest first.
      baseline: the baseline's printed name.

    Returns:
      A figure, or an empty string if no champion has a finite score on the held-out tasks.
    """
    best = best_champion(rounds)
    if best is None:
        return ""
    champions = [c for r in rounds for c in r.champions]
    scale = _axis([_PROXIES.value(c) for c in champions], [_HELD_OUT.value(c) for c in champions])
    legend = [
        ("blue", "rule", f"the round's fittest {_PROXIES.words}"),
        ("orange", "rule", f"the same {_HELD_OUT.words}"),
    ]
    if any(len(r.champions) > 1 for r in rounds):
        legend.append(("dot", "", "the round's other champions, smaller"))
    if any(r.fresh is not None for r in rounds):
        legend.append(("paper", "mark", "the search restarts"))
    r, champion = best
    return figure(
        legend=legend,
        title=f"loss relative to {baseline}; lower is better",
        summary=(
            f"{plural(len(rounds), 'round')}; the best on the held-out tasks came in round"
            f" {r.number + 1}, with {percent(champion.validation)} loss there and"
            f" {percent(champion.fitness)} {_PROXIES.words}; the table below has all numbers"
        ),
        shapes=_shapes(rounds, scale),
        labels=_labels(rounds, scale, baseline),
        below="rounds",
        caption=_caption(rounds, scale),
    )


def _axis(proxies: Sequence[float], held_out: Sequence[float]) -> Axis:
    """An axis for the held-out scores; it cuts off candidates that failed on the proxies."""
    finite = [value for value in (*proxies, *held_out) if math.isfinite(value)]
    most = max(10.0, 1.5 * abs(min(finite)))
    inside = [value for value in proxies if value <= most]
    inside += [value for value in held_out if value <= MOST_PERCENT]
    return axis(min(finite), max(inside, default=0.0), (*proxies, *held_out))


def _x(place: float, count: int) -> int:
    return round(SIZE * place / count)


def _shapes(rounds: Sequence[Round], scale: Axis) -> Iterator[str]:
    yield from scale.back()
    count = len(rounds)
    place = {r.number: _x(index + 0.5, count) for index, r in enumerate(rounds)}
    for index, r in enumerate(rounds):
        if r.fresh is not None:
            title = f"after round {r.number + 1} the search restarts from {r.fresh}"
            yield path("fresh", f"M{_x(index + 1, count)} 0V{SIZE}", title)
    for series in (_PROXIES, _HELD_OUT):
        lines = "".join(_line(s, place, series, scale) for s in stretches(rounds))
        if lines:
            yield path(f"line {series.css}", lines)
        yield from _marks(rounds, series, scale)


def _line(stretch: Sequence[Round], place: dict[int, int], series: _Series, scale: Axis) -> str:
    """A line through the fittest champion of each round, from one restart to the next."""
    ends = [
        (place[r.number], scale.y(series.value(r.champions[0])))
        for r in stretch
        if r.champions and math.isfinite(series.value(r.champions[0]))
    ]
    return "" if len(ends) < 2 else "M" + "L".join(f"{x} {y}" for x, y in ends)


def _marks(rounds: Sequence[Round], series: _Series, scale: Axis) -> Iterator[str]:
    count = len(rounds)
    drawn = [
        (index, rank, r, c)
        for index, r in enumerate(rounds)
        for rank, c in enumerate(r.champions)
        if math.isfinite(series.value(c))
    ]
    drawn = list(evenly(drawn, MOST_MARKS))
    for rank, css in ((1, "points rest"), (0, "points")):
        of_rank = [entry for entry in drawn if min(entry[1], 1) == rank]
        if len(of_rank) > MOST_NAMED:
            together = "".join(_mark(entry, count, series, scale) for entry in of_rank)
            yield path(f"{css} {series.css}", together)
            continue
        for entry in of_rank:
            c = entry[3]
            title = (
                f"round {entry[2].number + 1}, candidate {c.ordinal}: {percent(c.fitness)}"
                f" {_PROXIES.words}, {percent(c.validation)} {_HELD_OUT.words}"
            )
            yield path(f"{css} {series.css}", _mark(entry, count, series, scale), title)


def _mark(entry: tuple[int, int, Round, Champion], count: int, series: _Series, scale: Axis) -> str:
    return f"M{_x(entry[0] + 0.5, count)} {scale.y(series.value(entry[3]))}h0"


def _labels(rounds: Sequence[Round], scale: Axis, baseline: str) -> Iterator[str]:
    yield from scale.labels(f"{baseline}, default constants")
    for index in _x_ticks(len(rounds)):
        left = 100 * _x(index + 0.5, len(rounds)) / SIZE
        yield f'<span class="x" style="left:{left:g}%">{rounds[index].number + 1:,}</span>'


def _x_ticks(count: int) -> Iterable[int]:
    """Indices of the rounds that are labelled: 1, then multiples of a round number."""
    step = max(1, round(round_step(count / 8)))
    if step == 1:
        return range(count)
    # A label next to the first would overlap on a phone.
    return [0, *range(max(step, 2) - 1, count, step)]


def _caption(rounds: Sequence[Round], scale: Axis) -> str:
    champions = [c for r in rounds for c in r.champions]
    words = [f"{plural(len(champions), 'champion')} of {plural(len(rounds), 'round')}."]
    diverged = sum(c.validation == math.inf for c in champions)
    if diverged:
        words.append(f"{diverged:,} diverged on a held-out task and cannot be drawn there.")
    if scale.over:
        words.append(
            f"Values over {signed(scale.high)} % are drawn at the edge; candidates that were"
            " stopped early are among them."
        )
    return " ".join(words)
