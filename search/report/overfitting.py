"""Meta-overfitting: whether a search improves at training, or only on the problems it evolves on.

After each round its best candidates, the champions, are tried on held-out tasks. A search fits its
own problems where champions go on improving on those, and no longer on the held-out tasks; Chen et
al. 2023 call that meta-overfitting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from ...evaluators.formatting import percent, plural
from ..store.outcome import Champion, Round, best_champion
from .conclusions import Conclusion

# A change of the log-ratio below this, half a percent, is within what fresh problems alone do.
TOLERANCE = 0.005
# With fewer, nothing can be said.
FEWEST_ROUNDS = 3
FEWEST_CHAMPIONS = 8


def stretches(rounds: Sequence[Round]) -> list[list[Round]]:
    """The rounds between fresh starts."""
    found: list[list[Round]] = [[]]
    for r in rounds:
        found[-1].append(r)
        if r.fresh is not None:
            found.append([])
    return [stretch for stretch in found if stretch]


def judge_rounds(rounds: Sequence[Round]) -> Conclusion:
    """What the meta-overfitting curve of a run says.

    Args:
      rounds: that have ended, oldest first.
    """
    best = best_champion(rounds)
    if best is None:
        return Conclusion("No candidate has been tried on held-out tasks yet.")
    r, champion = best
    where = f"round {r.number + 1} ({percent(champion.validation)} loss)"
    agreement = _agreement([c for r in rounds for c in r.champions])
    validated = sum(bool(r.champions) for r in rounds)
    if validated < FEWEST_ROUNDS:
        few = f"{plural(validated, 'round')} are too few to tell whether the search meta-overfits."
        few = few if validated > 1 else "One round cannot tell whether the search meta-overfits."
        return Conclusion(few, (f"The best on held-out tasks came in {where}.", *agreement))
    own = next(s for s in stretches(rounds) if r in s)
    later = own[own.index(r) + 1 :]
    champions = [c for s in later for c in s.champions]
    since = sum(fresh.fresh is not None for fresh in rounds[rounds.index(r) :])
    restarts = (
        (f"The population has started afresh {_times(since)} since; nothing better came of it.",)
        if since and rounds[-1] not in own
        else ()
    )
    if not champions:
        sentence = f"No sign of meta-overfitting: the best on held-out tasks came in {where}"
        last = ", the last round." if r is rounds[-1] else "; its population went no further."
        return Conclusion(sentence + last, (*restarts, *agreement))
    return Conclusion(_after_the_best(r, champion, later), (*restarts, *agreement))


def _after_the_best(r: Round, champion: Champion, later: Sequence[Round]) -> str:
    """What the rounds did that followed the best on held-out tasks, in a sentence."""
    champions = [c for s in later for c in s.champions]
    proxies = median(c.fitness for c in champions)
    held_out = median(c.validation for c in champions)
    count = sum(bool(s.champions) for s in later)
    after = f"the {plural(count, 'round')} after it"
    if proxies >= champion.fitness - TOLERANCE:
        return (
            f"No sign of meta-overfitting: the best on held-out tasks came in round {r.number + 1}"
            f" ({percent(champion.validation)} loss), and in {after} the champions did no better"
            f" on their own problems either ({percent(champion.fitness)} then, a median of"
            f" {percent(proxies)} since)."
        )
    if held_out <= champion.validation + TOLERANCE:
        said = "improved on its own problems alone"
    else:
        said = "meta-overfitted" if count > 1 else "may have begun to meta-overfit"
    return (
        f"From round {r.number + 1} on, the search {said}: on the problems they were evolved on,"
        f" its champions went from {percent(champion.fitness)} to {percent(proxies)} (median of"
        f" {after}), and on the held-out tasks from {percent(champion.validation)} to"
        f" {percent(held_out)}."
    )


def _agreement(champions: Sequence[Champion]) -> tuple[str, ...]:
    """Whether who does better on the proxies also does on held-out tasks, in a sentence."""
    pairs = [(c.fitness, c.validation) for c in champions]
    if len(pairs) < FEWEST_CHAMPIONS:
        return ()
    found = rank_correlation(pairs)
    if math.isnan(found):
        return ()
    # Two standard errors of a rank correlation where there is none.
    if abs(found) < 2 / math.sqrt(len(pairs) - 1):
        meaning = "doing better on the proxies says little about the held-out tasks"
    elif found > 0:
        meaning = "who does better on the proxies does better on the held-out tasks too, as a rule"
    else:
        meaning = "who does better on the proxies does worse on the held-out tasks, as a rule"
    words = f"{found:+.2f}".replace("-", "−")
    return (f"Over {len(pairs)} champions, the rank correlation is {words}: {meaning}.",)


def rank_correlation(pairs: Sequence[tuple[float, float]]) -> float:
    """Spearman's; ties share their mean rank, and infinity is the highest. NaN where constant.

    >>> rank_correlation([(1.0, 10.0), (2.0, 20.0), (3.0, float("inf"))])
    1.0
    """
    first, second = (_centred_ranks(values) for values in zip(*pairs, strict=True))
    scale = math.sqrt(sum(a * a for a in first) * sum(b * b for b in second))
    return sum(a * b for a, b in zip(first, second, strict=True)) / scale if scale else math.nan


def _centred_ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=lambda i: values[i])
    starts = [
        0,
        *(n for n, (a, b) in enumerate(pairwise(order), start=1) if values[a] != values[b]),
        len(order),
    ]
    ranks = [0.0] * len(values)
    for start, end in pairwise(starts):
        for place in order[start:end]:
            ranks[place] = (start + end - len(values)) / 2
    return ranks


def _times(count: int) -> str:
    return "once" if count == 1 else "twice" if count == 2 else f"{count} times"
