"""A seed is a fresh problem: it decides the draw, the weights and the minibatches, as data."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evoptax.dsl.syntax import parse
from evoptax.evaluators.backends import problems
from evoptax.evaluators.task import Task
from evoptax.known_algorithms.catalogue import get_known
from trained import Trained

STILL = parse("def still(w, g, *, lr=1e-3):\n    return 0 * lr * g\n")
TRACES: list[str] = []


def _family() -> Task:
    """Noisy means: the problem is where they lie; every training run starts at the same weights."""

    def draw(key):
        TRACES.append("draw")
        return {"mean": jax.random.normal(key, (5,)), "spread": 0.1}

    def batch(key, problem):
        return problem["mean"] + problem["spread"] * jax.random.normal(key, (8, 5))

    def loss(params, batch):
        TRACES.append("loss")
        return jnp.mean((params["a"] - batch) ** 2)

    def score(params, problem):
        return jnp.mean((params["a"] - problem["mean"]) ** 2)

    return Task(
        name="means",
        tier="proxy",
        steps=40,
        draw=draw,
        init=lambda key, problem: {"a": jnp.ones(5)},
        batch=batch,
        loss=loss,
        score=score,
    )


@pytest.fixture(scope="module")
def trainer() -> Trained:
    return Trained(_family())


@pytest.mark.parametrize("path", ["machine", "fused"])
def test_the_same_weights_score_differently_on_each_seeds_problem(trainer, path: str) -> None:
    """A rule that does not move leaves all seeds at the same weights."""
    score = getattr(trainer, path)(STILL, (1e-2, 1e-1), (0, 1, 2)).score
    assert np.unique(score[:, 0]).size == 3
    np.testing.assert_array_equal(score[:, 0], score[:, 1])


@pytest.mark.parametrize("path", ["machine", "fused"])
def test_minibatches_and_score_are_of_the_same_problem(trainer, path: str) -> None:
    result = getattr(trainer, path)(get_known("sgd").program, (0.3, 1.0), (0, 1, 2))
    assert result.score.max() < 0.01


def test_a_new_seed_compiles_nothing(trainer) -> None:
    sgd = get_known("sgd").program
    trainer.machine(sgd, (0.1,), (0,))
    seen = len(TRACES)
    for seed in (11, 12):
        trainer.machine(sgd, (0.1,), (seed,))
    assert len(TRACES) == seen


def test_a_seed_repeats_whatever_other_seeds_run_beside_it(trainer) -> None:
    sgd = get_known("sgd").program
    alone = Trained(_family()).fused(sgd, (0.1,), (7,)).score
    beside = trainer.fused(sgd, (0.1,), (3, 7)).score
    np.testing.assert_array_equal(alone[0], beside[1])


def test_minibatches_drawn_inside_the_loop_are_of_the_same_problems(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sgd = get_known("sgd").program
    drawn = Trained(_family()).fused(sgd, (0.1,), (0, 1))
    monkeypatch.setattr(problems, "MOST_BYTES_OF_MINIBATCHES", 0)
    inside = Trained(_family()).fused(sgd, (0.1,), (0, 1))
    np.testing.assert_allclose(drawn.score, inside.score, rtol=1e-5)
