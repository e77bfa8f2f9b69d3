"""Every documented rule computes what its references compute, on every path."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evoptax.dsl.arrays import run_numpy
from evoptax.dsl.errors import UserError
from evoptax.dsl.program import LEARNING_RATE, Program
from evoptax.dsl.syntax import format_program, parse
from evoptax.known_algorithms.catalogue import KNOWN, get_known, known_rules
from evoptax.known_algorithms.rule import NUMPY as FROM_EQUATIONS
from paths import Machine, Problem, flat, run_fused
from references.compare import max_difference
from references.golden import load_golden
from references.numpy_references import NUMPY
from references.optax_references import OPTAX, run_optax
from references.problems import STEPS, problem
from references.settings import RULES
from references.trajectories import Trajectory

GOLDEN = load_golden()
TOLERANCE = 1e-12


def tuned(name: str, hyper: dict[str, float]) -> Program:
    """The rule with the hyperparameters of a comparison, every one of which it must have."""
    return KNOWN[name].program.with_defaults(**hyper)


def trajectory(program: Program, tensors: tuple[str, ...]) -> Trajectory:
    """The rule by NumPy in float64, in the references' words."""
    params, grads = problem(tensors)
    gradients = [[g[name] for name in tensors] for g in grads]
    steps = run_numpy(program, [params[name] for name in tensors], gradients)
    named = [[dict(zip(tensors, leaves, strict=True)) for leaves in pair] for pair in steps]
    return Trajectory([w for w, _ in named], [eval_w for _, eval_w in named])


def apart(ours: Trajectory, theirs: Trajectory) -> float:
    """The largest difference, evaluation points included where the reference has them."""
    gap = max_difference(ours, theirs)
    return gap if theirs.eval_w is None else max(gap, max_difference(ours.eval_w, theirs.eval_w))


@pytest.mark.parametrize("name", KNOWN)
def test_matches_the_equations(name: str) -> None:
    assert name in NUMPY, f"{name} has no independent NumPy reference in tests/references"
    setting = RULES[name]
    params, grads = problem(setting.tensors)
    assert STEPS >= 20
    theirs = NUMPY[name](params, grads, **setting.hyper)
    assert apart(trajectory(tuned(name, setting.hyper), setting.tensors), theirs) <= TOLERANCE


@pytest.mark.parametrize("name", [n for n in KNOWN if n in OPTAX])
def test_matches_optax(name: str) -> None:
    reference = OPTAX[name]
    theirs = run_optax(name, *problem(reference.tensors))
    ours = trajectory(tuned(name, reference.hyper), reference.tensors)
    assert apart(ours, theirs) <= reference.tolerance <= 1e-11


@pytest.mark.parametrize(
    "golden",
    [g for g in GOLDEN if g.rule in KNOWN],
    ids=lambda g: f"{g.rule}-{g.source}".replace("/", "+"),
)
def test_matches_other_packages(golden) -> None:
    ours = trajectory(tuned(golden.rule, golden.hyper), golden.tensors)
    assert golden.difference(ours) <= golden.tolerance


@pytest.mark.parametrize("name", KNOWN)
def test_references_named_are_the_references_tested(name: str) -> None:
    tested = {g.source for g in GOLDEN if g.rule == name}
    tested |= {FROM_EQUATIONS, *(["optax"] if name in OPTAX else [])}
    named = {"torch" if r.startswith("torch.") else r for r in KNOWN[name].references}
    named = {"optax" if r.startswith("optax.") else r for r in named}
    assert named == tested


@cache
def compiled_machine(tensors: tuple[str, ...]) -> Machine:
    return Machine(as_problem(tensors), jnp.float64)


def as_problem(tensors: tuple[str, ...]) -> Problem:
    params, grads = problem(tensors)
    return Problem(
        tuple(params[n] for n in tensors),
        tuple(tuple(g[n] for n in tensors) for g in grads),
        (0.0,) * len(grads),
    )


@pytest.mark.parametrize("name", KNOWN)
def test_machine_and_fused_path_match_numpy(name: str) -> None:
    setting = RULES[name]
    program = tuned(name, setting.hyper)
    steps = trajectory(program, setting.tensors)
    expected = np.array(
        [
            [flat(tuple(model.values())) for model in pair]
            for pair in zip(steps, steps.eval_w, strict=True)
        ]
    )
    with jax.enable_x64(True):
        machine = compiled_machine(setting.tensors)
        by_machine = machine.run(program)
        by_fused = run_fused(program, as_problem(setting.tensors), jnp.float64)
    assert machine.traces == 1
    np.testing.assert_allclose(by_machine, expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(by_fused, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", KNOWN)
def test_text_reads_as_it_prints(name: str) -> None:
    rule = KNOWN[name]
    assert format_program(parse(rule.text)) == rule.text
    assert rule.program is rule.program
    assert rule.program.name == rule.name == name


@pytest.mark.parametrize("name", KNOWN)
def test_conventions(name: str) -> None:
    rule = KNOWN[name]
    assert rule.program.inputs[:2] == ("w", "g")
    assert LEARNING_RATE in rule.program.defaults
    assert rule.program.doc.endswith(".") and str(rule.paper.year) in rule.program.doc
    assert rule.row == RULES[name].row
    assert rule.seeds == tuple(sorted(set(rule.seeds))) and set(rule.seeds) <= {0, 1, 2, 3}
    assert rule.paper.title and rule.paper.authors and rule.paper.venue
    assert max(map(len, rule.text.splitlines())) <= 100


def test_lookup_says_what_exists() -> None:
    assert get_known("adamw").program.defaults["wd"] == 1e-2
    with pytest.raises(UserError, match=r"'adamv'; did you mean 'adamw?'\?; known: sgd, .*lion"):
        get_known("adamv")
    assert known_rules() == tuple(KNOWN.values())
    assert all(rule.tier == "1a" for rule in known_rules("1a"))
    assert set(known_rules("1a")) <= set(known_rules("1"))
    with pytest.raises(UserError, match=r"no rule has tier '9'; tiers: 1a"):
        known_rules("9")


def test_reading_the_catalogue_does_not_import_jax() -> None:
    code = (
        "import sys; from evoptax.known_algorithms.catalogue import KNOWN;"
        "[rule.program for rule in KNOWN.values()]; sys.exit('jax' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
