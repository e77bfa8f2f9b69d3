"""Every primitive, with arguments of every kind that it takes, on every path."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import jax
import numpy as np
import pytest
from evoptax.dsl.errors import ProgramError
from evoptax.dsl.expressions import parse_expression
from evoptax.dsl.kinds import Kind
from evoptax.dsl.machine.bytecode import TooLarge, assemble
from evoptax.dsl.machine.operations import DECOMPOSING, WITH_ORACLES
from evoptax.dsl.oracles import COMBINATIONS, ORACLES, combined_by, oracles_of
from evoptax.dsl.primitive import Scope
from evoptax.dsl.primitives import PRIMITIVES
from evoptax.dsl.program import Call, Expr, Hyperparameter, Name, Program, State, Statement
from evoptax.dsl.syntax import check, format_program, parse
from paths import Machine, Problem, fixed_problem, run_all_fused, run_fused, run_reference

# A value of each kind that is positive and of ordinary size.
OF_KIND = {
    Kind.SCALAR: "0.25 + lr",
    Kind.LAYER: "norm(g) / 4",
    Kind.VECTOR: "matrix_mean(square(w) + 0.1)",
    Kind.BLOCK: "column_mean(row_mean(square(g)))",
    Kind.ROW: "row_mean(square(w) + 0.1)",
    Kind.COLUMN: "column_mean(square(g) + 0.1)",
    Kind.TENSOR: "square(w) + 0.3",
    Kind.TRANSPOSED: "transpose(square(g) + 0.2)",
    Kind.ROW_GRAM: "matmul(square(g) + 0.1, transpose(square(w) + 0.1))",
    Kind.COLUMN_GRAM: "matmul(transpose(square(g) + 0.1), square(w) + 0.1)",
}
# How a value of each kind becomes an update.
TO_UPDATE = {
    Kind.TRANSPOSED: "transpose(x)",
    Kind.ROW_GRAM: "matmul(x, g)",
    Kind.COLUMN_GRAM: "matmul(g, x)",
}
# A number for the model, and one per tensor, that the second argument of these may be.
NUMBERED = {
    "quantile": ("0.3 + lr", "0.3 + 0.1 * norm(g) / norm(abs(g) + w**2)"),
    "lead": ("20 * lr", "1 + ndim(w)"),
}
SHAPES = ((4, 3), (3, 5), (3,), (), (2, 2, 3, 2), (4, 3))
# More shapes than the machine has stacks, so that tensors are padded.
MANY = ((4, 3), (3,), (), (3, 4), (2, 2, 3, 2), (5,), (3, 3), (4,), (4, 3), (6,), (2, 2, 4, 2))
MANY = (*MANY, (8,), (4, 4), (7,), ())
STEPS = 2
# Each function here runs once: compiling takes longer than that.
FAST_TO_COMPILE = {"xla_backend_optimization_level": 0}


def _programs() -> Iterator[tuple[str, Program]]:
    """One statement with a primitive for each combination of kinds that it accepts, each kind of
    its result held as state too."""
    for row in PRIMITIVES.values():
        for kinds in itertools.product(Kind, repeat=row.arity):
            args: list[Expr] = [parse_expression(OF_KIND[kind]) for kind in kinds]
            if row.name in NUMBERED:
                args[1] = parse_expression(NUMBERED[row.name][kinds[1] is Kind.LAYER])
            call = Call(row.name, tuple(args))
            try:
                kind = _kind(call)
            except ProgramError:
                continue
            update = parse_expression(TO_UPDATE.get(kind, "x * g"))
            body = (
                Statement("x", call),
                Statement("s", Call("lerp", (Name("x"), Name("s"), parse_expression("0.5")))),
                Statement("x", Name("s")),
            )
            program = Program(
                "rule",
                ("w", "g"),
                (State("s", 0.0),),
                (Hyperparameter("lr", 0.1),),
                body,
                Call("multiply", (Name("lr"), update)),
            )
            check(program)
            yield f"{row.name}({', '.join(map(str, kinds))})", program


def _kind(call: Call) -> Kind:
    from evoptax.dsl.inference import KIND_DOMAIN
    from evoptax.dsl.interpreter import evaluate

    env = {"w": Kind.TENSOR, "g": Kind.TENSOR, "lr": Kind.SCALAR}
    return evaluate(call, KIND_DOMAIN, env)


CASES = dict(_programs())


@pytest.fixture(scope="module", params=[SHAPES, MANY], ids=["few shapes", "many shapes"])
def problem(request: pytest.FixtureRequest) -> Problem:
    return fixed_problem(request.param, STEPS, seed=3)


def test_every_primitive_is_tried() -> None:
    tried = {name.partition("(")[0] for name in CASES}
    assert tried == set(PRIMITIVES)


def test_text_is_read_back() -> None:
    for name, program in CASES.items():
        assert parse(format_program(program)) == program, name


def test_machine_agrees_with_numpy_for_every_combination(problem: Problem) -> None:
    refused = []
    with jax.enable_x64(True):
        machine = Machine(problem, np.float64, form=DECOMPOSING)
        for name, program in CASES.items():
            if oracles_of(program) or combined_by(program):
                continue
            try:
                found = machine.run(program)
            except TooLarge:
                refused.append(name)
                continue
            expected = run_reference(program, problem)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=name)
        assert machine.traces == 1
    # Elementwise functions of square matrices that no documented rule uses.
    assert all("by" in name for name in refused), refused
    whole = {name.partition("(")[0] for name in CASES if name not in refused}
    others = {row.name for row in (*ORACLES, *COMBINATIONS)}
    assert whole | others == set(PRIMITIVES), "each runs on the machine"


def test_every_oracle_answers_the_same_on_every_path() -> None:
    problem = fixed_problem(SHAPES, STEPS, seed=3)
    with jax.enable_x64(True):
        machine = Machine(problem, np.float64, form=WITH_ORACLES["lean"])
        for program in CASES.values():
            if oracles_of(program):
                assert assemble(program).form == machine.layout.form
                expected = run_reference(program, problem)
                for found in (machine.run(program), run_fused(program, problem, np.float64)):
                    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
        assert machine.traces == 1


def test_fused_path_agrees_with_numpy() -> None:
    """All of one primitive in one compilation: each for itself would take a while."""
    problem = fixed_problem(SHAPES, STEPS, seed=3)
    names: dict[str, list[str]] = {}
    for name in CASES:
        row = PRIMITIVES[name.partition("(")[0]]
        if (row.reduces or row.expansion) and row.scope not in (Scope.LOSS, Scope.MEMBERS):
            names.setdefault(row.name, []).append(name)
    with jax.enable_x64(True):
        for cases in names.values():
            programs = [CASES[name] for name in cases]
            runs = run_all_fused(programs, problem, np.float64, FAST_TO_COMPILE)
            for name, program, found in zip(cases, programs, runs, strict=True):
                expected = run_reference(program, problem)
                np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=name)
