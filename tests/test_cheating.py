"""Searches cheat. A rule that wins through non-finite weights is caught, on both paths."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from asking import init, tell
from evoptax.dsl.syntax import parse
from evoptax.evaluators.fidelity import Fidelity
from evoptax.evaluators.scores.early_stopping import baseline_curve
from evoptax.evaluators.scores.evaluate import Evaluator, score_from_json, score_to_json
from evoptax.evaluators.scores.scoring import task_score
from evoptax.evaluators.task import Task
from evoptax.evaluators.tasks import get_task
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.settings import Evolution
from evoptax.search.filters.gates import rejection
from trained import Trained

# Ordinary until the last step, when every weight becomes NaN. The minibatch losses are all finite.
LAST_STEP = parse("""
def cheat(w, g, t, T, *, lr=1e-2):
    return where(t == T, sqrt(-1 - square(g)), lr * g)
""")
# Infinite weights, which a saturating model survives with a finite loss.
INFINITE = parse("""
def cheat(w, g, t, T, *, lr=1e-2):
    return where(t == T, -1 / (0 * g), lr * g)
""")
# Finite weights, but a point of evaluation that is not.
ELSEWHERE = parse("""
def cheat(w, g, *, lr=1e-2):
    eval_w = w / (0 * w)
    return lr * g
""")


def _gullible_task() -> Task:
    """Its score counts errors with comparisons that NaN always loses: NaN weights score zero."""

    def score(params, problem):
        return jnp.mean(jnp.where(jnp.abs(jnp.tanh(params)) > 1e-3, 1.0, 0.0))

    return Task(
        name="gullible",
        tier="proxy",
        steps=10,
        draw=lambda key: (),
        init=lambda key, problem: jnp.ones(4),
        batch=lambda key, problem: jax.random.normal(key, (4,)),
        loss=lambda params, batch: jnp.sum((params - 1 + 0.01 * batch) ** 2),
        score=score,
    )


def test_the_task_can_be_cheated() -> None:
    assert _gullible_task().score(jnp.full(4, jnp.nan), ()) == 0


@pytest.mark.parametrize("program", [LAST_STEP, INFINITE, ELSEWHERE], ids=["nan", "inf", "eval_w"])
@pytest.mark.parametrize("path", ["machine", "fused"])
def test_non_finite_weights_never_score(program, path: str) -> None:
    trainer = Trained(_gullible_task())
    result = getattr(trainer, path)(program, (1e-2, 1e-1), (0, 1))
    assert result.diverged.all()
    assert np.isinf(result.score).all()
    assert task_score("gullible", result, (1e-2, 1e-1), (0, 1)).diverged


@pytest.mark.parametrize("path", ["machine", "fused"])
def test_an_honest_rule_scores_on_the_same_task(path: str) -> None:
    honest = get_known("sgd").program
    result = getattr(Trained(_gullible_task()), path)(honest, (1e-2,), (0,))
    assert not result.diverged.any()
    assert np.isfinite(result.score).all()


def test_the_gates_reject_it_and_nan_fitness_never_wins() -> None:
    assert rejection(LAST_STEP, max_size=50) == "non-finite"
    state = tell(init(0, Evolution(), [get_known("adamw").program]), {0: float("nan")})
    assert state.population[0].fitness == float("inf")


def test_a_score_that_the_task_does_not_allow_is_an_exploit_and_never_wins() -> None:
    """A task with a mistake: its score falls without bound as weights grow."""
    honest = _gullible_task()
    broken = dataclasses.replace(
        honest, score=lambda params, problem: 5.0 - jnp.sum(params**2), lowest=0.0
    )
    evaluator = Evaluator({"broken": broken})
    grows = parse("def f(w, g, *, lr=1e-3):\n    return -lr * w\n")
    found = evaluator.score(grows, "broken", Fidelity((1e-3, 1e-1)))
    assert found.exploits == 1
    assert found.learning_rate == 1e-3
    assert score_from_json(score_to_json(found)) == found
    cheats = evaluator.score(grows, "broken", Fidelity((0.5, 1.0)))
    assert (cheats.exploits, cheats.diverged) == (2, True)
    assert baseline_curve(
        evaluator.score(get_known("sgd").program, "broken", Fidelity((1e-3, 1e-1), checkpoints=2))
    ).log_ratio(cheats) == float("inf")


@pytest.mark.parametrize("task", ["digits_mlp", "digits_conv", "text_gru"])
def test_exploding_weights_do_not_win(task: str) -> None:
    """Equal logits are worth log(classes), however large: rounding must not make them worth 0."""
    built_in = get_task(task)
    problem = built_in.draw(jax.random.key(0))
    params = built_in.init(jax.random.key(1), problem)
    for size in (1e3, 1e6, 1e12):
        huge = jax.tree.map(lambda x: jnp.full_like(x, size), params)  # noqa: B023
        score = float(built_in.score(huge, problem))
        assert not score < 1.0
