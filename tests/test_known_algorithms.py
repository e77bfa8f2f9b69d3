"""Every documented rule computes what its references compute, on every path."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from evoptax.cli.main import main
from evoptax.dsl.errors import UserError
from evoptax.dsl.export.formats.latex import to_latex
from evoptax.dsl.inference import kinds_of
from evoptax.dsl.inputs import noise_of
from evoptax.dsl.kinds import Kind, shape_of
from evoptax.dsl.machine.bytecode import TooLarge, assemble
from evoptax.dsl.members import is_of_members
from evoptax.dsl.numpy.stepping import run_numpy
from evoptax.dsl.primitives import PRIMITIVES
from evoptax.dsl.program import LEARNING_RATE, Program
from evoptax.dsl.syntax import format_program, parse
from evoptax.dsl.synthetic_loss import oracles_around
from evoptax.known_algorithms.catalogue import _FAMILIES, KNOWN, SCHEDULES, get_known, known_rules
from evoptax.known_algorithms.parity import load_parity
from optax import contrib
from parity_runs import (
    Run,
    by_machine,
    by_numpy,
    called,
    compared,
    compiled_machine,
    restricted,
    setting_run,
)
from references.by_name import RULES
from references.coverage import COVERAGE, Check, trajectory_difference
from references.losses import noise
from references.optax_runner import OptaxReference
from references.problems import ALL, SHAPES, STEPS, problem
from references.settings import OMITTED

ROOT = Path(__file__).parents[1]
# The others solve linear systems A w = b.
TRAINABLE = [name for name in KNOWN if "A" not in KNOWN[name].program.inputs]
# Several members run the others.
ALONE = [name for name in TRAINABLE if not is_of_members(KNOWN[name].program)]
# What rules carry beside state as large as w: factors, square matrices, numbers.
_BASES = {"L": Kind.ROW_GRAM, "U": Kind.ROW_GRAM, "R": Kind.COLUMN_GRAM, "V": Kind.COLUMN_GRAM}
_LOW_RANK = {"V": Kind.COLUMN_GRAM, "U": Kind.ROW_GRAM, "m": Kind.TENSOR, "v": Kind.TENSOR}
SMALL_STATE = {
    "apollo_mini": {
        "Z": Kind.TENSOR,
        **dict.fromkeys(("m", "v"), Kind.ROW),
        **dict.fromkeys(("p", "q"), Kind.COLUMN),
        "last": Kind.LAYER,
    },
    "asgo": {"V": Kind.ROW_GRAM},
    "dion": {"m": Kind.TENSOR, "Q": Kind.COLUMN_GRAM, "v": Kind.VECTOR},
    "fira": {**_LOW_RANK, "last": Kind.LAYER},
    "galore_adam": _LOW_RANK,
    "muon_polar_express": {"m": Kind.TENSOR, "v": Kind.VECTOR},
    "nero": {"v": Kind.ROW, "scale": Kind.LAYER},
    "polargrad": {"m": Kind.TENSOR, "v": Kind.VECTOR},
    "shampoo": {"L": Kind.ROW_GRAM, "R": Kind.COLUMN_GRAM},
    "sm3": {"R": Kind.ROW, "C": Kind.COLUMN, "m": Kind.TENSOR},
    "soap": {**_BASES, "m": Kind.TENSOR, "v": Kind.TENSOR},
    "adafactor": {"R": Kind.ROW, "C": Kind.COLUMN},
    "adagrad_norm": {"s": Kind.SCALAR},
    "adam_mini": {"m": Kind.TENSOR, "v": Kind.ROW},
    "came": {
        **dict.fromkeys(("R", "P"), Kind.ROW),
        **dict.fromkeys(("C", "Q"), Kind.COLUMN),
        "m": Kind.TENSOR,
    },
    "muon": {"m": Kind.TENSOR, "v": Kind.VECTOR},
    "muon_moonlight": {"m": Kind.TENSOR, "v": Kind.VECTOR},
    "muon_optax": {"m": Kind.TENSOR, "v": Kind.VECTOR},
    "normuon": {"m": Kind.TENSOR, "v": Kind.ROW},
    "optimistic_omd": {"x_hat": Kind.TENSOR, "M": Kind.TENSOR, "s": Kind.SCALAR},
    "schedule_free_adamw": {
        **dict.fromkeys(("z", "v"), Kind.TENSOR),
        **dict.fromkeys(("lr_max", "s"), Kind.SCALAR),
    },
    "schedule_free_sgd": {
        **dict.fromkeys(("z",), Kind.TENSOR),
        **dict.fromkeys(("lr_max", "s"), Kind.SCALAR),
    },
    "sgd_sai": {"m": Kind.TENSOR, "kappa": Kind.LAYER},
}


def test_every_rule_is_here_with_its_references() -> None:
    assert KNOWN.keys() == RULES.keys() == COVERAGE.keys()
    assert len(KNOWN) == sum(len(family.RULES) for family in _FAMILIES), "two of one name"
    assert not KNOWN.keys() & OMITTED.keys()
    rows = {rule.row for rule in KNOWN.values() if rule.row is not None}
    omitted = {rule.row for rule in OMITTED.values()} | {s.row for s in SCHEDULES.values()}
    assert not rows & omitted
    assert rows | omitted == set(range(1, max(rows) + 1)), "a row of the list of rules is missing"
    assert STEPS >= 20


@pytest.mark.parametrize("name", KNOWN)
def test_every_path_matches_every_reference(name: str) -> None:
    assert name in COVERAGE, f"{name} has no independent NumPy reference in tests/references"
    rows = compared(name)
    assert len(rows) >= 2 and rows[0][0].source == "numpy" and rows[0][0].tolerance <= 1e-12
    for check, differences in rows:
        assert {"NumPy", "fused", "Optax file"} <= differences.keys()
        assert max(differences.values()) <= check.tolerance, (check.source, differences)


@pytest.mark.parametrize("name", ALONE)
def test_machine_matches_numpy(name: str) -> None:
    run = setting_run(name)
    # Rounding grows where curvature is estimated from gradients that have none.
    tolerance = 1e-8 if name == "lbfgs" else 1e-12
    assert trajectory_difference(by_machine(run), by_numpy(run)) <= tolerance
    assert compiled_machine(assemble(run.program).form).traces == 1


def test_a_linear_solver_cannot_train() -> None:
    with pytest.raises(TooLarge, match=r"A w = b, which no training task has"):
        assemble(KNOWN["sor"].program)
    with pytest.raises(UserError, match="sor solves linear systems A w = b, which nobody gave"):
        run_numpy(KNOWN["sor"].program, [np.ones(2)], [[np.ones(2)]])


@pytest.mark.parametrize("name", KNOWN)
def test_state_is_as_small_as_the_rule(name: str) -> None:
    state = kinds_of(KNOWN[name].program).state
    if name in SMALL_STATE:
        assert state == SMALL_STATE[name]
    else:
        small = [kind for kind in state.values() if kind is not Kind.TENSOR]
        assert set(small) <= {Kind.SCALAR, Kind.LAYER} and len(small) <= RULES[name].numbers


def test_factored_state_holds_rows_and_columns() -> None:
    kinds = kinds_of(KNOWN["adafactor"].program).state.values()
    sizes = {
        name: sum(math.prod(shape_of(kind, shape)) for kind in kinds)
        for name, shape in ((name, SHAPES[name]) for name in ALL)
    }
    # A vector is one column: its second moment, and one mean.
    assert sizes == {"tall": 7 + 3, "wide": 3 + 7, "vector": 5 + 1, "kernel": 18 + 36, "scalar": 2}


def with_tensors(name: str, tensors: tuple[str, ...]) -> Run:
    """A rule in its own setting, on some tensors."""
    return Run(setting_run(name).program, tensors)


@pytest.mark.parametrize("name", ["muon", "muon_moonlight"])
def test_muon_is_adamw_on_vectors(name: str) -> None:
    adamw = RULES["adamw"].hyper
    shared = {key: adamw[key] for key in ("lr", "eps", "wd", "b1", "b2")}
    small = ("vector", "scalar")
    muon = by_numpy(Run(KNOWN[name].program.with_defaults(**shared), ALL))
    plain = by_numpy(with_tensors("adamw", small))
    assert trajectory_difference(restricted(muon, small), plain) <= 1e-14


def test_muon_optax_is_optax_on_vectors() -> None:
    hyper = RULES["muon_optax"].hyper
    tensors = ("tall", "wide", "vector", "scalar")
    reference = OptaxReference(
        lambda *, lr, beta, eps, wd: contrib.muon(lr, beta=beta, eps=eps, weight_decay=wd),
        hyper,
        tensors=tensors,
    )
    theirs = reference.trajectory(*problem(tensors))
    assert trajectory_difference(by_numpy(with_tensors("muon_optax", tensors)), theirs) <= 1e-12


def test_the_decay_of_lars_does_not_jump_where_the_gradient_is_zero() -> None:
    program = KNOWN["lars"].program.with_defaults(mu=0.0, wd=1e-2, trust=1e-3)
    w = np.array([3.0, 4.0])
    for size in (1e-12, 0.0):
        ((found, _),) = run_numpy(program, [w], [[size * w]])
        np.testing.assert_allclose(np.asarray(found[0]), w * (1 - 1e-3), rtol=1e-9)


@pytest.mark.parametrize("name", ALONE)
def test_a_tensor_without_gradient_stays_finite(name: str) -> None:
    params, grads = problem(ALL)
    quiet = ("tall", "scalar")
    gradients = [[0 * x if n in quiet else x for n, x in g.items()] for g in grads]
    # A pixel that is never lit and a unit that is never active: one row and one column of a matrix.
    lit = np.array([[0.0], [1.0], [1.0]]) * (np.arange(7) > 0)
    for g in gradients:
        g[ALL.index("wide")] = g[ALL.index("wide")] * lit
    start = [*params.values()]
    program = KNOWN[name].program
    given = {"loss": 1.0} if "loss" in program.inputs else {}
    given |= {kind: [*noise(kind, 0, params).values()] for kind in noise_of(program)}

    def run(gradients: list[list[np.ndarray]]) -> list[Any]:
        def oracles(t: int, w: Any) -> Any:
            return oracles_around(w, gradients[t - 1], 1.0)

        return run_numpy(program, start, gradients, dtype=np.float32, oracles=oracles, **given)

    steps = run(gradients)
    assert all(np.isfinite(x).all() for pair in steps for leaves in pair for x in leaves)
    still = run([[0 * x for x in start]] * 5)
    assert all(np.isfinite(x).all() for x in still[-1][0])


@pytest.mark.parametrize("name", KNOWN)
def test_text_reads_as_it_prints(name: str) -> None:
    rule = KNOWN[name]
    printed = format_program(rule.program)
    assert parse(printed) == rule.program
    signature = " ".join(rule.text.partition(":\n")[0].split())
    signature = signature.replace("( ", "(").replace(" )", ")")
    body = rule.text.partition(":\n")[2].splitlines()
    if not rule.calls:
        assert printed == "\n".join([f"{signature}:", *body]) + "\n"
    calls = {f"{called.name}(" for called in rule.calls}
    own = [line for line in body if not any(f"= {call}" in line for call in calls)]
    assert len(body) - len(own) == len(calls)
    assert [line for line in printed.splitlines() if line in own] == own
    assert rule.program is rule.program
    assert rule.program.name == rule.name == name


def is_elementwise(program: Program) -> bool:
    """Whether no number depends on another tensor, another number of its own, or on members."""
    return not is_of_members(program) and not any(
        PRIMITIVES[primitive].reduces for primitive in called(program)
    )


@pytest.mark.parametrize("name", KNOWN)
def test_conventions(name: str) -> None:
    rule = KNOWN[name]
    assert rule.program.inputs[:2] == ("w", "g")
    assert (LEARNING_RATE in rule.program.defaults) == ("lr" in RULES[name].hyper)
    assert rule.program.doc.endswith(".")
    assert str(rule.paper.year) in rule.program.doc.splitlines()[0]
    assert re.fullmatch("[1-5][ab]?", rule.tier)
    assert rule.tier.startswith("1") == is_elementwise(rule.program)
    assert rule.seeds == tuple(sorted(set(rule.seeds))) and set(rule.seeds) <= {0, 1, 2, 3}
    assert rule.paper.title and rule.paper.authors and rule.paper.venue
    assert max(map(len, rule.text.splitlines())) <= 100


def test_lookup_says_what_exists() -> None:
    assert get_known("adamw").program.defaults["wd"] == 1e-2
    with pytest.raises(UserError, match=r"'adamv'; did you mean 'adamw?'\?; known: sgd, .*lion"):
        get_known("adamv")
    assert known_rules() == tuple(KNOWN.values())
    assert {rule.tier for rule in known_rules("1")} == {"1a", "1b"}
    assert set(known_rules("1a")) < set(known_rules("1"))
    with pytest.raises(UserError, match=r"no rule has tier '9'; tiers: 1a, 1b, 2"):
        known_rules("9")


def test_reading_the_catalogue_does_not_import_jax() -> None:
    code = (
        "import sys; from evoptax.known_algorithms.catalogue import KNOWN;"
        "[(rule.program, rule.matches) for rule in KNOWN.values()]; sys.exit('jax' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", KNOWN)
def test_command_shows_rule_and_evidence(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    rule = KNOWN[name]
    assert main(["known", name]) == 0
    out = capsys.readouterr().out
    assert out.startswith(rule.text) and to_latex(rule.program) in out
    assert rule.paper.title in out and rule.caveat in out
    assert all(f"{key} = " in out for key in rule.program.defaults)
    table = out.partition("Largest difference")[2].splitlines()  # empty before it was measured
    assert [line.partition("  ")[0] for line in table[3:]] == [m.source for m in rule.matches]
    assert main(["known", name, "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["latex"] == to_latex(rule.program)
    assert parse(data["program"]) == rule.program
    assert [r["differences"] for r in data["references"]] == [m.differences for m in rule.matches]


def test_a_linear_solver_is_not_evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "sor"]) == 2
    assert (
        "sor solves linear systems A w = b, which no training task has" in capsys.readouterr().err
    )


@cache
def benchmark() -> ModuleType:
    """benchmarks/parity.py."""
    spec = importlib.util.spec_from_file_location("parity", ROOT / "benchmarks" / "parity.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_measured_parity_is_that_of_this_catalogue() -> None:
    def source(check: Check) -> str:
        return benchmark().SOURCES.get(check.source, check.source.removeprefix("golden "))

    measured = load_parity()
    again = "run python benchmarks/parity.py"
    assert measured.rules.keys() == KNOWN.keys(), again
    assert measured.steps == STEPS and {"numpy", "jax", "optax"} <= measured.versions.keys()
    for name, matches in measured.rules.items():
        found = [(m.source, m.tolerance, m.tensors) for m in matches]
        assert found == [(source(c), c.tolerance, c.shapes) for c in COVERAGE[name]], again
        assert all(m.largest <= m.tolerance for m in matches)
        assert matches == KNOWN[name].matches


def test_generated_files_are_up_to_date() -> None:
    measured = load_parity()
    written = (ROOT / "known_algorithms" / "parity.json").read_text(encoding="utf-8")
    assert benchmark().as_json(measured) == written
    assert list(json.loads(written)["rules"]) == list(KNOWN), "run python benchmarks/parity.py"
    page = (ROOT / "docs" / "known_algorithms.md").read_text(encoding="utf-8")
    assert page == benchmark().as_markdown(KNOWN, measured), "benchmarks/parity.py --docs"
    rules, _, schedules = page.partition("## Schedules")
    for part, names in ((rules, KNOWN), (schedules, SCHEDULES)):
        assert re.findall(r"^\| `(\w+)`", part, re.MULTILINE) == list(names)
