"""The conclusion on a run's rounds: it says what the champions' numbers say, and no more."""

from __future__ import annotations

import math

import pytest
from evoptax.search.report.overfitting import judge_rounds, rank_correlation, stretches
from evoptax.search.store.outcome import Champion, Round, best_champion
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats


def rounds_of(*scores: tuple[float, float] | None, fresh: tuple[int, ...] = ()) -> list[Round]:
    """Rounds with a champion each (None: without), after some of which the population restarts."""
    return [
        Round(
            number,
            10 * number + 10,
            5 * number + 5,
            () if pair is None else (Champion(10 * number, *pair),),
            0 if number in fresh else None,
        )
        for number, pair in enumerate(scores)
    ]


OVERFITTED = rounds_of((-0.02, -0.01), (-0.05, -0.04), (-0.08, -0.02), (-0.1, 0.01), (-0.12, 0.03))
CARRIED = rounds_of((-0.02, -0.01), (-0.05, -0.02), (-0.08, -0.05), (-0.1, -0.06))
STUCK = rounds_of((-0.02, -0.01), (-0.08, -0.05), (-0.07, -0.04), (-0.08, -0.02))
FLAT = rounds_of((-0.02, -0.01), (-0.05, -0.051), (-0.08, -0.05), (-0.1, -0.05))
EARLY = rounds_of((-0.08, -0.05), (-0.1, -0.01), (0.0, 0.01), (-0.01, 0.0), fresh=(1,))


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        ([], "No candidate has been tried on held-out tasks yet."),
        (rounds_of(None, None), "No candidate has been tried on held-out tasks yet."),
        (rounds_of((-0.1, math.inf)), "No candidate has been tried on held-out tasks yet."),
        (rounds_of((-0.1, 0.0)), "One round is too few"),
        (rounds_of((-0.1, 0.0), None, (-0.1, 0.0)), "2 rounds are too few"),
        (OVERFITTED, "From round 2 on, the search meta-overfitted: on the problems they were"),
        (OVERFITTED, "went from −4.9 % to −9.5 % (median of the 3 rounds after it), and on the"),
        (OVERFITTED, "held-out tasks from −3.9 % to +1.0 %."),
        (CARRIED, "No sign of meta-overfitting: the best on held-out tasks came in round 4"),
        (CARRIED, ", the last round."),
        (STUCK, "No sign of meta-overfitting: the best on held-out tasks came in round 2"),
        (STUCK, "did no better on their own problems either (−7.7 % then, a median of −7.2 %"),
        (EARLY, "From round 1 on, the search may have begun to meta-overfit"),
        (FLAT, "From round 2 on, the search improved on its own problems alone"),
        (EARLY, "restarted once since, without a better result."),
    ],
)
def test_the_verdict_on_rounds(rounds: list[Round], expected: str) -> None:
    conclusion = judge_rounds(rounds)
    assert expected in " ".join([conclusion.sentence, *conclusion.caveats])


def test_what_comes_after_a_restart_is_not_held_against_the_best() -> None:
    """A fresh population does worse on its own problems, which says nothing about the old one."""
    assert [len(s) for s in stretches(EARLY)] == [2, 2]
    assert [len(s) for s in stretches(rounds_of((0, 0), (0, 0), fresh=(1,)))] == [2]
    assert stretches([]) == []


def test_the_best_champion_is_the_earliest_of_equals() -> None:
    found = best_champion(rounds_of((0.0, -0.1), None, (-0.5, -0.1), (-1.0, math.inf)))
    assert found is not None and found[1].ordinal == 0


@pytest.mark.parametrize(
    ("sign", "expected"),
    [
        (1, "tend to be better on the held-out tasks too"),
        (-1, "tend to be worse on the held-out tasks"),
    ],
)
def test_agreement_of_proxies_and_held_out_tasks(sign: int, expected: str) -> None:
    rounds = rounds_of(*((-0.01 * i, -0.01 * sign * i) for i in range(1, 13)))
    said = " ".join(judge_rounds(rounds).caveats)
    assert expected in said and f"rank correlation is {'+' if sign > 0 else '−'}1.00" in said
    alternating = rounds_of(*((-0.01 * i, 0.01 * (-1) ** i) for i in range(1, 13)))
    assert "says little about" in " ".join(judge_rounds(alternating).caveats)
    constant = rounds_of(*((-0.01 * i, 0.0) for i in range(1, 13)))
    assert "correlation" not in " ".join(judge_rounds(constant).caveats)


@given(
    st.lists(
        st.tuples(st.integers(-5, 5).map(float), st.sampled_from([-1.0, 0.0, 2.0, math.inf])),
        min_size=2,
        max_size=30,
    )
)
def test_rank_correlation_is_spearmans(pairs: list[tuple[float, float]]) -> None:
    found = rank_correlation(pairs)
    first, second = [stats.rankdata(v) for v in zip(*pairs, strict=True)]
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(stats.pearsonr(first, second).statistic)
