"""Training: both paths agree on real tasks, nothing compiles twice, divergence has a name."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np
import pytest
from evoptax.dsl.algebra.canonical import program_digest
from evoptax.dsl.machine.bytecode import TooLarge
from evoptax.dsl.syntax import parse
from evoptax.evaluators.backends import problems
from evoptax.evaluators.fidelity import LEARNING_RATES, Fidelity
from evoptax.evaluators.scores.comparison import compare
from evoptax.evaluators.scores.early_stopping import EarlyStopping, baseline_curve, curve_from_plain
from evoptax.evaluators.scores.evaluate import Evaluator, score_from_json, score_to_json
from evoptax.evaluators.scores.scoring import TaskScore, bounded, log_ratio, mean_log_ratio
from evoptax.evaluators.tasks import get_task
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.mutation.mutate import mutate
from trained import Trained

RATES = (1e-3, 1e-2)
RULES = ("sgd", "adamw", "lion", "adagrad", "amsgrad")


@pytest.fixture(scope="module")
def digits() -> Trained:
    return Trained(get_task("digits_mlp"))


def test_nothing_compiles_for_200_different_programs(digits: Trained) -> None:
    rng = random.Random(0)
    program, digests = get_known("adamw").program, set()
    counts = []
    while len(digests) < 200:
        mutated = mutate(program, rng)
        program = mutated.program if mutated and mutated.program.size < 30 else program
        try:
            digits.machine(program, RATES, (0,), steps=3)
        except TooLarge:
            program = get_known("adamw").program
        digests.add(program_digest(program))
        lean: Any = digits.backend("machine")._loops["lean"]  # type: ignore[attr-defined]
        counts.append((lean._begin._cache_size(), lean._advance._cache_size()))
    assert set(counts) == {(1, 1)}
    assert digits.backend("machine")._loops["full"]._advance._cache_size() == 0, (
        "the full machine is for other rules"
    )


@pytest.mark.parametrize("name", RULES)
def test_machine_and_fused_path_agree_on_a_real_task(digits: Trained, name: str) -> None:
    program = get_known(name).program
    one = digits.machine(program, RATES, (0, 1), steps=20)
    other = digits.fused(program, RATES, (0, 1), steps=20)
    np.testing.assert_allclose(one.score, other.score, rtol=2e-4)
    assert not one.diverged.any()
    assert one.steps == other.steps == 20


def test_point_of_evaluation_is_scored(digits: Trained) -> None:
    """A rule that evaluates at the start scores as one that does not move."""
    stays = parse("def f(w, g, z=w, *, lr=1e-3):\n    eval_w = z\n    return lr * g\n")
    still = parse("def f(w, g, *, lr=1e-3):\n    return 0 * lr * g\n")
    for run in (digits.machine, digits.fused):
        found, expected = (run(p, RATES, (0,), steps=5).score for p in (stays, still))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_diverged_training_stops_early(digits: Trained) -> None:
    explodes = parse("def f(w, g, *, lr=1e-3):\n    return lr * g - 1e30 * w\n")
    result = digits.machine(explodes, RATES, (0,))
    assert result.diverged.all()
    assert np.isinf(result.score).all()
    assert result.steps < 20


def test_minibatches_drawn_inside_the_loop_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    program = get_known("sgd").program
    drawn = Trained(get_task("quadratic")).fused(program, RATES, (0,), steps=10)
    monkeypatch.setattr(problems, "MOST_BYTES_OF_MINIBATCHES", 0)
    inside = Trained(get_task("quadratic")).fused(program, RATES, (0,), steps=10)
    np.testing.assert_allclose(drawn.score, inside.score, rtol=1e-5)


def _score(*rows: tuple[float, ...]) -> TaskScore:
    return TaskScore("task", (0.1, 1.0), tuple(range(len(rows))), rows)


def test_score_takes_the_best_mean_learning_rate() -> None:
    score = _score((1.0, 3.0), (2.0, 0.1))
    assert score.means == (1.5, 1.55)
    assert score.learning_rate == 0.1
    assert score.by_seed == (1.0, 2.0)
    assert score.at_edge


def test_one_diverged_seed_disqualifies_a_learning_rate() -> None:
    score = _score((1.0, 0.1), (2.0, float("inf")))
    assert score.learning_rate == 0.1
    assert not score.diverged
    assert _score((float("inf"), float("inf"))).diverged


def test_fitness_is_the_mean_log_ratio() -> None:
    base, half = _score((2.0, 9.0)), _score((1.0, 9.0))
    assert log_ratio(half, base) == pytest.approx(-np.log(2))
    assert mean_log_ratio([half, base], [base, base]) == pytest.approx(-np.log(2) / 2)
    assert log_ratio(_score((float("inf"), float("inf"))), base) == float("inf")


def test_no_task_carries_a_rule() -> None:
    base, tiny = _score((1.0, 9.0)), _score((1e-9, 9.0))
    assert -0.3 <= mean_log_ratio([tiny, base], [base, base], 0.3) * 2 < -0.29
    ratios = np.array([-np.inf, -9.0, -0.5, -0.4, -0.001, 0.0, 0.01, 9.0])
    found = bounded(ratios, 0.3)
    assert (np.diff(found) > 0).all(), "a larger gain still counts more"
    assert found[0] == -0.3
    assert bounded(-0.3, 0.3) == pytest.approx(-0.15)
    np.testing.assert_allclose(found[4:], ratios[4:], rtol=4e-3)
    assert (bounded(ratios, np.inf) == ratios).all()


def test_a_grid_moves_until_the_best_rate_lies_inside() -> None:
    evaluator = Evaluator({"quadratic": get_task("quadratic")})
    slow = parse("def f(w, g, *, lr=1e-3):\n    return 1e-4 * lr * g\n")
    fixed = evaluator.score(slow, "quadratic", Fidelity())
    assert fixed.at_edge
    moved = evaluator.score(slow, "quadratic", Fidelity(moves=4))
    sgd = evaluator.score(get_known("sgd").program, "quadratic", Fidelity(moves=4))
    assert not moved.at_edge
    assert moved.learning_rate == pytest.approx(1e4 * sgd.learning_rate)
    assert moved.value == pytest.approx(sgd.value, rel=1e-4)
    for lower in ((1e3, 1e4, 1e5), (1e-9, 1e-8, 1e-7)):
        found = evaluator.score(
            get_known("sgd").program, "quadratic", Fidelity(learning_rates=lower, moves=12)
        )
        assert not found.at_edge


def test_comparison_is_paired_over_seeds() -> None:
    problems = [1.0, 2.0, 4.0, 3.0, 1.5, 2.5, 5.0, 0.5]
    base = _score(*((loss, 9) for loss in problems))
    gains = [0.9, 0.905, 0.8975, 0.9, 0.91, 0.89, 0.9, 0.901]
    better = _score(*((g * loss, 9) for g, loss in zip(gains, problems, strict=True)))
    found = compare(better, base)
    assert found.low < found.mean < found.high < 0
    assert math.expm1(found.mean) == pytest.approx(-0.099, abs=0.002)
    assert found.p < 0.01 and found.side == -1
    # With three seeds nothing is sure: no test of three differences can be.
    few = compare(_score((0.9, 9), (1.81, 9), (3.59, 9)), _score((1.0, 9), (2.0, 9), (4.0, 9)))
    assert few.mean < 0 and few.side == 0


def test_scores_survive_json_exactly() -> None:
    score = _score((1 / 3, float("inf")), (2e-17, 0.1))
    assert score_from_json(score_to_json(score)) == score


def test_cache_key_changes_with_what_a_score_depends_on() -> None:
    evaluator = Evaluator({"quadratic": get_task("quadratic")})
    adamw = get_known("adamw").program
    keys = {
        evaluator.key(adamw, "quadratic", Fidelity(), "machine"),
        evaluator.key(adamw, "quadratic", Fidelity(), "fused"),
        evaluator.key(adamw, "quadratic", Fidelity(seeds=(1,)), "machine"),
        evaluator.key(adamw, "quadratic", Fidelity(learning_rates=(0.1,)), "machine"),
        evaluator.key(adamw.with_defaults(b1=0.5), "quadratic", Fidelity(), "machine"),
    }
    assert len(keys) == 5
    # The learning rate is tuned, so that its default is no part of the rule.
    assert evaluator.key(adamw, "quadratic", Fidelity(), "machine") == evaluator.key(
        adamw.with_defaults(lr=0.5), "quadratic", Fidelity(), "machine"
    )


def test_grid_is_half_decades_wide_enough_for_all() -> None:
    assert LEARNING_RATES[0] <= 1e-4
    assert LEARNING_RATES[-1] >= 1
    steps = np.diff(np.log10(LEARNING_RATES))
    assert steps.max() < 0.53


def test_schedules_are_the_same_on_both_paths(digits: Trained) -> None:
    program = get_known("adamw").program
    constant = digits.machine(program, RATES, (0,), steps=30)
    for schedule in ("cosine", "linear"):
        ours = digits.machine(program, RATES, (0,), steps=30, schedule=schedule)
        compiled = digits.fused(program, RATES, (0,), steps=30, schedule=schedule)
        np.testing.assert_allclose(ours.score, compiled.score, rtol=2e-4)
        assert not np.allclose(ours.score, constant.score, rtol=1e-3)
    # Of rules that are linear in it, a schedule is a factor of the update.
    written = parse("def f(w, g, t, T, *, lr=1e-3):\n    return lr * (1 - (t - 1) / T) * g\n")
    np.testing.assert_allclose(
        digits.machine(written, RATES, (0,), steps=30).score,
        digits.machine(get_known("sgd").program, RATES, (0,), steps=30, schedule="linear").score,
        rtol=1e-5,
    )


def test_checkpoints_change_nothing_but_what_is_seen(digits: Trained) -> None:
    program = get_known("adamw").program
    once = digits.machine(program, RATES, (0, 1), steps=20)
    often = digits.machine(program, RATES, (0, 1), steps=20, checkpoints=4)
    np.testing.assert_array_equal(often.score, once.score)
    np.testing.assert_array_equal(often.curve[..., -1], often.score)
    assert often.curve.shape == (2, 2, 4)
    assert often.curve_steps.tolist() == [5, 10, 15, 20]
    shorter = digits.machine(program, RATES, (0, 1), steps=5)
    np.testing.assert_array_equal(often.curve[..., 0], shorter.score)
    compiled = digits.fused(program, RATES, (0, 1), steps=20, checkpoints=4)
    np.testing.assert_allclose(compiled.curve, often.curve, rtol=2e-4)


def test_diverged_at_all_later_checkpoints(digits: Trained) -> None:
    explodes = parse("def f(w, g, t, *, lr=1e-3):\n    return lr * g + where(t > 7, 1e30, 0) * w\n")
    result = digits.machine(explodes, RATES, (0,), steps=20, checkpoints=4)
    assert np.isfinite(result.curve[..., 0]).all()
    assert np.isinf(result.curve[..., 1:]).all()
    assert result.curve.shape == (1, 2, 4)


def test_hurdle_stops_only_who_is_far_behind() -> None:
    evaluator = Evaluator({"digits_mlp": get_task("digits_mlp")})
    fidelity = Fidelity(learning_rates=RATES, checkpoints=5)
    adamw = get_known("adamw").program
    base = evaluator.score(adamw, "digits_mlp", fidelity)
    standard = baseline_curve(base)
    assert curve_from_plain(json.loads(json.dumps(vars(standard)))) == standard
    early_stopping = EarlyStopping(standard, 0.4)
    assert evaluator.score(adamw, "digits_mlp", fidelity, early_stopping=early_stopping) == base
    slow = parse("def f(w, g, *, lr=1e-3):\n    return 1e-4 * lr * g\n")
    stopped = evaluator.score(slow, "digits_mlp", fidelity, early_stopping=early_stopping)
    assert stopped.stopped_at == base.curve_steps[0] == 30
    assert standard.log_ratio(stopped) > 0.4
    assert standard.log_ratio(base) == 0
    assert score_from_json(score_to_json(stopped)) == stopped
