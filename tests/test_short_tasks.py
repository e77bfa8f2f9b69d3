"""Tasks of few steps, down to one: no checkpoint lies before the first step, on either path."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from evoptax.cli.main import main
from evoptax.evaluators.fidelity import Fidelity
from evoptax.evaluators.scores.early_stopping import EarlyStopping, baseline_curve
from evoptax.evaluators.scores.evaluate import Evaluator
from evoptax.evaluators.scores.profiles import CHECKPOINTS, steps_to_target, targets
from evoptax.evaluators.task import load_task_file
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.files import config_from_dict, config_to_toml
from evoptax.search.store.runs import find_run
from small_search import settings

STEPS = (1, 2, 3, 19, 20, 21)
TASKS = """
import jax, jax.numpy as jnp

class Task:
    def __init__(self, steps, tier="proxy"):
        self.steps, self.tier = steps, tier
    def init(self, key):
        return {"w": jnp.zeros(4)}
    def batch(self, key):
        return 0.1 * jax.random.normal(key, (4,))
    def loss(self, params, batch):
        return jnp.sum((params["w"] - 1 + batch) ** 2)
    def score(self, params):
        return jnp.sum((params["w"] - 1) ** 2) + 0.1

""" + "".join(f"machine{n} = Task({n})\nfused{n} = Task({n}, 'validation')\n" for n in STEPS)


@pytest.fixture(scope="module")
def task_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("short") / "short.py"
    path.write_text(TASKS)
    return path


@pytest.fixture(scope="module")
def evaluator(task_file: Path) -> Evaluator:
    """Of one task, so that its machine compiles once."""
    return Evaluator({"t": load_task_file(f"{task_file}:machine21")})


@pytest.mark.parametrize("path", ["machine", "fused"])
@pytest.mark.parametrize("steps", STEPS)
def test_checkpoints_are_bounded_by_steps(evaluator: Evaluator, steps: int, path) -> None:
    sgd = get_known("sgd").program
    fidelity = Fidelity((1e-2, 1e-1), (0, 1), steps, CHECKPOINTS)
    found = evaluator.score(sgd, "t", fidelity, path)
    count = min(steps, CHECKPOINTS)
    assert found.stopped_at is None
    assert len(found.curve_steps) == len(set(found.curve_steps)) == count
    assert (found.curve_steps[0], found.curve_steps[-1]) == (max(1, steps // count), steps)
    assert np.array(found.curve).shape == (2, 2, count)
    once = evaluator.score(sgd, "t", Fidelity((1e-2, 1e-1), (0, 1), steps), path)
    assert found.scores == once.scores
    assert once.curve == ()
    early_stopping = EarlyStopping(baseline_curve(found), 0.1)
    assert evaluator.score(sgd, "t", fidelity, "machine", early_stopping).stopped_at is None
    aims = targets(found)
    assert (aims is None) == (steps <= 2)
    if aims is not None:
        reached = steps_to_target(found, aims)
        assert all(1 <= step <= 0.75 * steps for step in reached.steps)
        assert reached.budget == steps


def test_a_score_stored_with_other_checkpoints_is_not_found(task_file: Path) -> None:
    evaluator = Evaluator({n: load_task_file(f"{task_file}:machine{n}") for n in ("3", "21")})
    sgd = get_known("sgd").program
    three, many = Fidelity(checkpoints=3), Fidelity(checkpoints=20)
    assert evaluator.key(sgd, "3", three, "fused") == evaluator.key(sgd, "3", many, "fused")
    assert evaluator.key(sgd, "21", three, "fused") != evaluator.key(sgd, "21", many, "fused")


def test_evaluate_on_both_paths(task_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = ("machine", "fused", "fused", "machine", "fused", "fused")
    tasks = [f"{task_file}:{path}{n}" for path, n in zip(paths, STEPS, strict=True)]
    command = ["evaluate", "sgd", "--seeds", "2", "--workers", "1", "--tasks", ",".join(tasks)]
    assert main([*command, "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    for row in data["rules"]:
        assert row["speed"]["problems"] == 2 * len(STEPS[2:])
        for task, steps in zip(tasks, STEPS, strict=True):
            aims = row["tasks"][task]["steps_to_target"]
            assert (aims is None) == (steps <= 2)
            if aims is not None:
                assert aims["budget"] == steps
                assert all(x is None or 1 <= x <= steps for x in aims["steps"])
    assert main(command) == 0
    assert "steps to target" in capsys.readouterr().out


@pytest.mark.parametrize("task", ["machine1", "fused2"])
def test_evaluate_where_no_task_has_a_target(
    task_file: Path, task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    task = f"{task_file}:{task}"
    assert main(["evaluate", "sgd", "--seeds", "2", "--workers", "1", "--tasks", task]) == 0
    out = capsys.readouterr().out
    assert "loss vs adamw" in out
    assert "target" not in out


def test_search_on_tasks_of_few_steps(task_file: Path, tmp_path: Path) -> None:
    plain = settings(f"{task_file}:machine1", 12) | {"workers": 1, "rivals": []}
    plain["funnel"]["proxy"] = {"tasks": [f"{task_file}:machine3"]}
    plain["evolution"] |= {"round": 6}
    (config := tmp_path / "config.toml").write_text(config_to_toml(config_from_dict(plain)))
    runs = tmp_path / "runs"
    assert main(["search", str(config), "--name", "short", "--runs-dir", str(runs)]) == 0
    with closing(find_run(runs, "short").read()) as opened:
        assert opened.fact("outcome")
        assert sum(c.fitness is not None for c in opened.candidates()) >= 12


@pytest.mark.parametrize("steps", ["0", "-1", "10**12", "True", "1.0", "None"])
def test_steps_are_a_positive_integer(task_file: Path, steps: str) -> None:
    from evoptax.dsl.errors import UserError

    path = task_file.with_name("odd.py")
    path.write_text(TASKS + f"\nodd = Task({steps})\n")
    with pytest.raises(UserError, match=r"'steps' is .*; it must be a positive integer"):
        load_task_file(f"{path}:odd")
