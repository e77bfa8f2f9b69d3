"""JAX's switches in the environment or in a task's file change no score, or are one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import numpy as np
import pytest
from evoptax.cli.main import main
from evoptax.dsl.errors import UserError
from evoptax.evaluators.fidelity import Fidelity
from evoptax.evaluators.scores.evaluate import score_from_json
from evoptax.evaluators.scores.scoring import TaskScore
from evoptax.evaluators.tasks import list_tasks
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.execution.executors.processes.workers import Workers
from evoptax.search.execution.jobs import Job, submit
from evoptax.search.selection.tuning.strategy import Strategy
from small_search import TASK

# Two rates, of which one diverges.
TRIED = Fidelity((1e-2, 1e30), steps=5)


def _scores(workers: Workers, *tasks: str) -> list[TaskScore]:
    jobs = [Job(get_known("adamw").program, task, TRIED, "machine") for task in tasks]
    return [score_from_json(future.result()) for future in [submit(workers, j) for j in jobs]]


SWITCHES = {
    "JAX_ENABLE_X64": "1",
    "JAX_DEBUG_NANS": "1",
    "JAX_DEBUG_INFS": "1",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_THREEFRY_PARTITIONABLE": "0",
}


@pytest.fixture(scope="module")
def expected(small_task: str) -> list[TaskScore]:
    with Workers([small_task, "quadratic"], 1) as workers:
        return _scores(workers, small_task, "quadratic")


def test_switches_of_the_environment_change_no_score(
    small_task: str, expected: list[TaskScore], monkeypatch: pytest.MonkeyPatch
) -> None:
    for switch, value in SWITCHES.items():
        monkeypatch.setenv(switch, value)
    with Workers([small_task, "quadratic"], 1) as workers:
        assert _scores(workers, small_task, "quadratic") == expected


@pytest.mark.slow
def test_every_built_in_task_trains_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [info.name for info in list_tasks()]
    with Workers(names) as workers:
        before = _scores(workers, *names)
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    with Workers(names) as workers:
        assert _scores(workers, *names) == before


IN_FILE = """
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_debug_nans", True)
CURVATURE = jnp.logspace(-2, 0, 12)
"""


def test_switches_in_a_task_file_change_no_score(tmp_path: Path, expected: list[TaskScore]) -> None:
    path = tmp_path / "task.py"
    path.write_text(f"import jax, jax.numpy as jnp\n{IN_FILE}\n{TASK}\n{IN_FILE}\n")
    task = f"{path}:Quadratic"
    with Workers([task, "quadratic"], 1) as workers:
        found = _scores(workers, task, "quadratic")
    assert [score.scores for score in found] == [score.scores for score in expected]


def test_a_task_that_insists_on_float64_is_told_of_the_switch(tmp_path: Path) -> None:
    code = """
        class Quadratic(Quadratic):
            def init(self, key):
                with jax.enable_x64(True):
                    return jax.tree.map(lambda x: x.astype("float64"), super().init(key))
    """
    path = tmp_path / "task.py"
    path.write_text(f"{TASK}\n{textwrap.dedent(code)}")
    with (
        Workers([f"{path}:Quadratic"], 1) as workers,
        pytest.raises(UserError, match=r"dtype float64; it must be float32 .*JAX_ENABLE_X64"),
    ):
        workers.versions()


def test_the_strategy_that_tunes_is_the_same_under_x64() -> None:
    def points() -> list[np.ndarray]:
        strategy = Strategy(dimensions=3, population=4, spread=0.5, seed=1)
        first = strategy.ask()
        strategy.tell(first, first.sum(axis=1))
        return [first, strategy.ask()]

    before = points()
    with jax.enable_x64(True):
        after = points()
    np.testing.assert_array_equal(before, after)


COMMANDS = {
    "search": ["search", "--preset", "quick"],
    "evaluate": ["evaluate", "lion", "--tasks", "quadratic"],
    "export": ["export", "lion", "--to", "optax"],
    "simplify": ["simplify", "lion"],
    "doctor": ["doctor"],
}


@pytest.mark.parametrize(
    ("command", "platform"), [*((command, "cuda") for command in COMMANDS), ("export", "nonsense")]
)
def test_a_platform_that_is_not_there(command: str, platform: str, tmp_path: Path) -> None:
    if platform == "cuda" and jax.default_backend() == "gpu":
        pytest.skip("it is there")
    done = subprocess.run(
        [sys.executable, "-m", "evoptax.cli.main", *COMMANDS[command]],
        cwd=tmp_path,
        env={**os.environ, "JAX_PLATFORMS": platform},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    said = done.stdout if command == "doctor" else done.stderr
    sentence = f"JAX_PLATFORMS is '{platform}', but JAX finds no such device here; it has: cpu"
    assert sentence in said
    assert "Traceback" not in done.stderr
    if command == "doctor":
        assert said.endswith("Wrong: devices, training.\n")
    else:
        assert done.stderr.splitlines()[-1].startswith(f"evoptax: {sentence}")


def test_doctor_trains_as_a_search_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "evoptax.search.execution.executors.processes.process._COMMAND", "raise SystemExit(3)"
    )
    assert main(["doctor", "--runs-dir", str(tmp_path)]) == 2
    out = capsys.readouterr().out
    assert "training               a worker process cannot start: it ended with status 3" in out
    assert out.endswith("Wrong: training.\n")
