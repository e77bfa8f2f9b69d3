"""A further primitive, input or documented rule is one row in one file.

They are added to a copy of evoptax, because many tables are made of these when they are imported.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = ("cli", "dsl", "evaluators", "known_algorithms", "search")

PRIMITIVE = """
    # Arithmetic.
    Primitive("halve", 1, lambda xp, x: x * 0.5, r"\\frac{{{0}}}{{2}}", jax="(0.5 * {0})"),
"""
USES_IT = """
import random, evoptax
from evoptax.dsl.algebra.simplifier import simplify
from evoptax.dsl.export.base import formats
from evoptax.evaluators.tasks import get_task
from evoptax.evaluators.backends.base import backends
from evoptax.evaluators.scores.evaluate import Evaluator
from evoptax.evaluators.fidelity import Fidelity
from evoptax.search.filters.gates import examine
from evoptax.search.mutation.mutate import mutate

rule = evoptax.rule("def mine(w, g, *, lr=0.1):\\n    return lr * halve(g)\\n")
for format in formats():
    assert rule.export(format)
evaluator = Evaluator({"q": get_task("quadratic")})
values = [evaluator.score(rule.program, "q", Fidelity((0.1,)), name).value for name in backends()]
assert max(values) - min(values) < 1e-4 * min(values), values
assert simplify(rule.program).size == rule.program.size
assert not examine(rule.program, max_size=60).rejection
drawn = (mutate(rule.program, random.Random(seed)) for seed in range(3000))
assert any("halve" in mutated.change for mutated in drawn)
"""

INPUT = """
_ROWS = (
    Input(
        "phase",
        Kind.SCALAR,
        "the phase of training",
        frozenset({Source.EXPORT}),
        default=2.0,
        argument=Argument("phase", "of training.", "jax.typing.ArrayLike", "2"),
    ),
    Input("noise", Kind.TENSOR, "noise of the size of w", frozenset()),
"""
READS_IT = """
import numpy as np, evoptax
from evoptax.dsl.errors import ProgramError, UserError
from evoptax.dsl.export.base import formats
from evoptax.dsl.machine.bytecode import TooLarge, assemble
from evoptax.evaluators.backends.base import open_backend
from evoptax.evaluators.backends.problems import Problems
from evoptax.evaluators.fidelity import Fidelity
from evoptax.evaluators.tasks import get_task
from evoptax.search.filters.gates import examine
from evoptax.search.strategies.distillation.recording import record_rule
from evoptax.search.strategies.distillation.traces import relative_error

rule = evoptax.rule("def mine(w, g, phase, *, lr=0.1):\\n    return lr * phase * g\\n")
assert "phase: jax.typing.ArrayLike = 2" in rule.export("optax")
assert [rule.export(format) for format in formats()]
twice = evoptax.rule("def mine(w, g, *, lr=0.2):\\n    return lr * g\\n")
problems = Problems(get_task("quadratic"))


def score(backend, program, learning_rate):
    (found,) = open_backend(backend, problems).train([program], Fidelity((learning_rate,), (0,)))
    return found.score


machine, fused = (score(backend, rule.program, 0.1) for backend in ("machine", "fused"))
assert np.allclose([machine, fused], score("machine", twice.program, 0.2), rtol=1e-4)
assert not examine(rule.program, max_size=60).rejection
assert relative_error(twice.program, record_rule(rule.program, learning_rates=(0.1,))) == 0.5

noisy = evoptax.rule("def noisy(w, g, noise, *, lr=0.1):\\n    return lr * (g + noise)\\n")
sentence = "reads 'noise', noise of the size of w, which"
for refused, error in (
    (lambda: assemble(noisy.program), TooLarge),
    (lambda: noisy.export("optax"), ProgramError),
    (lambda: record_rule(noisy.program), UserError),
):
    try:
        refused()
        raise AssertionError("not refused")
    except error as found:
        assert sentence in str(found), found
"""

RULE = '''
HALF = KnownRule(
    text="""\\
def half_sign(w, g, *, lr=1e-4):
    \\"\\"\\"Half of sign descent (Nobody 2026).\\"\\"\\"
    return lr * 0.5 * sign(g)
""",
    paper=Paper(title="None", authors="Nobody", year=2026, venue="nowhere"),
    row=13,
    tier="1a",
    seeds=(1,),
)

RULES = (
    HALF,
    LION,
'''
FINDS_IT = """
import evoptax
from evoptax.cli.main import main
assert main(["known"]) == main(["known", "half_sign"]) == 0
assert "half" in evoptax.rule("half_sign").export("optax")
options = ["--tasks", "quadratic", "--against", "lion", "--seeds", "2"]
assert main(["evaluate", "half_sign", *options]) == 0
"""
REFERENCE = """

@reference("N", {"lr": 1e-2}, copies=0)
@each_tensor
def half_sign(w: np.ndarray, grads: list[np.ndarray], *, lr: float = 1e-2) -> Steps:
    for g in grads:
        w = w - lr / 2 * np.sign(g)
        yield w
"""
SECOND = """

def half_sign(params: Params, grads: list[Params], *, lr: float) -> Trajectory:
    moves = np.cumsum([np.sign(_flatten(g)) for g in grads], axis=0)
    return Trajectory([_unflatten(_flatten(params) - lr / 2 * move, params) for move in moves])
"""
# Of the tests that run over all known rules.
TESTS = ("references", "test_known_algorithms.py", "test_golden_known.py", "test_state_size.py")


def _run(folder: Path, *command: str, **environment: str) -> str:
    paths = {"PYTHONPATH": str(folder), "HOME": str(folder), "PATH": "/usr/bin:/bin"}
    # What is compiled is the same each time; its key is the code that is compiled.
    paths["JAX_COMPILATION_CACHE_DIR"] = os.environ["JAX_COMPILATION_CACHE_DIR"]
    paths["EVOPTAX_TEST_CACHE"] = str(Path(os.environ["JAX_COMPILATION_CACHE_DIR"]).parent)
    whole = [sys.executable, "-P", *command]
    found = subprocess.run(
        whole, env=paths | environment, capture_output=True, text=True, timeout=300
    )
    assert found.returncode == 0, (found.stdout + found.stderr)[-2000:]
    return found.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of evoptax; the package's folder."""
    package = tmp_path / "evoptax"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "api", package, ignore=ignored)
    for layer in LAYERS:
        shutil.copytree(ROOT / layer, package / layer, ignore=ignored)
    return package


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_primitive_is_a_row(copy: Path) -> None:
    _edit(copy / "dsl" / "primitives.py", "\n    # Arithmetic.\n", PRIMITIVE)
    _run(copy.parent, "-c", USES_IT)


def test_an_input_is_a_row(copy: Path) -> None:
    _edit(copy / "dsl" / "inputs.py", "\n_ROWS = (\n", INPUT)
    _run(copy.parent, "-c", READS_IT)


def test_a_documented_rule_is_a_row(copy: Path) -> None:
    _edit(copy / "known_algorithms" / "sign.py", "\nRULES = (\n    LION,\n", RULE)
    assert "half_sign" in _run(copy.parent, "-c", FINDS_IT)


def test_a_documented_rule_is_tested_by_its_name(copy: Path) -> None:
    """The rule, its reference and what `EVOPTAX_RENEW_GOLDEN` writes; no test is edited."""
    tests = copy.parent / "tests"
    shutil.copytree(ROOT / "tests", tests, ignore=shutil.ignore_patterns("__pycache__"))
    _edit(copy / "known_algorithms" / "sign.py", "\nRULES = (\n    LION,\n", RULE)
    for file, text in (("families/momentum.py", REFERENCE), ("second_derivations.py", SECOND)):
        with (tests / "references" / file).open("a", encoding="utf-8") as opened:
            opened.write(text)
    golden = ("-m", "pytest", str(tests / "test_golden_known.py"), "-k", "half_sign or else")
    _run(copy.parent, *golden, EVOPTAX_RENEW_GOLDEN="1")
    everywhere = (str(tests / name) for name in TESTS)
    _run(copy.parent, "-m", "pytest", *everywhere, "-k", "half_sign or every_rule or else")
