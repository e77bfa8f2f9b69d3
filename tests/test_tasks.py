"""The built-in tasks keep their contract, and a user's task file is read or refused clearly."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from evoptax.dsl.errors import UserError
from evoptax.evaluators import data
from evoptax.evaluators.task import Task, load_task_file
from evoptax.evaluators.tasks import get_task, list_tasks

NAMES = [info.name for info in list_tasks()]
PROXIES = [info.name for info in list_tasks("proxy")]


def test_listing_does_not_import_jax() -> None:
    code = (
        "import sys; from evoptax.evaluators.tasks import list_tasks; assert list_tasks();"
        "sys.exit('jax' in sys.modules or 'sklearn' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_tier_has_tasks() -> None:
    assert [len(list_tasks(tier)) for tier in ("proxy", "validation", "target")] == [4, 2, 2]
    assert len(set(NAMES)) == len(list_tasks()) == 8
    with pytest.raises(UserError, match=r"'prxy'.*proxy, validation, target"):
        list_tasks("prxy")


def test_unknown_task_names_the_nearest_and_the_accepted() -> None:
    with pytest.raises(UserError, match=r"'digits_mpl'; did you mean 'digits_mlp'.*quadratic"):
        get_task("digits_mpl")


@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str) -> None:
    """Shapes, dtypes, finiteness, determinism, and a table that tells the truth."""
    (info,) = (info for info in list_tasks() if info.name == name)
    task = get_task(name)
    assert get_task(name) is task
    assert (task.tier, task.steps, task.version) == (info.tier, info.steps, info.version)

    @jax.jit
    def numbers(key):
        params, batch = task.init(key), task.batch(key)
        return params, batch, task.loss(params, batch), task.score(params)

    params, batch, loss, score = numbers(jax.random.key(1))
    leaves = jax.tree.leaves(params)
    assert all(leaf.dtype == jnp.float32 for leaf in leaves)
    weights = sum(leaf.size for leaf in leaves)
    assert weights == info.weights
    assert f"{weights:,}" in re.findall(r"([\d,]+) weights", info.description)
    for value in (loss, score):
        assert value.shape == () and value.dtype == jnp.float32
        assert np.isfinite(value) and value > 0

    again = numbers(jax.random.key(1))
    jax.tree.map(np.testing.assert_array_equal, (params, batch, loss, score), again)
    _, other_batch, other_loss, _ = numbers(jax.random.key(2))
    assert jax.tree.map(jnp.shape, other_batch) == jax.tree.map(jnp.shape, batch)
    assert other_loss != loss


@pytest.mark.parametrize("name", PROXIES)
def test_adam_learns_a_proxy(name: str) -> None:
    """Twenty steps lower the loss on a minibatch ."""
    task = get_task(name)
    optimizer = optax.adam(1e-2)

    @jax.jit
    def step(params, state, key):
        loss, gradient = jax.value_and_grad(task.loss)(params, task.batch(key))
        updates, state = optimizer.update(gradient, state)
        return loss, optax.apply_updates(params, updates), state

    params = jax.jit(task.init)(jax.random.key(0))
    state = optimizer.init(params)
    before, *_ = step(params, state, jax.random.key(1))
    for key in jax.random.split(jax.random.key(2), 20):
        _, params, state = step(params, state, key)
    after, *_ = step(params, state, jax.random.key(1))
    assert after < 0.9 * before


def test_origin_is_no_optimum_of_the_quadratic() -> None:
    """A rule that only decays weights gains nothing: the origin scores 1."""
    task = get_task("quadratic")
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    origin = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
    np.testing.assert_allclose(task.score(origin), 1, rtol=1e-5)


@pytest.mark.parametrize("split", [data.digits, data.cancer])
def test_training_and_validation_examples_are_disjoint(split) -> None:
    train, validation = split()
    rows = {row.tobytes() for row in train.x}
    assert not any(row.tobytes() in rows for row in validation.x)
    assert set(np.unique(train.y)) == set(np.unique(validation.y))


def test_validation_paragraphs_are_not_in_the_training_text() -> None:
    train, validation = data.paragraphs()
    assert not set(train) & set(validation)
    for symbols in data.text():
        assert symbols.max() < data.VOCABULARY


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

task = Task("mine", "validation", 5, init, batch, loss, score)

class Plain:
    steps = 7
    init, batch, loss, score = map(staticmethod, (init, batch, loss, score))

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
none_score = replace(task, score=lambda params: None)
failing_loss = replace(task, loss=lambda params, batch: params["missing"])
integer_params = replace(task, init=lambda key: {"w": jnp.zeros(3, int)})
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
    ],
)
def test_task_file_forms(task_file: Path, name: str, expected: tuple[str, str, int]) -> None:
    task = load_task_file(f"{task_file}:{name}")
    assert isinstance(task, Task)
    assert (task.name, task.tier, task.steps) == expected
    params = task.init(jax.random.key(0))
    assert np.isfinite(task.loss(params, task.batch(jax.random.key(1))))


def test_editing_a_task_file_changes_its_version(task_file: Path) -> None:
    before = load_task_file(f"{task_file}:task").version
    assert load_task_file(f"{task_file}:task").version == before
    task_file.write_text(TASK_FILE.replace("5, init", "6, init"))
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
