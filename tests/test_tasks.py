"""The built-in tasks keep their contract, and none can be won by a trick."""

from __future__ import annotations

import functools
import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from evoptax.dsl.errors import UserError
from evoptax.evaluators import data
from evoptax.evaluators.fidelity import LEARNING_RATES
from evoptax.evaluators.tasks import get_task, list_tasks
from evoptax.evaluators.tasks.baselines import baselines
from evoptax.evaluators.tasks.draws import flipped
from evoptax.evaluators.tasks.physics import derivatives

TIERS = ("proxy", "validation", "target")
NAMES = [info.name for info in list_tasks()]
# Each function here runs a few times only: compiling takes longer than all its runs.
FAST_TO_COMPILE = {"xla_backend_optimization_level": 0}


def test_listing_does_not_import_jax() -> None:
    code = (
        "import sys; from evoptax.evaluators.tasks import list_tasks; assert list_tasks();"
        "sys.exit('jax' in sys.modules or 'sklearn' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_tier_has_tasks() -> None:
    tiers = [info.name for tier in TIERS for info in list_tasks(tier)]
    assert all(list_tasks(tier) for tier in TIERS)
    assert len(set(NAMES)) == len(NAMES) and sorted(tiers) == sorted(NAMES)
    assert len({info.family for info in list_tasks("proxy")}) >= 6
    with pytest.raises(UserError, match=r"'prxy'.*proxy, validation, target"):
        list_tasks("prxy")


def test_unknown_task_names_the_nearest_and_the_accepted() -> None:
    with pytest.raises(UserError, match=r"'digits_mpl'; did you mean 'digits_mlp'.*quadratic"):
        get_task("digits_mpl")


class Numbers(NamedTuple):
    """What a task gives for two keys."""

    problem: Any
    params: Any
    batch: Any
    loss: jax.Array
    gradient: Any
    score: jax.Array
    decayed: jax.Array  # score of the initial weights times each of DECAYS


DECAYS = (0.7, 0.4, 0.1, 0.01, 0.0)


@functools.cache
def numbers_of(name: str) -> Callable[[jax.Array, jax.Array], Numbers]:
    """(key of the draw, key of the rest) -> numbers; compiled once, for all tests of the task."""
    task = get_task(name)

    def numbers(key_draw: jax.Array, key: jax.Array) -> Numbers:
        problem = task.draw(key_draw)
        key_init, key_batch = jax.random.split(key)
        params, batch = task.init(key_init, problem), task.batch(key_batch, problem)
        loss, gradient = jax.value_and_grad(task.loss)(params, batch)

        def score(factor):
            return task.score(jax.tree.map(lambda x: factor * x, params), problem)

        scores = jax.lax.map(score, jnp.array([1.0, *DECAYS]))
        return Numbers(problem, params, batch, loss, gradient, scores[0], scores[1:])

    return jax.jit(numbers, compiler_options=FAST_TO_COMPILE)


@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str) -> None:
    """Shapes, dtypes, finiteness, determinism, and a table that tells the truth."""
    (info,) = (info for info in list_tasks() if info.name == name)
    task = get_task(name)
    assert get_task(name) is task
    assert (task.tier, task.steps, task.version) == (info.tier, info.steps, info.version)

    numbers, one, two = numbers_of(name), jax.random.key(1), jax.random.key(2)
    found = numbers(one, one)
    leaves = jax.tree.leaves(found.params)
    assert all(leaf.dtype == jnp.float32 for leaf in leaves)
    weights = sum(leaf.size for leaf in leaves)
    assert weights == info.weights
    assert all(n == f"{weights:,}" for n in re.findall(r"([\d,]+) weights", info.description))
    for value in (found.loss, found.score):
        assert value.shape == () and value.dtype == jnp.float32
        assert np.isfinite(value) and value > 0
    for leaf in jax.tree.leaves(found.gradient):
        assert np.isfinite(leaf).all() and np.abs(leaf).max() > 0

    jax.tree.map(np.testing.assert_array_equal, found, numbers(one, one))
    same_problem = numbers(one, two)
    jax.tree.map(np.testing.assert_array_equal, found.problem, same_problem.problem)
    assert same_problem.loss != found.loss
    assert numbers._cache_size() == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_draw_changes_the_data(name: str) -> None:
    """Not the initial weights alone: the same key of the minibatch gives another one."""
    key, *draws = jax.random.split(jax.random.key(3), 3)
    one, two = (numbers_of(name)(draw, key) for draw in draws)
    assert jax.tree.map(jnp.shape, one) == jax.tree.map(jnp.shape, two)
    pairs = zip(jax.tree.leaves(one.batch), jax.tree.leaves(two.batch), strict=True)
    assert not all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", NAMES)
def test_pure_decay_does_not_win(name: str) -> None:
    """It reaches nothing but the initial weights made smaller, and the origin."""
    decayed = [
        numbers_of(name)(jax.random.key(seed), jax.random.key(seed)).decayed.min()
        for seed in range(3)
    ]
    assert np.mean(decayed) > 1.5 * baselines()[name].score


CHEAP = [i.name for i in list_tasks("proxy") if baselines()[i.name].milliseconds < 40]


@pytest.mark.parametrize("name", CHEAP)
def test_adamw_learns_a_proxy(name: str) -> None:
    """On the median of three problems it ends well below where it began."""
    task, rate, problems = get_task(name), baselines()[name].learning_rate, 3
    optimizer = optax.adamw(rate)

    def trained(key):
        key_draw, key_init, key_batches = jax.random.split(key, 3)
        problem = task.draw(key_draw)
        params = task.init(key_init, problem)

        def step(carry, key):
            params, state = carry
            gradient = jax.grad(task.loss)(params, task.batch(key, problem))
            updates, state = optimizer.update(gradient, state, params)
            return (optax.apply_updates(params, updates), state), None

        keys = jax.random.split(key_batches, task.steps)
        (last, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), keys)
        return task.score(params, problem), task.score(last, problem)

    keys = jax.random.split(jax.random.key(5), problems)
    run = jax.jit(lambda keys: jax.lax.map(trained, keys), compiler_options=FAST_TO_COMPILE)
    begin, end = run(keys)
    assert np.isfinite(end).all()
    assert np.median(end / begin) < 0.8


def test_every_task_says_what_adamw_reaches() -> None:
    assert list(baselines()) == NAMES
    for name, found in baselines().items():
        assert LEARNING_RATES[0] < found.learning_rate < LEARNING_RATES[-1], name
        assert 0 < found.low <= found.score <= found.high, name
        assert found.milliseconds > 0


@pytest.mark.parametrize("rule", ["decay", "blind"])
def test_what_ignores_the_gradient_wins_nowhere(rule: str) -> None:
    """As measured beside AdamW's score: SGD is better on every task, and AdamW by far."""
    for name, found in baselines().items():
        reached, sgd = found.others[rule], found.others["sgd"]
        assert sgd is not None
        assert reached is None or (reached > 1.15 * sgd and reached > 1.5 * found.score), name


def test_the_page_on_tasks_is_the_one_that_the_script_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = Path(__file__).parent.parent
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    spec = importlib.util.spec_from_file_location("tasks_script", root / "benchmarks" / "tasks.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert (root / "docs" / "tasks.md").read_text(encoding="utf-8") == script.document()


def test_noisy_labels_are_as_frequent_as_asked() -> None:
    labels = jnp.arange(20_000) % 10
    other = flipped(jax.random.key(0), labels, 10, jnp.float32(0.1))
    changed = other[other != labels]
    assert len(changed) / 20_000 == pytest.approx(0.1, abs=0.01)
    assert set(np.unique(other)) == set(range(10))
    # Every other class is as likely.
    steps = np.bincount((other - labels) % 10)[1:]
    assert steps.min() > 0.7 * len(changed) / 9


@pytest.mark.parametrize("name", ["digits_mlp", "diabetes_quantiles", "digits_autoencoder"])
def test_a_problem_trains_on_a_part_of_the_training_examples(name: str) -> None:
    """Rows of minibatches are the training set's, about seven tenths of them; never others."""
    split = data.diabetes() if name == "diabetes_quantiles" else data.digits()
    kept = {}
    for seed in (1, 2):
        problem, batch = _minibatches(name, jax.random.key(seed))
        x = np.asarray(batch[0] if isinstance(batch, tuple) else batch)
        x = np.unique(x.reshape(-1, x.shape[-1]) / problem["gain"], axis=0)
        train, validation = (part.x for part in split)
        if name == "digits_autoencoder":
            mean, deviation = train.mean(), train.std()
            train, validation = (train - mean) / deviation, (validation - mean) / deviation
        nearest = _distances(x, train)
        assert nearest.min(1).max() < 1e-3
        assert _distances(x, validation).min() > 1e-3
        kept[seed] = set(nearest.argmin(1))
        assert 0.6 * len(train) < len(kept[seed]) <= 0.71 * len(train)
    assert kept[1] != kept[2]


@functools.partial(jax.jit, static_argnums=0)
def _minibatches(name: str, key: jax.Array) -> tuple[Any, Any]:
    """A problem, and 150 minibatches of it."""
    task, (key_draw, key_batches) = get_task(name), jax.random.split(key)
    problem = task.draw(key_draw)
    keys = jax.random.split(key_batches, 150)
    return problem, jax.vmap(task.batch, (0, None))(keys, problem)


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean, [len(a), len(b)]."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.sqrt(np.maximum(squared, 0))


def test_gaps_of_a_table_are_never_trained_on() -> None:
    problem, (_, chosen) = _minibatches("cancer_completion", jax.random.key(0))
    assert not np.asarray(chosen.max(0) * ~problem["seen"]).any()
    assert np.mean(problem["seen"]) == pytest.approx(0.7, abs=0.03)


def test_pixels_of_the_score_are_never_trained_on() -> None:
    _, (places, _) = _minibatches("photo_siren", jax.random.key(0))
    rows, columns = np.round((np.asarray(places.reshape(-1, 2)).T + 1) * 24).astype(int)
    assert not ((rows + columns) % 2).any()


def test_derivatives_of_a_network_are_those_of_automatic_differentiation() -> None:
    task, key = get_task("burgers_pinn"), jax.random.key(0)

    @jax.jit
    def both(key):
        params, points = task.init(key, task.draw(key)), jax.random.normal(key, (5, 2))

        def u(point):
            return derivatives(params, point[None])[0][0]

        automatic = jax.vmap(jax.grad(u))(points), jax.vmap(jax.hessian(u))(points)
        return derivatives(params, points), automatic

    (_, first, second), (gradient, hessian) = both(key)
    np.testing.assert_allclose(first.T, gradient, atol=1e-5)
    np.testing.assert_allclose(second.T, np.diagonal(hessian, axis1=1, axis2=2), atol=1e-5)


@pytest.mark.parametrize("name", ["quadratic", "heavy_tails"])
def test_score_is_the_expected_loss_above_the_noise(name: str) -> None:
    """Relative to the origin's, against an average over minibatches."""
    task, key = get_task(name), jax.random.key(0)

    @jax.jit
    def averages(key):
        problem = task.draw(key) | {"noise": jnp.float32(0)}
        params = task.init(key, problem)
        origin = jax.tree.map(jnp.zeros_like, params)

        def losses(key):
            batch = task.batch(key, problem)
            return task.loss(params, batch), task.loss(origin, batch)

        mine, at_origin = jax.lax.map(losses, jax.random.split(key, 3000))
        return mine.mean() / at_origin.mean(), task.score(params, problem)

    np.testing.assert_allclose(*averages(key), rtol=0.03)


@pytest.mark.parametrize("split", [data.digits, data.cancer, data.diabetes])
def test_training_and_validation_examples_are_disjoint(split) -> None:
    train, validation = split()
    rows = {row.tobytes() for row in train.x}
    assert not any(row.tobytes() in rows for row in validation.x)
    assert train.x.dtype == validation.x.dtype == np.float32


def test_validation_paragraphs_are_not_in_the_training_text() -> None:
    train, validation = data.paragraphs()
    assert not set(train) & set(validation)
    for symbols in data.text():
        assert symbols.max() < data.VOCABULARY
