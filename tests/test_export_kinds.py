"""Exported Optax files of rules with rows, columns, matrices, games and linear systems."""

from __future__ import annotations

import functools
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from evoptax.dsl.errors import ProgramError
from evoptax.dsl.export.check import check_export
from evoptax.dsl.export.example import SHAPES, example_inputs
from evoptax.dsl.export.formats.json import from_json, to_json
from evoptax.dsl.export.formats.latex import to_latex
from evoptax.dsl.export.formats.optax.running import arguments, load
from evoptax.dsl.export.formats.optax.write import to_optax
from evoptax.dsl.inference import kinds_of
from evoptax.dsl.kinds import Kind, shape_of
from evoptax.dsl.program import Program
from evoptax.dsl.syntax import parse
from test_export_text import ADAMW, balanced

SOURCES = {
    "adafactor": """
def adafactor(w, g, t, r=0, c=0, *, lr=1e-2, decay=0.8, eps=1e-30, limit=1.0):
    b2 = 1 - t**-decay
    g2 = square(g) + eps
    r = lerp(row_mean(g2), r, b2)
    c = lerp(column_mean(g2), c, b2)
    v = r * c / column_mean(r)
    u = g / sqrt(v)
    return lr * u / maximum(1, norm(u) / sqrt(size(u)) / limit)
""",
    "muon": """
def muon(w, g, m=0, *, lr=0.02, beta=0.95):
    m = lerp(g, m, beta)
    u = lerp(g, m, beta)
    o = newton_schulz(u / (norm(u) + 1e-7)) * sqrt(maximum(1, rows(w) / columns(w)))
    return lr * where(ndim(w) >= 2, o, sign(u))
""",
    "clipped": """
def clipped(w, g, k=1, *, lr=0.1, p=0.9):
    k = lerp(quantile(abs(g), p), k, 0.9)
    return lr * clip(g, -k, k)
""",
    "counted": """
def counted(w, g, s=0, d=0, *, lr=0.1):
    d = ndim(w)
    n = global_sum(size(w)) / 2 + global_max(norm(g)) - size(w) % 3
    s = lerp(global_sum(square(g)) / n, s, 0.9)
    return lr * g / (sqrt(s) + global_max(abs(w)) + d)
""",
    "game": """
def game(w, g, role, old=0, *, lr=0.1):
    v = role * g
    u = 2 * v - old
    old = v
    role = 1.5 + role
    return lr * role * u / norm(u)
""",
    "sor": """
def sor(w, g, A, *, omega=0.8):
    return solve_lower(A + (1 / omega - 1) * diagonal(A), g)
""",
    "residual": """
def residual(w, g, A, *, lr=1.0):
    A = A / 2
    n = global_norm(matmul(A, g))
    return lr * matmul(A, g) / n
""",
    "shampoo": """
def shampoo(w, g, l=0, r=0, x=0, k=0, *, lr=0.1):
    l = l + matmul(g, transpose(g))
    r = r + matmul(transpose(g), g)
    x = lerp(transpose(g), x, 0.9)
    k = row_mean(column_mean(g)) + 0 * k
    u = matmul(matmul(l, g), r) + transpose(matmul(transpose(2 * g), diagonal(l))) * k
    return lr * u / norm(u) + 0.1 * transpose(x)
""",
    "balanced": """
def balanced(w, g, m=0, *, lr=0.1):
    m = lerp(g, m, 0.9)
    u = orthogonalize(m) + normalize_rows(g) + normalize_columns(g) - normalize(w)
    return lr * rescale(u, w)
""",
    "resting": """
def resting(w, g, b=3, r=1, c=0, a=0, x=0.5, l=0, *, lr=0.1):
    u = where(ndim(w) >= 2, r * g, g) + b * l + c * w
    b = row_mean(c)
    c = where(1 > 2, c + column_mean(w), 0.25)
    r = r * row_mean(square(g))
    r = 2
    l = l + norm(g)
    l = 7
    x = x + transpose(g)
    x = 1
    a = a + matmul(g, transpose(g))
    a = 2
    return lr * u
""",
}
NAMES = list(SOURCES)


@functools.cache
def program_of(name: str) -> Program:
    return parse(SOURCES[name])


def rule_of(name: str):
    """The exported function, with what it requires filled in."""
    rule = getattr(load(to_optax(program_of(name))), name)
    return functools.partial(rule, **arguments(program_of(name), example_inputs()))


def tree(dtype: str = "float32") -> dict[str, jax.Array]:
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), example_inputs().w)


@pytest.mark.parametrize("name", NAMES)
def test_checked_export(name: str) -> None:
    program = program_of(name)
    source = to_optax(program)
    assert check_export(program, source, "optax") < 1e-12
    assert all(len(line) <= 100 for line in source.splitlines() if not line.startswith("#"))


def test_a_rule_that_calls_a_rule() -> None:
    text = "def rule(w, g, t, z=0):\n    u = adamw(w, g, t)\n    z = z + u\n    return z\n"
    program = parse(text, {"adamw": parse(ADAMW)})
    assert check_export(program, to_optax(program), "optax") < 1e-12
    with pytest.raises(ProgramError, match=r"subtracted from w, but it is a transposed tensor"):
        parse("def rule(w, g):\n    return transpose(g)\n")


# The state.


@pytest.mark.parametrize("name", NAMES)
def test_state_has_the_shapes_of_its_kinds(name: str) -> None:
    """And keeps shapes and dtypes, in half precision too."""
    optimizer, params = rule_of(name)(), tree("bfloat16")
    start = jax.eval_shape(optimizer.init, params)
    updates, end = jax.eval_shape(optimizer.update, params, start, params)
    assert start == end
    assert jax.tree.all(jax.tree.map(lambda u, p: u.dtype == p.dtype, updates, params))
    for state, kind in kinds_of(program_of(name)).state.items():
        held = getattr(start, state)
        if kind is Kind.SCALAR:
            assert held.shape == ()
        else:
            # Only tensors shaped like their parameters stand in a tree like the parameters.
            assert isinstance(held, dict if kind is Kind.TENSOR else tuple)
            shapes = [x.shape for x in jax.tree.leaves(held)]
            assert shapes == [shape_of(kind, shape) for shape in SHAPES.values()]


def test_numbers_held() -> None:
    optimizer = rule_of("adafactor")()
    held = optimizer.init({"w": jnp.ones((40, 30))})
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(held)) == 40 + 30 + 1


def test_adafactor_is_the_factored_rms_of_optax() -> None:
    program = parse(SOURCES["adafactor"].replace("lr * u / maximum", "u / maximum"))
    ours = load(to_optax(program)).adafactor(limit=1e9)
    theirs = optax.scale_by_factored_rms(min_dim_size_to_factor=1)
    params = tree()["tall"]
    state, their_state = ours.init(params), theirs.init(params)
    our_update, their_update = jax.jit(ours.update), jax.jit(theirs.update)
    for i in range(3):
        g = params * (i + 1) - i
        updates, state = our_update(g, state, params)
        expected, their_state = their_update(g, their_state, params)
        np.testing.assert_allclose(-updates, expected, rtol=1e-5)


# What the user gives.


def test_roles() -> None:
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    rule = load(to_optax(program_of("game"))).game
    assert inspect.signature(rule).parameters["roles"].default is None
    ones = jax.tree.map(lambda _: 1, params)
    results = []
    for roles in (None, ones, {"a": 1, "b": -1}):
        for optimizer in (rule(roles=roles), optax.inject_hyperparams(rule)(roles=roles)):
            chain = optax.chain(optax.clip(1.0), optimizer)
            results.append(chain.update(params, chain.init(params), params)[0])
    for same in results[1:4]:
        assert jax.tree.all(jax.tree.map(jnp.array_equal, same, results[0]))
    for game in results[4:]:
        assert game["a"][0] < 0 < game["b"][0]
    masked = optax.masked(rule(), {"a": True, "b": False})
    masked.update(params, masked.init(params), params)


def test_linear_systems() -> None:
    rule = load(to_optax(program_of("sor"))).sor
    with pytest.raises(TypeError, match="'A'"):
        rule()
    A, b = jnp.asarray([[4.0, 1.0], [2.0, 5.0]]), jnp.asarray([1.0, 2.0])
    optimizer = rule(A=np.asarray(A, np.float32), omega=1.0)
    w = jnp.zeros(2)
    state = optimizer.init(w)
    for _ in range(20):
        updates, state = optimizer.update(A @ w - b, state, w)
        w = optax.apply_updates(w, updates)
    np.testing.assert_allclose(A @ w, b, rtol=1e-5)


# The text.


@pytest.mark.parametrize("name", NAMES)
def test_latex_and_json(name: str) -> None:
    assert from_json(to_json(program_of(name))) == program_of(name)
    assert balanced(to_latex(program_of(name)))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("transpose(transpose(g - w))", r"\left(\left(g_t - w_{t-1}\right)^{\top}\right)^{\top}"),
        ("transpose(transpose(g))", r"\left(g_t^{\top}\right)^{\top}"),
        (
            "matmul(matmul(A, g), matmul(transpose(g), g))",
            r"A \cdot g_t \cdot \left(g_t^{\top} \cdot g_t\right)",
        ),
        ("matmul(A, 2 * g)", r"A \cdot \left(2 \, g_t\right)"),
        ("m * matmul(A, g)", r"m_{t-1} \, \left(A \cdot g_t\right)"),
        ("m + matmul(A, g)", r"m_{t-1} + A \cdot g_t"),
        ("transpose(matmul(transpose(g), A))", r"\left(g_t^{\top} \cdot A\right)^{\top}"),
        (
            "square(solve_lower(diagonal(A), -g))",
            r"\left(\operatorname{tril}\left(\operatorname{diag}\left(A\right)\right)^{-1}"
            r" \left(-g_t\right)\right)^{2}",
        ),
        (
            "row_mean(g) * column_mean(g)",
            r"\operatorname{rowmean}\left(g_t\right) \, \operatorname{colmean}\left(g_t\right)",
        ),
        ("quantile(g, 1 - 0.1) ** 2", r"Q_{1 - 0.1}\left(g_t\right)^{2}"),
        (
            "g / global_sum(size(w))",
            r"\frac{g_t}{\sum_{\text{model}} \operatorname{size}\left(w_{t-1}\right)}",
        ),
        (
            "g * global_max(g + m)",
            r"g_t \, \left(\max_{\text{model}} \left(g_t + m_{t-1}\right)\right)",
        ),
        (
            "rescale(g + w, orthogonalize(w))",
            r"\operatorname{rescale}\left(g_t + w_{t-1}, \operatorname{orth}"
            r"\left(w_{t-1}\right)\right)",
        ),
        ("newton_schulz(role * g)", r"\operatorname{NS}_5\left(\mathrm{role} \, g_t\right)"),
    ],
)
def test_brackets_in_latex(result: str, expected: str) -> None:
    text = to_latex(parse(f"def rule(w, g, role, A, m=0):\n    return {result}\n"))
    bare = text.splitlines()[1].removeprefix("  w_t &= w_{t-1} - ")
    assert bare in (expected, rf"\left({expected}\right)")


def test_helpers_are_written_where_they_are_used() -> None:
    expected = {
        "adafactor": {"_row_shape", "_column_shape", "_row_mean", "_column_mean"},
        "muon": {"_newton_schulz", "_as_matrix", "_rows", "_columns"},
        "balanced": {
            *("_orthogonalize", "_normalize", "_newton_schulz", "_as_matrix", "_rescale"),
            *("_normalize_rows", "_row_mean", "_normalize_columns", "_column_mean"),
        },
        "clipped": {"_quantile"},
        "sor": {"_solve_lower", "_diagonal", "_as_matrix"},
    }
    common = {"_leaves", "_map_leaves", "_like", "_at_least_float32"}
    common |= {"_unrounded", "_in_state_dtype", "_per_leaf", "_refuse_complex"}
    for name, helpers in expected.items():
        module = load(to_optax(program_of(name)))
        private = {n for n in vars(module) if n.startswith("_") and not n.startswith("__")}
        assert private - common == helpers


def test_statements_are_mirrored() -> None:
    lines = {
        line.strip()
        for name in ("adafactor", "muon", "sor", "shampoo", "counted")
        for line in to_optax(program_of(name)).splitlines()
    }
    for line in (
        "r = (1 - b2) * _row_mean(g2) + b2 * r",
        "v = r * c / _column_mean(r)",
        "update = lr * jnp.where(w.ndim >= 2, o, jnp.sign(u))",
        "update = _solve_lower(A + (jnp.divide(1.0, omega) - 1) * _diagonal(A), g)",
        "l = l + _matmul(g, _as_matrix(g).T)",
        "w_size_sum = optax.tree.sum(w_size)",
    ):
        assert line in lines
