"""Intervals hold what they promise, tests assume nothing, corrections are Holm's."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from evoptax.evaluators.scores.certainty import holm
from evoptax.evaluators.scores.statistics import (
    bootstrap_interval,
    estimate,
    sign_flip_test,
    smallest_p,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats


def test_interval_holds_the_truth_as_often_as_it_says() -> None:
    """At evaluate's own three seeds, where a percentile interval holds it four times in five."""
    rng = np.random.default_rng(0)
    held = percentile_held = 0
    runs = 200
    for _ in range(runs):
        truth = rng.normal(size=(4, 1))
        values = truth + np.exp(rng.normal(size=(4, 1))) * rng.normal(size=(4, 3))
        low, high = bootstrap_interval(values)
        held += low <= truth.mean() <= high
        means = values[np.arange(4)[:, None], rng.integers(0, 3, (500, 4, 3))].mean((1, 2))
        percentile_held += np.quantile(means, 0.025) <= truth.mean() <= np.quantile(means, 0.975)
    assert 0.91 <= held / runs <= 0.99
    assert percentile_held / runs < 0.87


def test_interval_nears_students_on_many_seeds() -> None:
    values = np.random.default_rng(1).normal(size=(1, 60))
    student = stats.ttest_1samp(values[0], 0).confidence_interval(0.95)
    np.testing.assert_allclose(bootstrap_interval(values), student, atol=0.03)


@pytest.mark.parametrize(
    "values",
    [[[0.3]], [[0.1], [0.2]], [[1.0, 2.0, 4.0]], [[0.1, 0.1, 0.1], [0.2, 0.2, 0.2]]],
    ids=["one run", "one seed", "three seeds of one task", "no spread"],
)
def test_too_few_seeds_have_no_interval(values: list[list[float]]) -> None:
    assert bootstrap_interval(np.array(values)) == (-math.inf, math.inf)


def test_seeds_are_resampled_within_tasks() -> None:
    """Tasks that differ widely do not blur a difference that every seed repeats."""
    rng = np.random.default_rng(0)
    values = np.array([[-3.0], [1.0], [5.0]]) + 0.01 * rng.normal(size=(3, 6))
    low, high = bootstrap_interval(values)
    assert low < 1.0 < high
    assert high - low < 0.05


@settings(max_examples=25, deadline=None)
@given(
    arrays(np.float64, (3, 4), elements=st.integers(-1000, 1000)),
    st.sampled_from([-2.0, 0.25, 3.0]),
    st.sampled_from([-5.0, 0.0, 17.0]),
)
def test_interval_moves_and_scales_with_the_values(
    values: np.ndarray, scale: float, shift: float
) -> None:
    ends = scale * np.array(bootstrap_interval(values)) + shift
    found = bootstrap_interval(scale * values + shift)
    np.testing.assert_allclose(sorted(found), sorted(ends), rtol=1e-6, atol=1e-6)


def test_the_same_values_always_give_the_same_numbers() -> None:
    values = np.random.default_rng(5).normal(size=(4, 5))
    assert estimate(values) == estimate(values.copy())


def test_sign_flip_test_tries_all_signs() -> None:
    differences = np.array([[-0.5, -0.2], [0.1, -0.4]])
    means = [
        np.mean(np.array(signs) * differences.ravel())
        for signs in itertools.product([1, -1], repeat=4)
    ]
    expected = np.mean(np.abs(means) >= abs(differences.mean()) - 1e-12)
    assert sign_flip_test(differences) == pytest.approx(expected)


@pytest.mark.parametrize("count", [2, 3, 6, 13, 40])
def test_smallest_p_is_what_unanimous_differences_give(count: int) -> None:
    differences = -1 - np.random.default_rng(0).random((1, count))
    assert sign_flip_test(differences) == pytest.approx(smallest_p(count))


def test_no_difference_has_p_one() -> None:
    assert sign_flip_test(np.zeros((3, 3))) == 1


def test_p_values_are_uniform_without_a_difference() -> None:
    rng = np.random.default_rng(0)
    p = [sign_flip_test(rng.standard_t(3, (2, 4))) for _ in range(300)]
    assert 0.02 <= np.mean(np.array(p) <= 0.05) <= 0.08
    assert 0.4 <= np.mean(np.array(p) <= 0.5) <= 0.6


def test_holm_by_hand() -> None:
    assert holm([0.04, 0.001, 0.03]) == pytest.approx((0.06, 0.003, 0.06))
    assert holm([0.9, 0.8]) == pytest.approx((1.0, 1.0))
    assert holm([0.02]) == (0.02,)
    assert holm([]) == ()


def test_holm_does_not_count_what_was_not_tested() -> None:
    low, none, high = holm([0.01, math.nan, 0.04])
    assert (low, high) == (0.02, 0.04)
    assert math.isnan(none)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_what_is_not_finite_is_diverged_and_claims_nothing(bad: float) -> None:
    found = estimate(np.array([[-1.0, -2.0], [-1.0, bad]]))
    assert found.mean == math.inf
    assert not found.bounded
    assert math.isnan(found.p)
