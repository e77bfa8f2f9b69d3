"""The hall of fame: the Pareto front of confirmed rules."""

from __future__ import annotations

from collections.abc import Sequence

from ..selection.finalists import is_on_front
from ..store.outcome import Finalist

# The criteria of membership, for readers of the report.
FAME_RULES = (
    "Members are confirmed: trained by an independent path (each rule compiled by itself) on fresh"
    " seeds of the proxies, they were no worse than the baseline. And they are on the Pareto"
    " front of confirmed rules: loss on held-out tasks, number of operations, number of state"
    " variables."
)


def is_confirmed(finalist: Finalist) -> bool:
    """Whether the independent path found it no worse than the baseline, on fresh seeds."""
    return finalist.confirmation is not None and finalist.confirmation <= 0


def hall_of_fame(finalists: Sequence[Finalist]) -> tuple[Finalist, ...]:
    """The Pareto front of validation, size and state among those that were confirmed."""
    confirmed = [f for f in finalists if is_confirmed(f)]
    return tuple(f for f in confirmed if is_on_front(f, confirmed))


def standing(finalist: Finalist, finalists: Sequence[Finalist]) -> str:
    """Why a finalist is not in the hall of fame, in words."""
    if finalist.confirmation is None:
        beaten = not is_on_front(finalist, finalists)
        return "a simpler one is as good" if beaten else "not tried on fresh seeds"
    if not is_confirmed(finalist):
        return "did not hold on fresh seeds"
    return "a simpler confirmed one is as good"
