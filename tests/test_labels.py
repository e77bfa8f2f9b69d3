"""Labels that a task gives its tensors: the players of a game, groups of layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evoptax.dsl.errors import UserError
from evoptax.dsl.export.base import formats
from evoptax.dsl.export.check import export
from evoptax.dsl.machine.bytecode import assemble
from evoptax.dsl.program import Program
from evoptax.dsl.syntax import parse
from evoptax.evaluators.backends.base import backends
from evoptax.evaluators.fidelity import Fidelity
from evoptax.evaluators.scores.evaluate import Evaluator
from evoptax.evaluators.task import Task, load_task_file
from evoptax.evaluators.tasks import get_task, special_tasks
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.settings import Evolution
from evoptax.search.filters.gates import examine

GROUPED = parse("""\
def grouped(w, g, group, role, *, lr=0.1):
    return lr * role * where(group == 1, sign(g), where(group == 2, 2 * g, g))
""")
TASK = """
import jax, jax.numpy as jnp

class Plain:
    steps = 5
    def init(self, key):
        return {"a": jnp.ones(3), "b": jnp.ones((2, 2)), "c": jnp.ones(0), "d": jnp.float32(1.0)}
    def batch(self, key):
        return jax.random.normal(key, ())
    def loss(self, params, noise):
        return sum(jnp.sum(x * x) for x in jax.tree.leaves(params)) * (1 + 0.1 * noise)
    def score(self, params):
        return sum(jnp.sum(x * x) for x in jax.tree.leaves(params))

class Labelled(Plain):
    def group(self, params):
        return {"a": 0, "b": 1, "c": 0, "d": 2}
    def role(self, params):
        return {"a": 1, "b": 1, "c": -1, "d": -1}
"""


def _scores(task: Task, program: Program, rate: float = 0.1) -> list[float]:
    evaluator = Evaluator({task.name: task})
    fidelity = Fidelity((rate,), seeds=(0,))
    return [evaluator.score(program, task.name, fidelity, name).value for name in backends()]


def test_tasks_label_their_tensors_and_rules_read_the_labels(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(TASK)
    task = load_task_file(f"{path}:Labelled")
    machine, fused = _scores(task, GROUPED)
    assert machine == pytest.approx(fused, rel=1e-5)
    plain = _scores(load_task_file(f"{path}:Plain"), GROUPED)
    same = _scores(load_task_file(f"{path}:Plain"), parse("def f(w, g):\n    return 0.1 * g\n"))
    np.testing.assert_allclose(plain, same, rtol=1e-5)
    # The tensor d runs away from the optimum.
    assert machine > 1.5 * plain[0]


@pytest.mark.parametrize(
    ("method", "told"),
    [
        (
            "def group(self, params):\n        return 1",
            "'group' returns 1; it must return a number",
        ),
        (
            "def role(self, params):\n        return {'a': 1, 'b': 1, 'c': 1, 'd': 0}",
            "'role' gives a tensor the label 0; accepted: 1 or -1",
        ),
        ("group = 3", "'group' is 3, not a function"),
        ("def role(self, params):\n        return params['z']", "its labels fail: KeyError: 'z'"),
    ],
)
def test_wrong_labels_are_refused(tmp_path: Path, method: str, told: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(TASK + f"\nclass Odd(Plain):\n    {method}\n")
    with pytest.raises(UserError) as found:
        load_task_file(f"{path}:Odd")
    assert told in str(found.value) and f"{path}:Odd" in str(found.value)


def test_a_game_turns_gradient_steps_away_and_lets_extragradient_arrive() -> None:
    task = get_task("bilinear_game")
    for rate in (0.1, 0.3):
        machine, fused = _scores(task, get_known("gda").program, rate)
        assert machine == pytest.approx(fused, rel=1e-3)
        assert machine > 0.95, rate
    machine, fused = _scores(task, get_known("extragradient").program, 0.3)
    assert machine == pytest.approx(fused, rel=1e-3)
    assert machine < 0.3


@pytest.mark.parametrize("name", [info.name for info in special_tasks()])
def test_special_tasks_keep_the_contract(name: str) -> None:
    import jax

    (info,) = (info for info in special_tasks() if info.name == name)
    task, key = get_task(name), jax.random.key(0)
    assert (task.tier, task.steps, task.version) == (info.tier, info.steps, info.version)

    def numbers(key: jax.Array) -> tuple[object, jax.Array, jax.Array]:
        problem = task.draw(key)
        params = task.init(key, problem)
        return params, task.loss(params, task.batch(key, problem)), task.score(params, problem)

    params, loss, score = jax.jit(numbers)(key)
    assert sum(x.size for x in jax.tree.leaves(params)) == info.weights
    assert np.isfinite(loss) and 0 < score < np.inf
    for label in task.labels.values():
        assert jax.tree.structure(label(params)) == jax.tree.structure(params)


def test_rules_that_read_labels_export_and_pass_the_gates() -> None:
    for format in formats():
        assert export(GROUPED, format)
    assert examine(GROUPED, max_size=60).rejection is None
    assert assemble(GROUPED).form == "lean with oracles"


def test_behaviour_tells_apart_what_labels_tell_apart() -> None:
    texts = (
        "lr * g",
        "lr * role * g",
        "lr * where(group == 1, sign(g), g)",
        "lr * where(group == 2, sign(g), g)",
    )
    found = set()
    for text in texts:
        inputs = [name for name in ("role", "group") if name in text]
        program = parse(f"def f({', '.join(['w', 'g', *inputs])}, *, lr=0.1):\n    return {text}\n")
        behaviour = examine(program, max_size=60).behaviour
        assert behaviour is not None
        found.add(behaviour.digest)
    assert len(found) == len(texts)


def test_the_grammar_oracle_reads_labels_and_noise_and_the_others_do_not() -> None:
    core, oracle = Evolution(), Evolution(grammar="oracle")
    assert {"role", "group", "normal", "rademacher", "uniform"} <= {*oracle.inputs}
    assert core.inputs == Evolution(grammar="matrix").inputs == ("w", "g", "t", "T", "loss")
    assert core.with_grammar("oracle").inputs == oracle.inputs
    assert Evolution(inputs=("w", "g")).with_grammar("oracle").inputs == ("w", "g")
