"""What a grammar draws, and that steps of the matrix grammar have the scale they should."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from evoptax.cli.main import main
from evoptax.dsl.errors import UserError
from evoptax.dsl.machine.bytecode import assemble
from evoptax.dsl.numpy.stepping import run_numpy
from evoptax.dsl.primitives import PRIMITIVES
from evoptax.dsl.program import Call, Program, subexpressions
from evoptax.dsl.syntax import parse
from evoptax.evaluators.tasks import get_task
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.files import config_from_dict, load_config
from evoptax.search.config.settings import Evolution, SearchConfig
from evoptax.search.filters.gates import examine
from evoptax.search.mutation.base import Space
from evoptax.search.mutation.grammars import GRAMMARS
from evoptax.search.mutation.mutate import mutate
from evoptax.search.mutation.weights import PRIMITIVE_WEIGHTS
from evoptax.search.store.ledger import create
from evoptax.search.store.runs import stored_config
from paths import Machine, Problem, fixed_problem, flat, run_fused, run_reference
from trained import Trained

SHAPES = ((4, 6), (6, 4), (5,), (), (2, 3, 4, 2), (1, 7), (3, 3))
STEPS = ("rescale(g, w)", "normalize(g)", "normalize_rows(g)", "normalize_columns(g)")
STEPS = (*STEPS, "orthogonalize(g)")
MATRIX = GRAMMARS["matrix"]


def rule(step: str) -> Program:
    return parse(f"def rule(w, g, *, lr=0.1):\n    return {step}\n")


def update_of(step: str, *gradients: np.ndarray, w: float = 1.0) -> list[np.ndarray]:
    """What is subtracted from each tensor, found from w = 0 but for `rescale`."""
    params = [np.full(g.shape, w) for g in gradients]
    ((new, _),) = run_numpy(rule(step), params, [gradients])
    return [old - x for old, x in zip(params, new, strict=True)]


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


def _gradients(scale: float = 1.0) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [scale * np.asarray(rng.standard_normal(shape)) for shape in SHAPES]


# The scale of steps.


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 1e9])
def test_steps_have_their_scale_whatever_that_of_the_gradient(scale: float) -> None:
    gradients = _gradients(scale)
    for step in STEPS[1:]:
        for g, update in zip(gradients, update_of(step, *gradients, w=0.0), strict=True):
            assert update.shape == g.shape
            np.testing.assert_allclose(rms(update), 1.0, rtol=1e-9, err_msg=f"{step} {g.shape}")
    for update in update_of("rescale(g, w + 2)", *gradients, w=0.0):
        np.testing.assert_allclose(rms(update), 2.0, rtol=1e-9)


def test_each_row_and_each_column_is_normalized() -> None:
    gradients = _gradients()
    rows = update_of("normalize_rows(g)", *gradients, w=0.0)
    columns = update_of("normalize_columns(g)", *gradients, w=0.0)
    for g, by_row, by_column in zip(gradients, rows, columns, strict=True):
        if g.ndim < 2:  # a vector is one column
            np.testing.assert_allclose(by_row, np.sign(g))
            np.testing.assert_allclose(rms(by_column), 1.0)
            continue
        np.testing.assert_allclose(np.mean(by_row**2, axis=-1), 1.0)
        np.testing.assert_allclose(np.mean(by_column**2, axis=-2), 1.0)
        np.testing.assert_allclose(np.sign(by_row), np.sign(g))


def test_orthogonalized_matrices_have_singular_values_of_one_size() -> None:
    gradients = [g for g in _gradients() if g.ndim]
    for g in gradients:
        g[..., :1] *= 10.0  # so that singular values differ
    for g, update in zip(gradients, update_of("orthogonalize(g)", *gradients, w=0.0), strict=True):
        if g.ndim < 2 or 1 in g.shape:  # one singular value
            np.testing.assert_allclose(update, g / rms(g))
            continue
        sizes = np.linalg.svd(update.reshape(len(g), -1), compute_uv=False)
        assert sizes.min() > 0.5 * sizes.max()  # Jordan's quintic leaves 0.7 to 1.2


LIKE = fixed_problem(SHAPES, 2, seed=1)


@pytest.fixture(scope="module")
def machine() -> Machine:
    """Compiled once for all that have the shapes of `LIKE`."""
    return Machine(LIKE, np.float32, form="matrix")


def test_zeros_give_zeros_on_every_path(machine: Machine) -> None:
    zeros = tuple(np.zeros(shape) for shape in SHAPES)
    machine.problem = problem = Problem(LIKE.w, (zeros, zeros), LIKE.loss)
    resting = np.tile(flat(LIKE.w), (2, 2, 1))
    for step in STEPS:
        program = rule(step)
        with jax.disable_jit():  # a compilation would take a while
            fused = run_fused(program, problem, np.float32)
        for found in (run_reference(program, problem), machine.run(program), fused):
            np.testing.assert_array_equal(found, resting, err_msg=step)
    assert machine.traces == 1


def test_gradients_that_float32_cannot_square_give_steps_no_larger(machine: Machine) -> None:
    nowhere = tuple(np.zeros(shape) for shape in SHAPES)
    for scale in (1e-17, 1e-22, 1e-30):
        tiny = tuple(tuple(scale * g for g in gradients) for gradients in LIKE.g)
        machine.problem = Problem(nowhere, tiny, LIKE.loss)
        for step in (*STEPS[1:], "rescale(g, g / g)"):
            found = machine.run(rule(step))[0]
            assert np.isfinite(found).all() and np.abs(found).max() < 20, (step, scale)


# What runs them.


@pytest.mark.parametrize(
    ("step", "form"),
    [
        ("norm(g) * g", "lean"),
        ("rescale(g, w) + normalize(w)", "lean"),
        ("normalize_rows(g)", "matrix"),
        ("orthogonalize(g) * (ndim(g) >= 2)", "matrix"),
        ("g * global_norm(norm(g))", "matrix"),
        ("matmul(matmul(g, transpose(g)), g)", "full"),
        ("g * quantile(g, 0.5)", "full"),
        ("g / size(g)", "full"),
    ],
)
def test_a_rule_gets_the_smallest_machine_that_runs_it(step: str, form: str) -> None:
    assert assemble(rule(step)).form == form


def drawn(space: Space, seed: int, count: int) -> list[Program]:
    """Children of AdamW and of their own, each of some mutations."""
    rng = random.Random(seed)
    found = []
    while len(found) < count:
        program = get_known("adamw").program
        for _ in range(rng.randint(2, 6)):
            mutated = mutate(program, rng, space)
            program = program if mutated is None else mutated.program
        found.append(program)
    return found


def primitives_of(program: Program) -> set[str]:
    parts = (e for root in program.expressions() for e in subexpressions(root))
    return {e.primitive for e in parts if isinstance(e, Call)}


def test_nothing_compiles_for_40_different_rules_of_the_matrix_grammar() -> None:
    quadratic = Trained(get_task("quadratic"))
    own = Space(primitives={name: 1.0 for name in MATRIX if PRIMITIVES[name].grammar == "matrix"})
    forms: Counter[str] = Counter()
    for program in drawn(own, 2, 200):
        form = assemble(program).form
        if form == "matrix":  # the others are in test_training.py
            quadratic.machine(program, (1e-3, 1e-2), (0,), steps=3)
        forms[form] += 1
    assert forms["matrix"] > 40
    loop: Any = quadratic.backend("machine")._loops["matrix"]  # type: ignore[attr-defined]
    assert (loop._begin._cache_size(), loop._advance._cache_size()) == (1, 1)


def test_gates_take_what_the_matrix_grammar_draws() -> None:
    # Of the grammar's own rows alone, so that many children have one.
    own = {name: 1.0 for name in MATRIX if PRIMITIVES[name].grammar == "matrix"}
    outcomes = Counter(
        examine(program, max_size=60).rejection for program in drawn(Space(primitives=own), 0, 150)
    )
    assert outcomes[None] > 40, outcomes
    assert outcomes["too large for the machine"] < 5, outcomes


# What is drawn.


def test_grammars_draw_what_they_should() -> None:
    assert len(GRAMMARS["lion45"]) == 45
    assert all(PRIMITIVES[name].lion for name in GRAMMARS["lion45"])
    assert GRAMMARS["core"] == PRIMITIVE_WEIGHTS == SearchConfig().evolution.primitives
    further = set(MATRIX) - set(PRIMITIVE_WEIGHTS)
    assert further == {name for name, row in PRIMITIVES.items() if row.grammar == "matrix"}
    assert all(MATRIX[name] == weight for name, weight in PRIMITIVE_WEIGHTS.items())


@pytest.mark.parametrize("name", GRAMMARS)
def test_a_search_draws_its_grammar_and_nothing_else(name: str) -> None:
    space = config_from_dict({"evolution": {"grammar": name}}).evolution.space
    reached: set[str] = set()
    for program in drawn(space, 1, 600):
        reached |= primitives_of(program)
    assert reached - primitives_of(get_known("adamw").program) <= set(GRAMMARS[name])
    assert "orthogonalize" in reached or name != "matrix"


def test_a_configuration_may_add_to_a_grammar() -> None:
    given = {"grammar": "lion45", "primitives": {"where": 3.0, "sin": 0, "orthogonalize": 2}}
    primitives = config_from_dict({"evolution": given}).evolution.primitives
    assert primitives == GRAMMARS["lion45"] | {"where": 3.0, "sin": 0.0, "orthogonalize": 2.0}
    with pytest.raises(UserError, match="has 'quantile'"):
        config_from_dict({"evolution": {"primitives": {"quantile": 1.0}}})


def test_what_was_chosen_by_name_survives_another_grammar(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[evolution]\ngrammar = "matrix"\n[evolution.primitives]\nsin = 0\nndim = 3\n')
    config = load_config(path, SearchConfig())
    assert config.evolution.primitives == MATRIX | {"sin": 0.0, "ndim": 3.0}
    core = config_from_dict({"evolution": {"grammar": "core"}}, config)
    assert core.evolution.primitives == GRAMMARS["core"] | {"sin": 0.0, "ndim": 3.0}
    assert Evolution(grammar="matrix").primitives == MATRIX


def test_a_run_keeps_its_grammar(tmp_path: Path) -> None:
    stored = {"evolution": {"grammar": "matrix", "primitives": {"add": 1.0}}}
    with closing(create(tmp_path / "new.sqlite", {"config": stored})) as opened:
        evolution = stored_config(opened).evolution
    assert (evolution.grammar, evolution.primitives) == ("matrix", {"add": 1.0})
    with closing(create(tmp_path / "old.sqlite", {"config": {"evolution": {}}})) as opened:
        assert stored_config(opened).evolution == Evolution()


def test_an_unknown_grammar_is_refused_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "--preset", "quick", "--grammar", "matrx"]) == 2
    error = capsys.readouterr().err
    assert "--grammar is 'matrx'; did you mean 'matrix'?; accepted: lion45, core, matrix" in error
    assert len(error.splitlines()) == 1
