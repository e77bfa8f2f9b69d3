"""Steps to target and performance profiles: the definitions, by hand, and AlgoPerf's old bugs."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from evoptax.evaluators.scores.evaluate import score_from_json, score_to_json
from evoptax.evaluators.scores.profiles import (
    breakpoints,
    credit,
    first_reached,
    performance_ratios,
    profile,
    steps_to_target,
    targets,
)
from evoptax.evaluators.scores.scoring import TaskScore, mean_log_ratio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

INF, NAN = math.inf, math.nan
STEPS = np.array([10, 20, 30, 40])


def score(*curves: list[list[float]], steps: tuple[int, ...] = (10, 20, 30, 40)) -> TaskScore:
    """A score from a curve for each learning rate of each seed."""
    rates = (1e-3, 1e-2, 1e-1)[: len(curves[0])]
    curve = tuple(tuple(map(tuple, seed)) for seed in curves)
    ends = tuple(tuple(rate[-1] for rate in seed) for seed in curve)
    return TaskScore("task", rates, tuple(range(len(curves))), ends, curve, steps)


# --- the step at which a target is reached ---


def test_the_first_checkpoint_at_or_below_counts_not_the_best() -> None:
    """AlgoPerf issue 791: time to the best score was reported as time to the target."""
    assert first_reached(np.array([5.0, 3.0, 2.0, 1.0]), STEPS, np.array(3.0)) == 20


def test_a_target_once_reached_stays_reached() -> None:
    for curve in ([5.0, 3.0, 4.0, 9.0], [5.0, 3.0, INF, INF], [5.0, 3.0, NAN, NAN]):
        assert first_reached(np.array(curve), STEPS, np.array(3.0)) == 20


def test_nan_never_reaches_a_target() -> None:
    """AlgoPerf pull request 780: a filter for inf alone let NaN pass."""
    curves = np.array(
        [[NAN] * 4, [NAN, NAN, NAN, 1.0], [INF] * 4, [-INF] * 4, [4.0, NAN, 3.5, 3.1]]
    )
    assert first_reached(curves, STEPS, np.full(5, 3.0)).tolist() == [INF, 40, INF, INF, INF]


@pytest.mark.parametrize("target", [INF, NAN, -INF])
def test_nothing_reaches_a_target_that_is_no_number(target: float) -> None:
    """Every score is below inf: a diverged baseline would make every rule the fastest."""
    assert first_reached(np.array([1.0, 0.5, 0.1, 0.0]), STEPS, np.array(target)) == INF


# --- targets ---


def test_target_is_what_the_tuned_baseline_has_three_quarters_through() -> None:
    """The mean of its last two checkpoints by then, at the rate with the lowest final loss."""
    found = targets(
        score(
            [[9.0, 9.0, 9.0, 9.0], [5.0, 3.0, 2.0, 1.0]],
            [[9.0, 9.0, 9.0, 9.0], [6.0, 5.0, 4.0, 3.0]],
        )
    )
    assert found == (2.5, 4.5)


def test_baseline_reaches_its_own_targets_by_three_quarters() -> None:
    baseline = score([[8.0, 4.0, 3.0, 3.5], [9.0, 6.0, 2.0, 1.0]], [[8, 7, 7.5, 9], [9, 6, 4, 3.0]])
    aims = targets(baseline)
    assert aims is not None
    assert max(steps_to_target(baseline, aims).steps) <= 30


@pytest.mark.parametrize(
    "baseline",
    [
        score([[3.0, 2.0, INF, INF]]),
        score([[3.0, 2.0, NAN, NAN]]),
        score([[NAN, NAN, 2.0, 1.0]]),
        score([[3.0, 1.0]], steps=(20, 40)),
        score([[1.0]], steps=(40,)),
        TaskScore("task", (1e-3,), (0,), ((1.0,),)),
    ],
    ids=["diverged", "nan", "nan before", "too coarse", "end only", "no curve"],
)
def test_without_a_sound_baseline_there_is_no_target(baseline: TaskScore) -> None:
    assert targets(baseline) is None


def _noisy_run(rng: np.random.Generator) -> TaskScore:
    times = np.arange(1, 21) / 20
    level = np.exp(0.03 * rng.normal(size=(400, 1, 1)))
    curve = level * np.exp(-2 * times) * np.exp(0.003 * rng.normal(size=(400, 1, 20)))
    return score(*curve.tolist(), steps=tuple(range(5, 101, 5)))


def test_a_rule_as_good_as_the_baseline_needs_as_many_steps() -> None:
    """The baseline sets the targets, and must not win by that alone."""
    rng = np.random.default_rng(0)
    baseline, equal = _noisy_run(rng), _noisy_run(rng)
    aims = targets(baseline)
    assert aims is not None
    ratio = np.log(steps_to_target(equal, aims).steps) - np.log(
        steps_to_target(baseline, aims).steps
    )
    assert abs(ratio.mean()) < 0.01
    # The naive target, the score at the checkpoint itself, gives it away.
    naive = tuple(seed[0][14] for seed in baseline.curve)
    ratio = np.log(steps_to_target(equal, naive).steps) - np.log(
        steps_to_target(baseline, naive).steps
    )
    assert ratio.mean() > 0.02


# --- tuning ---


def test_learning_rate_is_tuned_for_steps_over_all_seeds() -> None:
    slow, fast = [5.0, 4.0, 3.0, 1.0], [5.0, 3.0, 2.9, 2.8]
    found = steps_to_target(score([slow, fast], [slow, fast]), (3.0, 3.0))
    assert (found.learning_rate, found.steps) == (1e-2, (20, 20))
    assert found.at_edge
    assert found.budget == 40


def test_a_rate_that_reaches_every_target_beats_a_faster_one_that_misses_some() -> None:
    sure, quick, fails = [5.0, 4.0, 4.0, 3.0], [3.0, 3.0, 3.0, 3.0], [NAN] * 4
    found = steps_to_target(score([sure, quick], [sure, fails]), (3.0, 3.0))
    assert (found.learning_rate, found.steps) == (1e-3, (40, 40))


def test_equal_steps_go_to_the_lower_loss_and_nan_has_none() -> None:
    a, b = [5.0, 3.0, 2.0, 2.0], [5.0, 3.0, 2.0, 1.0]
    assert steps_to_target(score([a, b]), (3.0,)).learning_rate == 1e-2
    assert steps_to_target(score([[NAN] * 4, [9.0] * 4]), (3.0,)).learning_rate == 1e-2
    assert steps_to_target(score([[NAN] * 4, [9.0] * 4]), (3.0,)).steps == (INF,)


def test_steps_are_compared_not_the_count_of_checkpoints() -> None:
    """AlgoPerf picks trials by the index of an evaluation, which is not its time."""
    often = score([[5.0, 4.0, 3.0, 2.0]], steps=(1, 2, 3, 4))
    seldom = score([[5.0, 3.0, 2.0, 1.0]])
    assert steps_to_target(often, (3.0,)).steps < steps_to_target(seldom, (3.0,)).steps


def test_a_curve_is_needed_for_every_target() -> None:
    with pytest.raises(ValueError, match="2 seeds"):
        steps_to_target(score([[1.0] * 4]), (1.0, 1.0))
    with pytest.raises(ValueError, match="curve"):
        steps_to_target(TaskScore("task", (1e-3,), (0,), ((1.0,),)), (1.0,))


# --- NaN in scores ---


def test_a_nan_score_is_never_the_best() -> None:
    found = dataclasses.replace(score([[1.0], [1.0]]), scores=((NAN, 1.0),))
    assert found.learning_rate == 1e-2
    assert found.value == 1.0
    assert dataclasses.replace(found, scores=((NAN, NAN),)).diverged
    assert dataclasses.replace(found, scores=((NAN, -INF),)).diverged


def test_a_rule_that_diverged_is_not_saved_by_a_baseline_that_did() -> None:
    """inf on one task and −inf on another is NaN, which no sorting puts last."""
    good, bad = score([[1.0]], steps=(40,)), score([[INF]], steps=(40,))
    assert mean_log_ratio([bad, good], [good, bad]) == INF


def test_curves_survive_json_and_older_scores_read_without() -> None:
    found = score([[1 / 3, 2e-17, INF, INF]], [[1.0, 0.1, 0.5, 0.7]])
    assert score_from_json(score_to_json(found)) == found
    old = '{"task": "t", "learning_rates": [0.1], "seeds": [0], "scores": [[2.0]]}'
    assert score_from_json(old) == TaskScore("t", (0.1,), (0,), ((2.0,),))


# --- profiles ---


def test_profile_by_hand() -> None:
    """Three rules on four problems: a tie, a rule that never arrives, a problem nobody solves."""
    times = np.array([[10.0, 20.0, 30.0, INF], [20.0, 20.0, 90.0, INF], [50.0, INF, INF, INF]])
    ratios = performance_ratios(times)
    assert ratios.tolist() == [[1, 1, 1, INF], [2, 1, 3, INF], [5, INF, INF, INF]]
    found = profile(ratios, np.array([1.0, 1.99, 2.0, 3.0, 4.0, 5.0]))
    assert found.tolist() == [
        [0.75] * 6,
        [0.25, 0.25, 0.5, 0.75, 0.75, 0.75],
        [0, 0, 0, 0, 0, 0.25],
    ]
    # (4 − τ) / 3 for each problem: (1 + 1 + 1 + 0) / 4, (2/3 + 1 + 1/3 + 0) / 4, 0.
    assert credit(ratios).mean(axis=1) == pytest.approx([0.75, 0.5, 0.0])
    assert breakpoints(ratios).tolist() == [1, 2, 3, 4]


def test_problems_nobody_solves_count_for_nobody() -> None:
    """inf / inf is NaN; and a problem dropped from the denominator would raise every score."""
    ratios = performance_ratios(np.array([[INF, 10.0], [NAN, 10.0]]))
    assert ratios.tolist() == [[INF, 1], [INF, 1]]
    assert credit(ratios).mean(axis=1).tolist() == [0.5, 0.5]


def test_a_slow_rule_changes_no_other_score() -> None:
    """AlgoPerf pull request 778: the range of τ once followed the slowest rule."""
    times = np.array([[10.0, 30.0], [20.0, 10.0]])
    slow = np.array([[1000.0, INF]])
    alone, beside = (credit(performance_ratios(t)) for t in (times, np.vstack([times, slow])))
    np.testing.assert_array_equal(alone, beside[:2])


def test_nan_time_is_neither_fastest_nor_within_reach() -> None:
    ratios = performance_ratios(np.array([[NAN], [40.0]]))
    assert ratios.tolist() == [[INF], [1]]
    assert profile(ratios, np.array([1.0, 4.0])).tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("time", [0.0, -1.0])
def test_times_are_positive(time: float) -> None:
    """At zero everybody else is infinitely slow, and 0 / 0 is NaN."""
    with pytest.raises(ValueError, match="positive"):
        performance_ratios(np.array([[time, 1.0], [1.0, 1.0]]))


TIMES = arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(1, 6)),
    elements=st.integers(1, 100).map(float) | st.sampled_from([INF, NAN]),
)


@settings(max_examples=60, deadline=None)
@given(TIMES)
def test_profiles_rise_between_zero_and_one(times: np.ndarray) -> None:
    ratios = performance_ratios(times)
    tau = np.linspace(1, 200, 400)
    found = profile(ratios, tau)
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found, axis=1) >= 0).all()
    np.testing.assert_array_equal(found[:, -1], np.isfinite(times).mean(axis=1))
    solved = np.isfinite(times).any(axis=0)
    assert (ratios.min(axis=0)[solved] == 1).all(), "somebody is the fastest wherever one arrives"
    scores = credit(ratios).mean(axis=1)
    assert ((scores >= 0) & (scores <= 1)).all()


@settings(max_examples=60, deadline=None)
@given(TIMES, st.sampled_from([0.25, 8.0]))
def test_profiles_do_not_depend_on_the_unit_of_time(times: np.ndarray, unit: float) -> None:
    scale = unit * 2.0 ** np.arange(times.shape[1])  # each problem may have a clock of its own
    np.testing.assert_array_equal(performance_ratios(times), performance_ratios(times * scale))


@settings(max_examples=60, deadline=None)
@given(TIMES)
def test_score_is_the_area_below_the_profile(times: np.ndarray) -> None:
    ratios = performance_ratios(times)
    tau = breakpoints(ratios)
    area = (profile(ratios, tau)[:, :-1] * np.diff(tau)).sum(axis=1) / 3
    np.testing.assert_allclose(credit(ratios).mean(axis=1), area, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(TIMES)
def test_a_rule_that_gets_faster_never_scores_less(times: np.ndarray) -> None:
    faster = times.copy()
    faster[0] = np.where(np.isfinite(times[0]), times[0] / 2, 50.0)
    before, after = (credit(performance_ratios(t)).mean(axis=1)[0] for t in (times, faster))
    assert after >= before
