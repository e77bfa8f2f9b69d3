"""A user's task file is read in every accepted form, or refused in one clear sentence."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest
from evoptax.dsl.errors import UserError
from evoptax.evaluators.task import Task, load_task_file

# A file with tasks in every accepted form, and one mistake per name below.
TASK_FILE = """
import jax, jax.numpy as jnp
from dataclasses import replace
from evoptax.evaluators.task import Task

def init(key):
    return {"w": jax.random.normal(key, (3,))}

def batch(key):
    return jax.random.normal(key, (3,))

def loss(params, batch):
    return jnp.mean((params["w"] - batch) ** 2)

def score(params):
    return jnp.mean(params["w"] ** 2)

class Plain:
    steps = 7
    init, batch, loss, score = map(staticmethod, (init, batch, loss, score))

class Family:
    steps = 9
    def draw(self, key):
        return jax.random.normal(key, (3,))
    def init(self, key, problem):
        return init(key)
    def batch(self, key, problem):
        return problem + 0.1 * batch(key)
    loss = staticmethod(loss)
    def score(self, params, problem):
        return loss(params, problem)

class Greedy(Plain):
    def score(self, params, problem):
        return 0.0

class Mixed(Family):
    init = staticmethod(init)

family = Family()
task = Task("mine", "validation", 5, family.draw, family.init, family.batch, loss, family.score)

instance = Plain()

def make():
    return task

def make_broken():
    raise ValueError("no data here")

class Lossless:
    steps = 7
    init, batch, score = map(staticmethod, (init, batch, score))

number = 3
zero_steps = replace(task, steps=0)
float_steps = replace(task, steps=2.5)
wrong_tier = replace(task, tier="huge")
no_function = replace(task, batch=3)
vector_loss = replace(task, loss=lambda params, batch: params["w"])
none_score = replace(task, score=lambda params, problem: None)
failing_loss = replace(task, loss=lambda params, batch: params["missing"])
integer_params = replace(task, init=lambda key, problem: {"w": jnp.zeros(3, int)})
failing_draw = replace(task, draw=lambda key: problems[0])
undrawn = replace(task, draw=None)
"""


@pytest.fixture
def task_file(tmp_path: Path) -> Path:
    path = tmp_path / "my_task.py"
    path.write_text(TASK_FILE)
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("task", ("mine", "validation", 5)),
        ("Plain", ("Plain", "proxy", 7)),
        ("instance", ("instance", "proxy", 7)),
        ("make", ("mine", "validation", 5)),
        ("Family", ("Family", "proxy", 9)),
    ],
)
def test_task_file_forms(task_file: Path, name: str, expected: tuple[str, str, int]) -> None:
    task = load_task_file(f"{task_file}:{name}")
    assert isinstance(task, Task)
    assert (task.name, task.tier, task.steps) == expected
    problem = task.draw(jax.random.key(2))
    params = task.init(jax.random.key(0), problem)
    assert np.isfinite(task.loss(params, task.batch(jax.random.key(1), problem)))
    assert np.isfinite(task.score(params, problem))


def test_editing_a_task_file_changes_its_version(task_file: Path) -> None:
    before = load_task_file(f"{task_file}:task").version
    assert load_task_file(f"{task_file}:task").version == before
    task_file.write_text(TASK_FILE.replace("5, family", "6, family"))
    assert load_task_file(f"{task_file}:task").version != before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tsak", "defines no 'tsak'; did you mean 'task'"),
        ("make_broken", "calling 'make_broken' .* fails: ValueError: no data here"),
        ("Lossless", "has no 'loss'; a task has init, batch, loss, score"),
        ("number", "has no 'init'"),
        ("zero_steps", "'steps' is 0; it must be a positive integer"),
        ("float_steps", "'steps' is 2.5"),
        ("wrong_tier", "'tier' is 'huge'; it must be one of proxy, validation, target"),
        ("no_function", "'batch' is 3, not a function"),
        ("vector_loss", r"'loss' returns float32\[3\]; it must return a floating scalar"),
        ("none_score", "'score' returns NoneType"),
        ("failing_loss", "'loss' fails when traced by JAX: KeyError: 'missing'"),
        ("failing_draw", "'draw' fails when traced by JAX: NameError"),
        ("undrawn", "'draw' is None, not a function"),
        ("Mixed", r"'init' takes \(key\); with 'draw' it must take \(key, problem\)"),
        ("Greedy", r"'score' takes \(params, problem\); without 'draw' it must take \(params\)"),
        ("integer_params", "gives .*'w'.* the dtype int32; it must be float32"),
    ],
)
def test_task_file_mistakes(task_file: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_task_file(f"{task_file}:{name}")
    assert "\n" not in str(caught.value) and f"my_task.py:{name}" in str(caught.value)


def test_unreadable_task_files(tmp_path: Path) -> None:
    for content in ("import a_module_that_is_not", "def broken(:", "raise SystemExit(1)"):
        (tmp_path / "broken.py").write_text(content)
        with pytest.raises(UserError, match=r"broken\.py' fails to import: \w+"):
            load_task_file(f"{tmp_path / 'broken.py'}:task")
    with pytest.raises(UserError, match=r"there is no file .*absent\.py"):
        load_task_file(f"{tmp_path / 'absent.py'}:task")
    (tmp_path / "task.txt").write_text("task = 1")
    with pytest.raises(UserError, match=r"task\.txt' is not a Python file"):
        load_task_file(f"{tmp_path / 'task.txt'}:task")
    for spec in ("digits", "my_task.py", "my_task.py:", ":task", "my_task.py:a b"):
        with pytest.raises(UserError, match=r"not of the form FILE\.py:NAME"):
            load_task_file(spec)
