"""Gates: what is rejected before any training, and why."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from evoptax.dsl.arrays import Leaves, bind
from evoptax.dsl.errors import ProgramError
from evoptax.dsl.primitives import PRIMITIVES
from evoptax.dsl.program import Program
from evoptax.dsl.syntax import format_program, parse
from evoptax.known_algorithms.catalogue import KNOWN, get_known
from evoptax.search.descent import STEPS, descend
from evoptax.search.gates import rejection
from programs import random_program

GATED = {
    "ignores the gradient": "def f(w, g, *, lr=1e-3):\n    return lr * w\n",
    "ignores the learning rate": "def f(w, g, *, lr=1e-3):\n    return 0.01 * g\n",
    "does not descend": "def f(w, g, *, lr=1e-3):\n    return -lr * g\n",
    "non-finite": "def f(w, g, *, lr=1e-3):\n    return lr * sqrt(-1 - square(g))\n",
    "too large": "def f(w, g, *, lr=1e-3):\n    return lr * square(g)\n".replace(
        "    return", "    g = g + sin(g)\n" * 40 + "    return"
    ),
}


@pytest.mark.parametrize("reason", GATED)
def test_gates(reason: str) -> None:
    assert rejection(parse(GATED[reason]), max_size=60) == reason


def test_known_rules_pass_the_gates() -> None:
    for name in ("sgd", "momentum", "adam", "adamw", "lion", "rmsprop", "adagrad", "adadelta"):
        assert rejection(get_known(name).program, max_size=60) is None, name


RATES = (1e-2, 0.3)
CURVATURE = (np.array([[1.0, 0.3, 0.1], [0.5, 1.0, 0.2]]), np.array([1.0, 0.5, 2.0]))
START = (np.ones((2, 3)), np.array([1.0, -1.0, 0.5]))


def _loss(w: Leaves) -> float:
    return sum(0.5 * float(np.sum(h * x * x)) for h, x in zip(CURVATURE, w, strict=True))


def _descended(program: Program, learning_rate: float) -> float:
    """The gate's descent written out, over the rule bound to NumPy tensor by tensor."""
    rule = bind(program, np, np.float64)
    w = at = Leaves(START)
    state = rule.init(w)
    with np.errstate(all="ignore"):
        for t in range(1, STEPS + 1):
            g = Leaves(h * x for h, x in zip(CURVATURE, w, strict=True))
            hyper = {"lr": learning_rate}
            w, state, at = rule.step(w, g, state, t=t, T=STEPS, loss=_loss(w), hyper=hyper)
        ratio = _loss(at) / _loss(Leaves(START))
    finite = all(np.isfinite(leaf).all() for leaf in (*w, *at))
    return ratio if finite and np.isfinite(ratio) else np.nan


def _assert_same_descent(program: Program) -> None:
    expected = [_descended(program, rate) for rate in RATES]
    np.testing.assert_allclose(
        descend(program, RATES), expected, rtol=1e-8, err_msg=format_program(program)
    )


# Tensors below and above one, where functions are defined, and one number per tensor.
ARGUMENTS = {
    "small": ("0.3 + g / 4", "0.2 + w / 3", "0.1 * t"),
    "large": ("1.5 + abs(g)", "2 + abs(w)", "t"),
    "per tensor": ("0.1 + norm(g) / 9", "0.2 * norm(w)", "0.1 * t"),
}


@pytest.mark.parametrize("primitive", [name for name, row in PRIMITIVES.items() if row.searched])
def test_descent_computes_each_primitive_as_the_interpreter_does(primitive: str) -> None:
    finite = False
    for size, arguments in ARGUMENTS.items():
        call = f"{primitive}({', '.join(arguments[: PRIMITIVES[primitive].arity])})"
        try:
            program = parse(f"def f(w, g, t, *, lr=0.1):\n    return lr * g * {call}\n")
        except ProgramError:
            assert size == "per tensor", "reductions take tensors"
            continue
        _assert_same_descent(program)
        finite |= bool(np.isfinite(descend(program, RATES)).any())
    assert finite


def test_descent_computes_programs_as_the_interpreter_does() -> None:
    """State of every kind, evaluation points, reductions of reductions; and matrix operations."""
    rng = Random(1)
    random = [random_program(rng) for _ in range(150)]
    # Rounding decides where a remainder jumps, so the two may differ there.
    smooth = [program for program in random if " % " not in format_program(program)]
    known = [rule.program for rule in KNOWN.values() if "A" not in rule.program.inputs]
    assert len(smooth) > 80
    for program in [*smooth, *known]:
        _assert_same_descent(program)
