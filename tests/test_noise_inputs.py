"""Noise as inputs: drawn by who steps the rule, the same on every path that can compare it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evoptax.dsl.algebra.gradient_cost import gradient_evaluations
from evoptax.dsl.algebra.simplifier import simplify
from evoptax.dsl.errors import UserError
from evoptax.dsl.export.formats.optax.running import load
from evoptax.dsl.export.formats.optax.write import to_optax
from evoptax.dsl.inputs import Source, refusal
from evoptax.dsl.machine.bytecode import assemble
from evoptax.dsl.numpy.stepping import run_numpy
from evoptax.dsl.syntax import format_program, parse
from evoptax.evaluators.backends.base import open_backend
from evoptax.evaluators.backends.problems import Problems
from evoptax.evaluators.fidelity import Fidelity
from evoptax.evaluators.tasks import get_task
from evoptax.search.filters.gates import rejection

# The noise does not depend on the rate, so that equal noise gives equal weights at every rate.
DRIFT = parse("""\
def drift(w, g, normal, rademacher, uniform, s=0, *, lr=0.1):
    s = 0.9 * s + normal - 0.5 * rademacher + uniform
    return 0.01 * s + 0 * lr * g
""")
NOISY = parse("""\
def noisy(w, g, normal, *, lr=0.1):
    return lr * (g + 0.1 * normal)
""")


def test_noise_is_a_value_of_its_step() -> None:
    program = parse("def r(w, g, normal, *, lr=0.1):\n    return lr * (g + normal - normal)\n")
    assert format_program(simplify(program)) == "def r(w, g, *, lr=0.1):\n    return lr * g\n"
    assert gradient_evaluations(NOISY) == 1
    assert rejection(NOISY, max_size=60) is None
    assert refusal(NOISY, Source.TRACES) == (
        "reads 'normal', standard normal noise, which traces do not have"
    )
    with pytest.raises(UserError, match="noisy reads 'normal', standard normal noise, which nobo"):
        run_numpy(NOISY, [np.ones(2)], [[np.ones(2)]])
    assert assemble(NOISY).form == "lean with oracles"


def test_training_draws_the_same_for_all_rates_and_backends() -> None:
    problems = Problems(get_task("quadratic"))
    found = {}
    for name in ("machine", "fused"):
        backend = open_backend(name, problems)
        fidelity = Fidelity((1e-3, 0.3), (0, 1), steps=12)
        for program in (DRIFT, NOISY):
            (result,) = backend.train([program], fidelity)
            found[name, program.name] = result.score
        (again,) = backend.train([DRIFT], fidelity)
        np.testing.assert_array_equal(again.score, found[name, "drift"])
    for program in (DRIFT, NOISY):
        machine, fused = (found[name, program.name] for name in ("machine", "fused"))
        np.testing.assert_allclose(machine, fused, rtol=2e-5)
    drift = found["machine", "drift"]
    np.testing.assert_allclose(drift[:, 0], drift[:, 1], rtol=1e-5)
    assert abs(drift[0, 0] - drift[1, 0]) > 1e-3


def test_exported_file_draws_from_its_key() -> None:
    make = load(to_optax(DRIFT)).drift  # type: ignore[attr-defined]
    w = {"a": jnp.zeros(4000), "b": jnp.zeros((50, 20), jnp.bfloat16), "empty": jnp.zeros(0)}

    def updates(key: object, steps: int = 2) -> list[dict[str, jax.Array]]:
        optimizer = make(key=key)
        state, found = optimizer.init(w), []
        update = jax.jit(optimizer.update)
        for _ in range(steps):
            u, state = update(w, state, w)
            assert state.rng_key.dtype == jnp.uint32
            found.append(u)
        return found

    one, other = updates(3)
    # normal - 0.5 rademacher + uniform has mean 0.5 and variance 1 + 1/4 + 1/12.
    drawn = -100 * np.asarray(one["a"])
    assert abs(drawn.mean() - 0.5) < 0.1 and abs(drawn.var() - 4 / 3) < 0.15
    assert abs(np.corrcoef(one["a"], other["a"] - 0.9 * one["a"])[0, 1]) < 0.1
    assert abs(np.corrcoef(one["a"][:1000], one["b"].ravel().astype(float))[0, 1]) < 0.2
    assert one["b"].dtype == jnp.bfloat16 and one["empty"].shape == (0,)
    for key in (jax.random.key(3), jax.random.PRNGKey(3)):
        np.testing.assert_array_equal(updates(key, 1)[0]["a"], one["a"])
    assert not np.array_equal(updates(4, 1)[0]["a"], one["a"])
