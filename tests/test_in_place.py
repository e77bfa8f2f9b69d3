"""Rules bound to NumPy in place compute what the interpreter does, for any leading shape."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from evoptax.dsl.errors import ProgramError, UserError
from evoptax.dsl.inputs import noise_of
from evoptax.dsl.members import is_of_members
from evoptax.dsl.numpy.in_place import Oracle, bind_in_place
from evoptax.dsl.primitive import Scope
from evoptax.dsl.primitives import PRIMITIVES
from evoptax.dsl.program import Program
from evoptax.dsl.syntax import format_program, parse
from evoptax.dsl.synthetic_loss import LossAround
from evoptax.known_algorithms.catalogue import KNOWN
from paths import Problem, compare, fixed_problem, flat, run_reference
from programs import random_program
from test_primitives import CASES, SHAPES, STEPS

PROBLEM = fixed_problem(steps=6)
RATES = (1e-2, 0.3)


def _run(program: Program, problem: Problem, rates: np.ndarray) -> np.ndarray:
    """Shape (steps, 2, *rates, N): as `paths.run_rule`, for many learning rates at once."""
    start = np.broadcast_to(flat(problem.w), (*rates.shape, flat(problem.w).size)).copy()
    rule = bind_in_place(program, problem.shapes, start, rates[..., None])
    found = []
    with np.errstate(all="ignore"):
        for t, (g, loss) in enumerate(zip(problem.g, problem.loss, strict=True), start=1):
            values = {"g": flat(g), "t": t, "T": len(problem.g), "loss": loss}
            values |= {name: flat(problem.drawn(name)[t - 1]) for name in noise_of(program)}
            for name, value in values.items():
                if name in rule.inputs:
                    rule.inputs[name][...] = value
            rule.oracles |= _oracles(rule.inputs["w"].copy(), flat(g), loss)
            rule.compute()
            w = rule.inputs["w"] - rule.update
            found.append(np.stack([w, w if rule.eval_w is None else rule.eval_w]))
            rule.inputs["w"][...] = w
            rule.advance()
    return np.stack(found)


def _oracles(w: np.ndarray, g: np.ndarray, loss: float) -> dict[str, Oracle]:
    around = LossAround(np, w, g, loss)

    def fills(answer: Callable[[np.ndarray], np.ndarray]) -> Oracle:
        def fill(x: np.ndarray, out: np.ndarray) -> None:
            found = answer(x)
            out[...] = found if found.shape == out.shape else found[..., None]

        return fill

    answers = {"grad": around.gradient, "loss_at": around.value, "hvp": around.hessian_times}
    return {name: fills(answer) for name, answer in answers.items()}


def _assert_same(program: Program, problem: Problem = PROBLEM) -> np.ndarray:
    found = _run(program, problem, np.array([RATES]))
    for index, rate in enumerate(RATES):
        expected = run_reference(program, problem, {"lr": rate})
        both = compare(found[:, :, 0, index], expected, problem)
        assert both.within(1e-8), (both, format_program(program))
    return found


CORE = {name for name, row in PRIMITIVES.items() if row.grammar == "core"}
# What combines members has a test in `test_members`.
OTHERS = {n for n, row in PRIMITIVES.items() if row.scope is not Scope.MEMBERS} - CORE

# Tensors below and above one, where functions are defined, and one number per tensor.
ARGUMENTS = {
    "small": ("0.3 + g / 40", "0.2 + w / 30", "0.1 * t"),
    "large": ("1.5 + abs(g)", "2 + abs(w)", "t"),
    "per tensor": ("0.1 + norm(g) / 90", "0.1 * norm(w)", "0.1 * t"),
}


@pytest.mark.parametrize("primitive", sorted(CORE))
def test_each_primitive(primitive: str) -> None:
    finite = False
    for size, arguments in ARGUMENTS.items():
        call = f"{primitive}({', '.join(arguments[: PRIMITIVES[primitive].arity])})"
        try:
            program = parse(f"def f(w, g, t, *, lr=0.1):\n    return lr * g * {call}\n")
        except ProgramError:
            assert size == "per tensor", "reductions take tensors"
            continue
        finite |= bool(np.isfinite(_assert_same(program)).any())
    assert finite


def test_rows_columns_and_matrices() -> None:
    """With arguments and states of every kind, on tensors of every number of axes.

    All runs and tensors are computed together, and the reference run by run.
    """
    problem = fixed_problem(SHAPES, STEPS, seed=3)
    tried = set()
    for name, program in CASES.items():
        primitive = name.partition("(")[0]
        if primitive in OTHERS or (primitive in CORE and "by" in name):
            _assert_same(program, problem)
            tried.add(primitive)
    assert tried > OTHERS


def test_programs() -> None:
    """State of every kind, evaluation points, reductions of reductions; and matrix operations."""
    rng = Random(1)
    random = [random_program(rng) for _ in range(150)]
    # Rounding decides where a remainder jumps, so the two may differ there.
    smooth = [program for program in random if " % " not in format_program(program)]
    known = [rule.program for rule in KNOWN.values() if "A" not in rule.program.inputs]
    known = [program for program in known if not is_of_members(program)]
    assert len(smooth) > 80
    for program in [*smooth, *known]:
        _assert_same(program)


def test_what_gates_do_not_have_is_refused() -> None:
    with pytest.raises(UserError, match="sor solves linear systems A w = b, which the gates do"):
        _run(KNOWN["sor"].program, PROBLEM, np.array(RATES))
