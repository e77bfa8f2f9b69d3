"""The hall of fame: confirmed rules that no other confirmed one beats in every respect."""

from __future__ import annotations

from collections.abc import Sequence

from ..selection.finalists import is_on_front
from ..store.outcome import Finalist

# Who gets there, for readers.
FAME_RULES = (
    "A member was confirmed: trained by an independent path (each rule compiled by itself) on fresh"
    " seeds of the proxies, it was no worse than the baseline. And no other confirmed rule is as"
    " good on held-out tasks, as short and as lean in state, and better in one of the three."
)


def is_confirmed(finalist: Finalist) -> bool:
    """Whether the independent path found it no worse than the baseline, on fresh seeds."""
    return finalist.confirmation is not None and finalist.confirmation <= 0


def hall_of_fame(finalists: Sequence[Finalist]) -> tuple[Finalist, ...]:
    """The Pareto front of validation, size and state among those that were confirmed."""
    confirmed = [f for f in finalists if is_confirmed(f)]
    return tuple(f for f in confirmed if is_on_front(f, confirmed))


def standing(finalist: Finalist, finalists: Sequence[Finalist]) -> str:
    """Why a finalist is no member of the hall of fame, in words."""
    if finalist.confirmation is None:
        beaten = not is_on_front(finalist, finalists)
        return "a simpler one is as good" if beaten else "not tried on fresh seeds"
    if not is_confirmed(finalist):
        return "did not hold on fresh seeds"
    return "a simpler confirmed one is as good"
