"""Parameters without numbers, and parameters that are Python floats, are trained through."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from evoptax.cli.main import main
from evoptax.dsl.errors import UserError
from evoptax.evaluators.task import load_task_file
from evoptax.known_algorithms.catalogue import get_known
from trained import Trained

TASKS = """
import jax, jax.numpy as jnp

class Plain:
    steps = 12
    more = {}
    def init(self, key):
        key, other = jax.random.split(key)
        w = {"b": jax.random.normal(key, (3, 2)), "d": jax.random.normal(other, (2,))}
        return w | self.more
    def batch(self, key):
        return 0.1 * jax.random.normal(key, (2,))
    def loss(self, params, batch):
        return self.score(params) + jnp.sum(params["d"] * batch)
    def score(self, params):
        return 0.1 + sum(jnp.sum((x - 1) ** 2) for x in jax.tree.leaves(params))

class Empty(Plain):
    more = {"a": jnp.zeros((0, 4)), "c": jnp.zeros((4, 0)), "e": [jnp.zeros(0)]}

class Scalar(Plain):
    more = {"c": 0.5}

class Array(Plain):
    more = {"c": jnp.float32(0.5)}

class AllEmpty(Empty):
    def init(self, key):
        return self.more

class NoLeaf(AllEmpty):
    more = {}

class Whole(Plain):
    more = {"c": 1}

class Switch(Plain):
    more = {"c": True}

class Complex(Plain):
    more = {"c": 1j}

class Text(Plain):
    more = {"c": "1"}
"""
RATES = (1e-2, 1e-1)
# Means, quantiles and norms of tensors, of rows and columns, of the model; matrix products.
RULES = ("adamw", "adafactor", "coordinate_clipping", "lamb", "muon", "global_norm_clipping")
TWINS = [*(("Empty", "Plain", rule) for rule in RULES), ("Scalar", "Array", "adamw")]


@pytest.fixture(scope="module")
def task_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("leaves") / "leaves.py"
    path.write_text(TASKS)
    return path


@pytest.fixture(scope="module")
def trainers(task_file: Path) -> dict[str, Trained]:
    """One for each task, so that each draws its problems once."""
    names = ("Plain", "Empty", "Scalar", "Array")
    return {name: Trained(load_task_file(f"{task_file}:{name}")) for name in names}


@pytest.mark.parametrize(("name", "twin", "rule"), TWINS)
def test_compiled_training_goes_as_without(
    trainers: dict[str, Trained], name: str, twin: str, rule: str
) -> None:
    program = get_known(rule).program
    odd, plain = (trainers[n].fused(program, RATES, (0, 1)) for n in (name, twin))
    assert np.isfinite(odd.score).all()
    np.testing.assert_array_equal(odd.score, plain.score)


def test_the_machine_trains_as_the_compiled_path(trainers: dict[str, Trained]) -> None:
    trainer, program = trainers["Empty"], get_known("adamw").program
    assert trainer.problems.layout.weights == trainers["Plain"].problems.layout.weights == 8
    found = trainer.machine(program, RATES, (0,))
    compiled = trainer.fused(program, RATES, (0,))
    np.testing.assert_allclose(found.score, compiled.score, rtol=1e-4)


def test_the_task_gets_its_parameters_as_it_made_them(trainers: dict[str, Trained]) -> None:
    task = trainers["Empty"].task
    made = jax.eval_shape(task.init, jax.random.key(0), ())
    seen = []

    def score(params: Any, problem: Any) -> Any:
        seen.append(jax.tree.map(lambda x: (x.shape, x.dtype), params))
        return task.score(params, problem)

    sgd = get_known("sgd").program
    Trained(dataclasses.replace(task, score=score)).fused(sgd, RATES, (0,))
    assert seen[0] == jax.tree.map(lambda x: (x.shape, x.dtype), made)


MISTAKES = {
    "AllEmpty": "'init' returns arrays without numbers; it must return the parameters",
    "NoLeaf": "'init' returns no array; it must return the parameters",
    "Whole": "['c'] the dtype int32; it must be float32",
    "Switch": "['c'] the dtype bool; it must be float32",
    "Complex": "['c'] the dtype complex64; it must be float32",
    "Text": "'init' fails when traced by JAX",
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_cannot_be_trained_is_refused_in_a_sentence(task_file: Path, name: str) -> None:
    with pytest.raises(UserError) as refused:
        load_task_file(f"{task_file}:{name}")
    assert MISTAKES[name] in str(refused.value)
    assert "\n" not in str(refused.value)


def test_evaluate(task_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = ",".join(f"{task_file}:{name}" for name in ("Empty", "Scalar"))
    command = ["evaluate", "sgd", "--seeds", "1", "--workers", "1", "--tasks", tasks]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "Empty" in out
    assert "diverged" not in out
