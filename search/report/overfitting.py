"""Meta-overfitting (Chen et al. 2023): fitness still improves, but held-out tasks do not.

After each round the champions, its best candidates, are validated on held-out tasks. The search
meta-overfits if later champions improve on the problems they were evolved on, but no longer on the
held-out tasks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from ...evaluators.formatting import percent, plural
from ..store.outcome import Champion, Round, best_champion
from .conclusions import Conclusion

# Smaller changes of the log-ratio (half a percent) may come from fresh problems alone.
TOLERANCE = 0.005
# Fewest rounds, and champions, that allow a conclusion.
FEWEST_ROUNDS = 3
FEWEST_CHAMPIONS = 8


def stretches(rounds: Sequence[Round]) -> list[list[Round]]:
    """The rounds in groups, split at restarts."""
    found: list[list[Round]] = [[]]
    for r in rounds:
        found[-1].append(r)
        if r.fresh is not None:
            found.append([])
    return [stretch for stretch in found if stretch]


def judge_rounds(rounds: Sequence[Round]) -> Conclusion:
    """The conclusion from the meta-overfitting curve of a run.

    Args:
      rounds: the finished rounds, oldest first.
    """
    best = best_champion(rounds)
    if best is None:
        return Conclusion("No candidate has been tried on held-out tasks yet.")
    r, champion = best
    where = f"round {r.number + 1} ({percent(champion.validation)} loss)"
    agreement = _agreement([c for r in rounds for c in r.champions])
    validated = sum(bool(r.champions) for r in rounds)
    if validated < FEWEST_ROUNDS:
        few = f"{plural(validated, 'round')} are too few to detect meta-overfitting."
        few = few if validated > 1 else "One round is too few to detect meta-overfitting."
        return Conclusion(few, (f"The best on held-out tasks came in {where}.", *agreement))
    own = next(s for s in stretches(rounds) if r in s)
    later = own[own.index(r) + 1 :]
    champions = [c for s in later for c in s.champions]
    since = sum(fresh.fresh is not None for fresh in rounds[rounds.index(r) :])
    restarts = (
        (f"The search has restarted {_times(since)} since, without a better result.",)
        if since and rounds[-1] not in own
        else ()
    )
    if not champions:
        sentence = f"No sign of meta-overfitting: the best on held-out tasks came in {where}"
        last = (
            ", the last round." if r is rounds[-1] else "; its population had no champion after it."
        )
        return Conclusion(sentence + last, (*restarts, *agreement))
    return Conclusion(_after_the_best(r, champion, later), (*restarts, *agreement))


def _after_the_best(r: Round, champion: Champion, later: Sequence[Round]) -> str:
    """The conclusion, in a sentence, from the rounds after the best one on held-out tasks."""
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
    """A sentence on the rank correlation between proxies and held-out tasks; or nothing."""
    pairs = [(c.fitness, c.validation) for c in champions]
    if len(pairs) < FEWEST_CHAMPIONS:
        return ()
    found = rank_correlation(pairs)
    if math.isnan(found):
        return ()
    # Two standard errors of the rank correlation of independent values.
    if abs(found) < 2 / math.sqrt(len(pairs) - 1):
        meaning = "doing better on the proxies says little about the held-out tasks"
    elif found > 0:
        meaning = "rules that are better on the proxies tend to be better on the held-out tasks too"
    else:
        meaning = "rules that are better on the proxies tend to be worse on the held-out tasks"
    words = f"{found:+.2f}".replace("-", "−")
    return (f"Over {len(pairs)} champions, the rank correlation is {words}: {meaning}.",)


def rank_correlation(pairs: Sequence[tuple[float, float]]) -> float:
    """Spearman's rank correlation; ties share their mean rank. NaN if one side is constant.

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
