"""Whatever a program calls its variables, every export works and means the same."""

from __future__ import annotations

import builtins
import keyword

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from evoptax.dsl.errors import ProgramError
from evoptax.dsl.export.check import check_export
from evoptax.dsl.export.formats.json import from_json, to_json
from evoptax.dsl.export.formats.latex import to_latex
from evoptax.dsl.export.formats.optax.helpers import HELPERS
from evoptax.dsl.export.formats.optax.names import _RESERVED
from evoptax.dsl.export.formats.optax.running import load
from evoptax.dsl.export.formats.optax.write import to_optax
from evoptax.dsl.inputs import INPUTS
from evoptax.dsl.numpy.stepping import run_numpy
from evoptax.dsl.primitives import PRIMITIVES
from evoptax.dsl.program import Program
from evoptax.dsl.syntax import format_program, parse
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_export_text import balanced

# What the language, the file, Optax, Python and a NamedTuple call something themselves.
AWKWARD = sorted(
    {*INPUTS, *_RESERVED, *HELPERS, "eval_w", "lr", "rule", "RuleState", "update", "s", "index"}
    | {"func", "float", "callable", "zip", "map", "match", "type", "_", "_x", "_fields", "_asdict"}
    | {"evaluated", "init", "i", "x", "leaves", "tree", "held", "O", "I", "self", "cls", "fields"}
)
# What may be assigned to; the others are refused by the language, which says so itself.
TARGETS = [name for name in AWKWARD if name not in PRIMITIVES and name != "eval_w"]
PARAMETERS = [name for name in TARGETS if name not in INPUTS]


def every_format(program: Program) -> None:
    """Reads back from text and JSON, is LaTeX, and traces as an Optax transformation."""
    assert parse(format_program(program)) == program
    assert from_json(to_json(program)) == program
    assert balanced(to_latex(program))
    module = load(to_optax(program))
    optimizer = module.rule()
    params = {"a": jnp.ones((2, 3)), "b": jnp.ones(2)}

    def step():
        state = optimizer.init(params)
        return optimizer.update(params, state, params, value=1.0)

    updates, _ = jax.eval_shape(step)
    assert jax.tree.map(jnp.shape, updates) == {"a": (2, 3), "b": (2,)}


@pytest.mark.parametrize("name", TARGETS)
def test_any_name_can_be_assigned(name: str) -> None:
    """Also that of an input which the rule does not take."""
    every_format(parse(f"def rule(g):\n    {name} = 2 * g\n    return 3 * {name}\n"))
    body = f"    {name} = 2\n    {name} = {name} * w\n    return {name}\n"
    every_format(parse(f"def rule(w, g):\n{body}"))


@pytest.mark.parametrize("name", PARAMETERS)
def test_any_name_can_be_a_parameter(name: str) -> None:
    every_format(parse(f"def rule(g, {name}=0):\n    {name} = {name} + g\n    return {name}\n"))
    every_format(parse(f"def rule(g, *, {name}=0.5):\n    return {name} * g\n"))
    every_format(parse(f"def rule(g, {name}=0):\n    {name} = 1 + {name}\n    return {name} * g\n"))


def test_all_of_them_at_once_mean_the_same() -> None:
    targets = [name for name in TARGETS if name != "g"]
    body = "".join(f"    {name} = {i} * g\n" for i, name in enumerate(targets, start=1))
    assigned = parse(f"def rule(g):\n{body}{total(targets)}")
    means_the_same(assigned)
    names = PARAMETERS
    state = ", ".join(f"{name}={i}" for i, name in enumerate(names))
    body = "".join(f"    {name} = {name} * 0.5 + {i} * g\n" for i, name in enumerate(names))
    held = parse(f"def rule(g, {state}):\n{body}{total(names)}")
    means_the_same(held)
    constants = ", ".join(f"{name}={i}" for i, name in enumerate(names, start=1))
    tuned = parse(f"def rule(g, *, {constants}):\n{total(names)}")
    means_the_same(tuned)


def means_the_same(program: Program) -> None:
    """Two steps of a vector as NumPy takes them. Not compiled: so many statements take long."""
    optimizer = load(to_optax(program)).rule()
    g = np.asarray([1.0, -2.0], np.float32)
    w, state = jnp.zeros(2), optimizer.init(jnp.zeros(2))
    for expected, _ in run_numpy(program, [np.zeros(2)], [[g]] * 2, dtype=np.float32):
        updates, state = optimizer.update(jnp.asarray(g), state, w)
        w = optax.apply_updates(w, updates)
        np.testing.assert_allclose(w, expected[0], rtol=1e-5)


def total(names: list[str]) -> str:
    """Statements that return the sum."""
    lines = [f"    total = total + {name}\n" for name in names[1:]]
    return f"    total = g + {names[0]}\n{''.join(lines)}    return total\n"


@pytest.mark.parametrize("name", [name for name in INPUTS if name != "g"])
def test_the_name_of_an_input_that_is_not_taken(name: str) -> None:
    text = f"""
def rule(g, *, lr=0.1):
    {name} = norm(g)
    u = {name} * g
    {name} = global_norm(u)
    return lr * u / {name}
"""
    check_export(parse(text), to_optax(parse(text)), "optax")


def test_an_assigned_name_is_not_taken_for_the_weights_in_latex() -> None:
    text = to_latex(parse("def rule(g):\n    w = 2 * g\n    t = 3 * w\n    return t\n"))
    assert "w_{t-1}' &= 2 \\, g_t" in text and "w_t &= w_{t-1} - t'" in text


NAMES = st.one_of(
    st.sampled_from(AWKWARD),
    st.sampled_from([*keyword.softkwlist, *dir(builtins)]),
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True),
)


@settings(derandomize=True, max_examples=20, deadline=None)
@given(st.lists(NAMES, min_size=5, max_size=5, unique=True))
def test_random_names(names: list[str]) -> None:
    state, weight, constant, value, number = names
    text = f"""
def rule(w, g, {state}=0, {weight}=w, *, {constant}=0.5):
    {value} = lerp(g, {state}, {constant})
    {number} = global_norm({value})
    {state} = {value} / {number}
    {weight} = {weight} - {state}
    return {state} + {value} * {weight}
"""
    try:
        program = parse(text)
    except ProgramError:
        assume(False)
    every_format(program)
