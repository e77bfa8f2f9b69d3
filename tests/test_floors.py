"""Losses at or below zero: refused with the reason, or measured from the lowest possible loss."""

from __future__ import annotations

import json
import math
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from evoptax.cli.main import main
from evoptax.dsl.errors import UserError
from evoptax.dsl.syntax import parse
from evoptax.evaluators.fidelity import Fidelity
from evoptax.evaluators.scores.comparison import compare
from evoptax.evaluators.scores.early_stopping import EarlyStopping, baseline_curve
from evoptax.evaluators.scores.evaluate import Evaluator, score_from_json, score_to_json
from evoptax.evaluators.scores.scoring import (
    ROUNDING,
    SMALLEST_LOSS,
    TaskScore,
    floor_of,
    log_losses,
    log_ratio,
)
from evoptax.evaluators.task import load_task_file
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.files import config_from_dict, config_to_toml
from evoptax.search.store.runs import find_run
from small_search import settings

# A quadratic that ends at a number of its own, told or not.
TASKS = """
import jax, jax.numpy as jnp

class Plain:
    steps, offset = 40, 0.0
    def init(self, key):
        return {"w": jnp.zeros(4)}
    def batch(self, key):
        return 0.1 * jax.random.normal(key, (4,))
    def loss(self, params, batch):
        return jnp.sum((params["w"] - 1 + batch) ** 2) + self.offset
    def score(self, params):
        return jnp.sum((params["w"] - 1) ** 2) + 0.01 + self.offset

class Untold(Plain):
    offset = -5.0

class Told(Untold):
    lowest = -5.0

class Solved(Plain):
    def score(self, params):
        return 0.0 * jnp.sum(params["w"])
"""


@pytest.fixture(scope="module")
def task_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("floors") / "floors.py"
    path.write_text(TASKS)
    return path


def _score(*losses: float, floor: float = 0.0) -> TaskScore:
    rows = tuple((x,) for x in losses)
    return TaskScore("t", (0.1,), tuple(range(len(rows))), rows, floor=floor)


@pytest.mark.parametrize(
    ("lowest", "expected"), [(-math.inf, 0.0), (0.0, 0.0), (0.5, 0.0), (-5.0, -5.0), (-1e-3, -1e-3)]
)
def test_losses_are_measured_from_zero_unless_the_task_allows_less(lowest, expected) -> None:
    assert floor_of(lowest) == expected


def test_ordinary_losses_are_compared_as_ever() -> None:
    rng = np.random.default_rng(0)
    losses = np.exp(rng.normal(size=1000) * 10)
    assert (log_losses(losses) == np.log(np.maximum(losses, SMALLEST_LOSS))).all()


@pytest.mark.parametrize("losses", [(-4.99,), (0.5, -1e-5), (-1e30,), (math.nan, -1.0)])
def test_a_loss_below_the_floor_is_refused_by_name(losses: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match=r"'t' has a validation loss of -.*`lowest`"):
        _score(*losses)
    stored = {"task": "t", "learning_rates": [0.1], "seeds": [0], "scores": [[min(losses)]]}
    with pytest.raises(UserError, match="lowest"):
        score_from_json(json.dumps(stored | {"scores": [[x] for x in losses]}))


@pytest.mark.parametrize("floor", [0.0, -0.5, -5.0, -1e4])
def test_what_rounding_takes_is_not_refused(floor: float) -> None:
    below = floor - 0.5 * ROUNDING * max(1, -floor)
    at_floor = _score(float(np.float32(floor)), below, floor=floor)
    assert at_floor.solved
    assert np.isfinite(log_losses(at_floor.by_seed, floor)).all()


def test_ratios_are_of_what_lies_above_the_floor() -> None:
    worse, base = _score(-4.0, -4.4, floor=-5.0), _score(-4.5, -4.8, floor=-5.0)
    assert log_ratio(worse, base) == pytest.approx(math.log(2 * 3) / 2)
    assert compare(base, worse).mean == pytest.approx(-math.log(2 * 3) / 2)
    assert not worse.solved
    assert score_from_json(score_to_json(worse)) == worse


def test_solved_on_both_sides_is_equal_and_has_a_name() -> None:
    one, other, unsolved = _score(0.0, 1e-14), _score(1e-20, 0.0), _score(0.0, 1e-3)
    assert one.solved
    assert other.solved
    assert not unsolved.solved
    assert log_ratio(one, other) == 0
    assert log_ratio(unsolved, one) > 0
    assert not _score(math.inf).solved


def test_early_stopping_measures_from_the_floor() -> None:
    curve = (((-2.0, -4.0),),)  # 3 and 1 above the floor
    base = TaskScore("t", (0.1,), (0,), ((-4.0,),), curve, (10, 20), floor=-5.0)
    early_stopping = EarlyStopping(baseline_curve(base), math.log(2))
    assert not early_stopping.stops(0, 10, np.array([0.9]))  # 5.9 above the floor
    assert early_stopping.stops(0, 10, np.array([1.1]))
    stopped = TaskScore("t", (0.1,), (0,), ((1.0,),), stopped_at=10, floor=-5.0)
    assert baseline_curve(base).log_ratio(stopped) == pytest.approx(math.log(6 / 3))


def test_a_solved_baseline_stops_nobody_who_has_solved_it_too() -> None:
    base = TaskScore("t", (0.1,), (0,), ((0.0,),), (((0.0, 0.0),),), (10, 20))
    early_stopping = EarlyStopping(baseline_curve(base), 0.4)
    assert not early_stopping.stops(0, 10, np.array([1e-13]))
    assert early_stopping.stops(0, 10, np.array([1e-3]))


def test_scores_and_points_of_a_told_task(task_file: Path) -> None:
    spec = f"{task_file}:Told"
    adamw = get_known("adamw").program
    evaluator = Evaluator({spec: load_task_file(spec)})
    found = evaluator.score(adamw, spec, Fidelity((1e-2, 1e-1), (0, 1), checkpoints=4))
    assert found.floor == -5
    assert -5 < found.value < -4
    plain = Evaluator({"p": load_task_file(f"{task_file}:Plain")})
    same = plain.score(adamw, "p", Fidelity((1e-2, 1e-1), (0, 1), checkpoints=4))
    np.testing.assert_allclose(
        log_losses(found.by_seed, found.floor), log_losses(same.by_seed), rtol=0, atol=1e-3
    )


@pytest.mark.parametrize("path", ["machine", "fused"])
def test_training_on_an_untold_task_is_refused(task_file: Path, path) -> None:
    task = load_task_file(f"{task_file}:Untold")
    sgd = get_known("sgd").program
    with pytest.raises(UserError, match="lowest"):
        Evaluator({"u": task}).score(sgd, "u", Fidelity((1e-1,)), path)


def test_points_of_an_untold_task_are_refused_and_exploits_count_as_diverged(task_file) -> None:
    text = "def f(w, g, *, lr=1e-3, b=1.0):\n    return lr * b * g\n"
    program, grid, values = parse(text), Fidelity((1e-1, 1e-1)), {"b": (1.0, 0.5)}
    untold = Evaluator({"u": load_task_file(f"{task_file}:Untold")})
    with pytest.raises(UserError, match="lowest"):
        untold.score_on(program, "u", grid, hyperparameters=values)
    cheat = task_file.with_name("cheat.py")
    cheat.write_text(TASKS + "\nclass Cheat(Untold):\n    lowest = 0.0\n")
    cheats = Evaluator({"c": load_task_file(f"{cheat}:Cheat")})
    found = cheats.score_on(program, "c", grid, hyperparameters=values)
    assert found.scores == ((math.inf, math.inf),)


@pytest.mark.parametrize("lowest", ["float('nan')", "float('inf')", "'low'", "True", "None"])
def test_lowest_is_a_number(task_file: Path, lowest: str) -> None:
    path = task_file.with_name("odd.py")
    path.write_text(TASKS + f"\nclass Odd(Plain):\n    lowest = {lowest}\n")
    with pytest.raises(UserError, match=r"'lowest' is .*; it must be a number"):
        load_task_file(f"{path}:Odd")


def _evaluate(task: str, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    command = ["evaluate", "sgd,lion", "--tasks", task, "--seeds", "4", "--workers", "1"]
    assert main([*command, *options]) == 0
    return capsys.readouterr().out


def test_evaluate_tells_losses_below_zero_apart(
    task_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, told = (
        json.loads(_evaluate(f"{task_file}:{name}", capsys, "--format", "json"))
        for name in ("Plain", "Told")
    )
    ratios = [{row["rule"]: row["log_ratio"] for row in data["rules"]} for data in (plain, told)]
    assert min(abs(x) for rule, x in ratios[1].items() if rule != "adamw") > 0.1
    for rule, ratio in ratios[1].items():
        assert ratio == pytest.approx(ratios[0][rule], abs=0.02)
    (task,) = told["rules"][0]["tasks"].values()
    assert (task["floor"], task["solved"]) == (-5.0, False)
    text = " ".join(_evaluate(f"{task_file}:Told", capsys).split())
    assert "Told: losses are compared by their distance from −5, the lowest" in text


def test_evaluate_refuses_what_it_cannot_compare(
    task_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "lion", "--tasks", f"{task_file}:Untold", "--workers", "1"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"evoptax: task '{task_file}:Untold' has a validation loss of -")
    assert "`lowest`" in error


def test_evaluate_says_that_rules_solve_a_task(
    task_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = [task_file.with_name(f"{name}.py") for name in ("still", "slow")]
    for rule in rules:  # without a learning rate, which would be tuned at length
        rule.write_text(f"def {rule.stem}(w, g):\n    return 0.01 * g\n")
    command = ["evaluate", str(rules[0]), "--against", str(rules[1]), "--seeds", "1"]
    assert main([*command, "--tasks", f"{task_file}:Solved", "--workers", "1"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Solved: solved by " in text
    assert "which count as equal there" in text


def _search(task: str, folder: Path) -> int:
    plain = settings(task, 30)
    config = folder / "config.toml"
    config.write_text(config_to_toml(config_from_dict(plain | {"rivals": [], "workers": 1})))
    return main(["search", str(config), "--name", "run", "--runs-dir", str(folder / "runs")])


def test_search_on_losses_below_zero_confirms_what_is_lower(
    task_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = f"{task_file}:Told"
    assert _search(task, tmp_path) == 0
    assert "distance from the lowest possible one: −5 on" in capsys.readouterr().out
    page = (tmp_path / "runs/run/report.html").read_text()
    assert "distance from the lowest possible one" in page
    with closing(find_run(tmp_path / "runs", "run").read()) as opened:
        outcome = opened.fact("outcome")
        assert any(c.fitness for c in opened.candidates() if c.fitness not in (None, 0.0))
    ours, base = (outcome["comparison"][i] for i in (0, -1))
    assert ours["loss"] > -5
    if outcome["confirmed"] and ours["rule"] != base["rule"]:
        assert (ours["log_ratio"] < 0) == (ours["loss"] < base["loss"])
        assert ours["log_ratio"] != 0


def test_search_on_an_untold_task_is_refused(
    task_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _search(f"{task_file}:Untold", tmp_path) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "Untold' has a validation loss of -" in error
