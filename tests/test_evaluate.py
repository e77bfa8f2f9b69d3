"""What `evaluate` says: who is better, by how much, how sure; the numbers behind it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from evoptax.cli.evaluation import print_evaluation
from evoptax.cli.evaluation_json import as_json
from evoptax.cli.main import main
from evoptax.evaluators.scores.comparison import RuleResult, compare_rules
from evoptax.evaluators.scores.scoring import TaskScore
from evoptax.evaluators.scores.statistics import sign_flip_test
from evoptax.search.selection.evaluation import Evaluation
from small_search import TASK

RATES = (1e-3, 1e-2, 1e-1)
STEPS = tuple(range(5, 101, 5))
TASKS = ("one", "two", "three", "four")
INF = math.inf


def falling(task: str, seeds: int, speed: float, spread: float = 0.02) -> TaskScore:
    """Losses that fall to a tenth, at 1e-2, and twice as slowly at the other rates."""
    rng = np.random.default_rng([seeds, *task.encode()])  # the same problems for every rule
    level = np.exp(0.2 * rng.normal(size=(seeds, 1, 1)))
    noise = np.exp(
        spread
        * np.random.default_rng([*task.encode(), int(speed * 1e6)]).normal(size=(seeds, 1, 1))
    )
    rates = np.array([0.5, 1.0, 0.5])[:, None] * speed
    curve = level * noise * (0.1 + 0.9 * np.exp(-3 * rates * np.array(STEPS) / 100))
    return _score(task, curve)


def diverged(task: str, seeds: int) -> TaskScore:
    return _score(task, np.full((seeds, 3, len(STEPS)), INF))


def _score(task: str, curve: np.ndarray) -> TaskScore:
    nested = tuple(tuple(tuple(map(float, rate)) for rate in seed) for seed in curve)
    ends = tuple(tuple(rate[-1] for rate in seed) for seed in nested)
    return TaskScore(task, RATES, tuple(range(len(nested))), ends, nested, STEPS)


def evaluation(speeds: Mapping[str, float], seeds: int = 5) -> Evaluation:
    """Rules by speed; the first is the baseline, and speed 0 diverges everywhere."""
    scores = {
        (rule, task): falling(task, seeds, speed) if speed else diverged(task, seeds)
        for rule, speed in speeds.items()
        for task in TASKS
    }
    baseline = next(iter(speeds))
    results = compare_rules(scores, list(speeds), TASKS, baseline)
    return Evaluation(baseline, TASKS, seeds, "cosine", results, scores, frozenset(speeds))


RULES = {"base": 1.0, "quick": 1.3, "equal": 1.000002, "slow": 0.2, "wild": 0.0}


@pytest.fixture(scope="module")
def found() -> Evaluation:
    return evaluation(RULES)


def _rule(found: Evaluation, name: str) -> RuleResult:
    return next(result for result in found.results if result.rule == name)


def test_sides_say_what_is_sure(found: Evaluation) -> None:
    sides = {result.rule: result.side for result in found.results}
    assert sides == {"quick": -1, "base": 0, "equal": 0, "slow": 1, "wild": 1}
    assert found.results[0].rule == "quick"
    assert found.results[-1].rule == "wild"


def test_loss_is_the_geometric_mean_over_tasks_and_seeds(found: Evaluation) -> None:
    logs = [
        np.log(found.scores["quick", task].by_seed) - np.log(found.scores["base", task].by_seed)
        for task in TASKS
    ]
    quick = _rule(found, "quick")
    assert quick.loss.mean == pytest.approx(np.mean(logs))
    assert quick.loss.low < quick.loss.mean < quick.loss.high < 0
    assert quick.loss.p == sign_flip_test(np.array(logs))
    # Three rules were tested; the one that diverged was not.
    assert quick.p_holm == pytest.approx(3 * quick.loss.p)


def test_steps_are_relative_to_the_baseline(found: Evaluation) -> None:
    """The quicker rule's ratio is below one: a speedup is not its inverse."""
    quick, slow, equal = (_rule(found, rule).speed for rule in ("quick", "slow", "equal"))
    assert quick and slow and equal
    assert math.exp(quick.ratio.mean) == pytest.approx(1 / 1.3, abs=0.06)
    assert abs(equal.ratio.mean) < 0.05
    assert quick.reached == quick.problems == 20
    # Never there, so counted at the end: 100 steps where the baseline took 75 at most.
    assert slow.reached == 0
    assert slow.ratio.mean >= math.log(100 / 75)
    assert quick.by_task["one"].learning_rate == 1e-2


def test_profile_scores_rank_and_stay_between_zero_and_one(found: Evaluation) -> None:
    scores = {result.rule: result.speed.score for result in found.results if result.speed}
    assert scores["quick"].mean > scores["base"].mean > scores["slow"].mean
    assert scores["slow"].mean == scores["wild"].mean == 0
    assert all(0 <= s.low <= s.mean <= s.high <= 1 for s in scores.values() if s.bounded)
    assert scores["base"].bounded


def test_a_diverged_baseline_compares_nothing() -> None:
    """Else every rule would be infinitely better on that task, and the fastest."""
    seeds = 3
    scores = {(rule, task): falling(task, seeds, RULES[rule]) for rule in ("base", "slow")
              for task in TASKS}  # fmt: skip
    expected = compare_rules(scores, ["base", "slow"], TASKS[1:], "base")
    scores["base", "one"] = diverged("one", seeds)
    # NaN is where there is nothing to test; == of dataclasses is False there since Python 3.13.
    np.testing.assert_equal(
        [asdict(r) for r in compare_rules(scores, ["base", "slow"], TASKS, "base")],
        [asdict(r) for r in expected],
    )
    (base, slow) = compare_rules(scores, ["base", "slow"], ["one"], "base")
    assert base.speed is None
    assert math.isnan(slow.loss.mean)
    assert slow.side == 0


def test_text_puts_the_verdict_first_and_fits_100_columns(
    found: Evaluation, capsys: pytest.CaptureFixture[str]
) -> None:
    print_evaluation(found)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "Validation loss against base, 4 tasks × 5 seeds:"
        " better: quick; worse: slow, wild; open: equal."
    )
    assert max(len(line.rstrip()) for line in lines) <= 100
    rows = {line.split()[0]: line for line in lines[2:9] if line}
    assert "20/20" in rows["quick"]
    assert "diverged" in rows["wild"]
    assert "never" in rows["slow"]
    assert "<0.001" in rows["quick"]
    assert "1×" in rows["base"]


def test_many_rules_still_fit(capsys: pytest.CaptureFixture[str]) -> None:
    rules = {"base": 1.0} | {f"candidate_{i}": 1 + i / 10 for i in range(1, 9)}
    print_evaluation(evaluation(rules, seeds=2))
    out = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 100
    assert out.count("task ") >= 2, "the losses go on below"
    assert all(out.count(rule) >= 3 for rule in rules)


def test_few_runs_claim_nothing_and_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    found = evaluation({"base": 1.0, "quick": 1.3}, seeds=1)
    assert _rule(found, "quick").side == 0
    print_evaluation(found)
    out = capsys.readouterr().out
    assert "open: quick" in out
    assert "4 pairs of runs are too few to prove any difference" in out


def test_json_is_strict_and_has_every_number(found: Evaluation) -> None:
    data = as_json(found)
    quick = next(row for row in data["rules"] if row["rule"] == "quick")
    assert quick.keys() >= {"log_ratio", "low", "high", "p", "p_holm", "side", "speed", "tasks"}
    one = quick["tasks"]["one"]
    assert one["loss"] == pytest.approx(np.mean(one["losses"]))
    assert len(one["steps_to_target"]["steps"]) == len(one["steps_to_target"]["targets"]) == 5
    assert quick["speed"]["profile"][0][0] == 1.0
    assert quick["speed"]["score"] == pytest.approx(_rule(found, "quick").speed.score.mean)
    json.dumps(data)


def test_command_puts_the_verdict_first(
    small_task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "sgd,lion", "--tasks", small_task, "--seeds", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Validation loss against adamw, 1 task × 3 seeds: open: ")
    assert "loss vs adamw" in lines[2]
    assert "too few to prove any difference" in "".join(lines)


def test_command_measures_steps_to_target(
    small_task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", "sgd,lion", "--tasks", small_task, "--seeds", "3"]
    assert main([*command, "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert data["seeds"] == [0, 1, 2]
    for row in data["rules"]:
        speed = row["speed"]
        assert speed["problems"] == 3
        assert 0 <= speed["score"] <= 1
        (task,) = row["tasks"].values()
        steps = task["steps_to_target"]
        assert steps["budget"] == 30
        assert all(step is None or 1 <= step <= 30 for step in steps["steps"])
        if row["rule"] == "adamw":
            assert speed["reached"] == 3
            assert max(steps["steps"]) <= 0.75 * 30
    assert main(command) == 0
    assert "steps to target" in capsys.readouterr().out.splitlines()[2]


def test_what_a_task_prints_is_not_among_the_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "chatty.py"
    path.write_text(TASK + "\nprint('hello')\n")
    command = ["evaluate", "sgd", "--tasks", f"{path}:Quadratic", "--seeds", "2"]
    assert main([*command, "--format", "json"]) == 0
    json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["", "--seeds", "1"], "there is no rule to evaluate"),
        (["adamw", "--tasks", ","], "no task is named"),
        (["adamw", "--workers", "-1"], "--workers"),
    ],
)
def test_mistakes(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *arguments]) == 2
    assert expected in capsys.readouterr().err
