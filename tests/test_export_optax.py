"""Exported Optax files do what their programs do, and what Optax expects of a transformation."""

from __future__ import annotations

import functools
import inspect
import subprocess
import sys
import types

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from evoptax.dsl.errors import ProgramError
from evoptax.dsl.export.check import ExportError, check_export, export
from evoptax.dsl.export.formats.optax.names import rule_name
from evoptax.dsl.export.formats.optax.running import load
from evoptax.dsl.export.formats.optax.write import to_optax
from evoptax.dsl.numpy.stepping import run_numpy
from evoptax.dsl.program import Call, Name, Program, State, Statement
from evoptax.dsl.syntax import parse
from hypothesis import given, settings
from test_export_text import ADAMW, LION, SMOOTH, programs

SOURCES = {
    "adamw": ADAMW,
    "lion": LION,
    "sgd": "def sgd(w, g, *, lr=0.1):\n    return lr * g\n",
    "momentum": """
def momentum(w, g, m=0, *, lr=0.1, b1=0.9):
    m = b1 * m + g
    return lr * m
""",
    "lamb": '''
def lamb(w, g, t, m=0, v=0, r=1, *, lr=1e-2, b1=0.9, b2=0.999, eps=1e-6, wd=1e-2):
    """Like LAMB, with a smoothed trust ratio: one number per tensor in the state."""
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    u = m / (1 - b1**t) / (sqrt(v / (1 - b2**t)) + eps) + wd * w
    r = lerp(norm(w) / norm(u), r, 0.5)
    return lr * r * u
''',
    "clipped": '''
def clipped(w, g, m=0, *, lr=0.1, b1=0.9, limit=1):
    """Momentum of gradients clipped by their global norm."""
    g = clip_by_global_norm(g, limit)
    m = b1 * m + g
    return lr * m
''',
    "normalized": '''
def normalized(w, g, m=0, s=0, *, lr=0.1, b1=0.9):
    """Two passes: the norm of the momentum is a number of the whole model, smoothed."""
    m = lerp(g, m, b1)
    s = lerp(global_norm(m - 0.1 * w), s, b1)
    c = cosine_sim(g, m)
    return lr * (1 + c) * m / (s + 1e-8)
''',
    "schedule_free": '''
def schedule_free(w, g, t, z=w, x=w, *, lr=0.1, beta=0.9):
    """Schedule-Free SGD (Defazio et al. 2024); w is the point y of the paper."""
    z = z - lr * g
    x = lerp(x, z, 1 / t)
    eval_w = x
    return w - lerp(z, x, beta)
''',
    "averaged": """
def averaged(w, g, z=w, *, lr=0.1):
    z = z - lr * g
    eval_w = lerp(w, z, 0.5)
    return lr * g
""",
    "scalar_state": '''
def scalar_state(w, g, loss, c=0.5, n=0, *, lr=0.1):
    """A scalar of the loss in the state, and one of nothing."""
    n = n + 1
    c = lerp(loss, c, 0.9)
    return lr * g / (c + n)
''',
    "warm": "def warm(w, g, t, T, *, lr=0.1):\n    return lr * minimum(1, 4 * t / T) * g\n",
    "unscaled": "def unscaled(w, g, *, a=0.1):\n    return a * g\n",
    "constant": "def constant(w, g, *, lr=0.1):\n    return lr\n",
    "dead": """
def dead(w, g, m=0, v=w, c=2, *, lr=0.1, unused=3):
    u = m + g
    k = global_norm(u)
    z = k * g
    v = 3
    return lr * g
""",
    "shuffled": """
def shuffled(w, g, t, m=0, s=1, *, lr=0.1, b1=0.9):
    old = m
    m = lerp(g, m, b1)
    b1 = b1 / 2
    n = global_norm(m)
    s = s * b1
    m = m / n + b1 * old
    t = t + norm(g)
    s = s + n
    lr = lr * t
    g = sign(g)
    return lr * (m + old + g + s)
""",
    "careful": """
def careful(w, g, *, lr=0.1, a=0, b=-1):
    c = 1 / a
    d = b ** 0.5
    k = 2
    n = k ** -1
    e = (1 % 3) ** (2 - 5) + 7 / 3
    return where(c > 1, lr * n, d) * g + e * 0.1 * g
""",
    "lambda_": """
def lambda_(w, g, count=0, state=0, _x=1, *, lr=0.1, jnp=0.9, optax=2, params=3, float=4, value=5):
    count = jnp * count + g
    updates = state * optax + params * float * value
    state = state + 1
    _x = _x + g
    update = updates + _x
    learning_rate = lr
    prepare_leaf = global_norm(count)
    return learning_rate * (count + update) / prepare_leaf
""",
}
NAMES = list(SOURCES)
# Between them: one pass and several, states of every kind, results of every kind.
FEW = ["adamw", "normalized", "schedule_free", "scalar_state", "constant"]
SHAPES = {"bias": (5,), "kernel": (2, 2, 3, 2)}


@functools.cache
def program_of(name: str) -> Program:
    return parse(SOURCES[name])


@functools.cache
def module_of(name: str) -> types.ModuleType:
    return load(to_optax(program_of(name)))


def rule_of(name: str):
    """The exported function, with what it requires filled in."""
    rule = getattr(module_of(name), rule_name(program_of(name)))
    return functools.partial(rule, total_steps=20) if name == "warm" else rule


def tree(seed: int, dtype=np.float32) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in SHAPES.items()}


def spec(values) -> list[tuple]:
    """Structure, shapes and dtypes."""
    leaves, structure = jax.tree.flatten(values)
    assert all(isinstance(leaf, jax.Array) for leaf in leaves)
    return [structure, *((leaf.shape, leaf.dtype) for leaf in leaves)]


# The same numbers as the interpreter.


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_numpy(name: str) -> None:
    program = program_of(name)
    params, gradients = tree(0, np.float64), [tree(i, np.float64) for i in range(1, 21)]
    given = [list(g.values()) for g in gradients]
    expected = run_numpy(program, list(params.values()), given, loss=0.0)
    with jax.enable_x64(True):
        optimizer = rule_of(name)()
        params = jax.tree.map(jnp.asarray, params)
        state = optimizer.init(params)
        update = jax.jit(optimizer.update)
        for g, (w, eval_w) in zip(gradients, expected, strict=True):
            updates, state = update(g, state, params, value=0.0)
            params = optax.apply_updates(params, updates)
            np.testing.assert_allclose(
                np.concatenate([np.ravel(x) for x in params.values()]),
                np.concatenate([np.ravel(x) for x in w]),
                rtol=1e-12,
                atol=1e-12,
            )
            if program.evaluates_elsewhere:
                found = getattr(module_of(name), f"{name}_eval_params")(state, params)
                for x, y in zip(found.values(), eval_w, strict=True):
                    np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", FEW)
def test_checked_export(name: str) -> None:
    assert check_export(program_of(name), to_optax(program_of(name)), "optax") < 1e-12


def test_the_file_stands_alone(tmp_path) -> None:
    (tmp_path / "mine.py").write_text(export(program_of("adamw"), "optax"))
    code = (
        "import sys, jax.numpy as jnp, mine; p = jnp.ones(3); o = mine.adamw(0.1);"
        "print(o.update(p, o.init(p), p)[0]);"
        "assert not any(name.startswith('evoptax') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120)


def test_a_wrong_file_is_refused() -> None:
    program = program_of("lion")
    right = export(program, "optax")
    wrong = right.replace("m = (1 - b2) * g", "m = b2 * g")
    assert wrong != right
    with pytest.raises(ExportError, match=r"differs from its program by .* of tensor"):
        check_export(program, wrong, "optax")


def test_a_rule_that_diverges_is_exported() -> None:
    program = parse("def rule(w, g, *, lr=1):\n    return lr * (log(-w) + 1 / (g - g))\n")
    export(program, "optax")


@settings(derandomize=True, max_examples=15, deadline=None)
@given(programs(SMOOTH))
def test_random_programs(program: Program) -> None:
    export(program, "optax")


# What Optax expects.


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*((name, "bfloat16") for name in NAMES), ("adamw", "float16"), ("normalized", "float32")],
)
def test_dtypes_and_scan(name: str, dtype: str) -> None:
    params = jax.tree.map(lambda x: jnp.asarray(x, dtype), tree(0))
    optimizer = rule_of(name)()
    start = optimizer.init(params)
    for leaf in jax.tree.leaves(start):
        assert leaf.shape == () or leaf.dtype == jnp.float32

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(params, state, params, value=1.0)
        assert spec(updates) == spec(params)
        return (optax.apply_updates(params, updates), state), None

    (_, end), _ = jax.jit(lambda c: jax.lax.scan(step, c, length=2))((params, start))
    assert spec(end) == spec(start)


@pytest.mark.parametrize("name", FEW)
def test_pytrees(name: str) -> None:
    x = jnp.ones((2,))
    optimizer = rule_of(name)()
    trees = [x, jnp.ones(()), (x, [x, {"a": x}], None), {"a": optax.MaskedNode(), "b": x}, {}, ()]
    for params in trees:
        state = optimizer.init(params)
        updates, new_state = jax.jit(optimizer.update)(params, state, params, value=1.0)
        assert jax.tree.structure(updates) == jax.tree.structure(params)
        assert spec(new_state) == spec(state)


@pytest.mark.parametrize("name", FEW)
def test_wrappers_and_one_compilation(name: str) -> None:
    """Under chain, masked, multi_transform and inject_hyperparams, with a schedule."""
    params = jax.tree.map(jnp.asarray, tree(0))
    schedule = optax.cosine_decay_schedule(0.1, 10)
    labels = {"bias": "one", "kernel": "two"}
    rule = rule_of(name)
    optimizers = [
        optax.chain(optax.clip_by_global_norm(1.0), rule(schedule)),
        optax.masked(rule(jnp.asarray(0.1)), {"bias": False, "kernel": True}),
        optax.multi_transform({"one": rule(), "two": rule(0.1), "none": rule()}, labels),
        optax.inject_hyperparams(rule)(learning_rate=schedule),
    ]
    for optimizer in optimizers:
        state = optimizer.init(params)
        update = jax.jit(optimizer.update)
        w = params
        for _ in range(3):
            updates, state = update(params, state, w, value=1.0)
            w = optax.apply_updates(w, updates)
        assert update._cache_size() == 1


def test_the_schedule_is_called_from_0() -> None:
    optimizer = rule_of("sgd")(lambda count: 10.0**count)
    state = optimizer.init(jnp.ones(()))
    for expected in (-1.0, -10.0, -100.0):
        updates, state = optimizer.update(jnp.ones(()), state)
        assert updates == expected


def test_vmap_over_learning_rates() -> None:
    params = {"a": jnp.ones(3)}

    def one_step(learning_rate):
        optimizer = rule_of("lion")(learning_rate)
        return optimizer.update(params, optimizer.init(params), params)[0]

    rates = jnp.asarray([0.1, 0.2])
    updates = jax.vmap(one_step)(rates)
    np.testing.assert_allclose(updates["a"], -1.1 * rates[:, None] * jnp.ones(3), rtol=1e-6)


def test_adamw_is_optax_adamw() -> None:
    ours, theirs = rule_of("adamw")(1e-3), optax.adamw(1e-3, weight_decay=1e-2)
    params = tree(0)
    state, their_state = ours.init(params), theirs.init(params)
    our_update, their_update = jax.jit(ours.update), jax.jit(theirs.update)
    for i in range(5):
        g = tree(i)
        updates, state = our_update(g, state, params)
        expected, their_state = their_update(g, their_state, params)
        for name in params:
            np.testing.assert_allclose(updates[name], expected[name], rtol=2e-5)


def test_without_params() -> None:
    g = {"a": jnp.ones(3)}
    for name in ("momentum", "clipped", "scalar_state"):
        optimizer = rule_of(name)()
        updates, _ = optimizer.update(g, optimizer.init(g), value=1.0)
        assert updates["a"].shape == (3,)
    with pytest.raises(ValueError) as theirs:
        optax.contrib.madgrad(0.1).update(g, optax.contrib.madgrad(0.1).init(g))
    with pytest.raises(ValueError) as ours:
        rule_of("adamw")().update(g, rule_of("adamw")().init(g))
    assert str(ours.value) == str(theirs.value)


def test_what_is_missing_is_said() -> None:
    g = {"a": jnp.ones(3)}
    optimizer = rule_of("scalar_state")()
    with pytest.raises(ValueError, match=r"scalar_state reads the loss .* value=loss"):
        optimizer.update(g, optimizer.init(g), g)
    with pytest.raises(TypeError, match="total_steps"):
        module_of("warm").warm()
    with pytest.raises(ValueError, match=r"at least one AveragedState .* found 0"):
        module_of("averaged").averaged_eval_params(rule_of("sgd")().init(g), g)


def test_evaluation_point_inside_a_chain() -> None:
    # A parameter called z or eval_w must not be taken for the field of the state.
    params = {"z": jnp.ones(3), "eval_w": jnp.zeros(2)}
    optimizer = optax.chain(optax.clip(1.0), rule_of("averaged")())
    state = optimizer.init(params)
    found = module_of("averaged").averaged_eval_params(state, params)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, found, params))
    # Schedule-Free keeps it as x already: one copy of the model is enough.
    assert module_of("schedule_free").ScheduleFreeState._fields == ("count", "z", "x")


def test_training_a_model() -> None:
    """An equinox model, a chain, a cosine schedule: the loss falls and one program is compiled."""
    model = eqx.nn.MLP(4, "scalar", 16, 1, key=jax.random.key(0))
    params, static = eqx.partition(model, eqx.is_inexact_array)
    x = jax.random.normal(jax.random.key(1), (64, 4))
    y = jnp.sin(x[:, 0]) + x[:, 1] * x[:, 2]
    schedule = optax.cosine_decay_schedule(3e-2, 200)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), rule_of("lamb")(schedule))
    state, traces = optimizer.init(params), []

    def loss_of(params):
        return jnp.mean((jax.vmap(eqx.combine(params, static))(x) - y) ** 2)

    @jax.jit
    def step(params, state):
        traces.append(1)
        loss, gradients = jax.value_and_grad(loss_of)(params)
        updates, state = optimizer.update(gradients, state, params, value=loss)
        return optax.apply_updates(params, updates), state, loss

    losses = []
    for _ in range(200):
        params, state, loss = step(params, state)
        losses.append(float(loss))
    assert losses[-1] < 0.2 * losses[0]
    assert len(traces) == 1 and step._cache_size() == 1


# The text.


def test_signature() -> None:
    parameters = inspect.signature(module_of("adamw").adamw).parameters
    assert list(parameters) == ["learning_rate", "b1", "b2", "eps", "wd", "state_dtype"]
    assert [p.default for p in parameters.values()] == [1e-3, 0.9, 0.999, 1e-8, 1e-2, None]
    kinds = [p.kind for p in parameters.values()]
    assert kinds[0] is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert set(kinds[1:]) == {inspect.Parameter.KEYWORD_ONLY}
    # Without a learning rate of its own, a rule is scaled.
    assert (
        inspect.signature(module_of("unscaled").unscaled).parameters["learning_rate"].default == 1
    )
    params = {"a": jnp.ones(3)}
    optimizer = rule_of("unscaled")(2.0)
    updates, _ = optimizer.update(params, optimizer.init(params))
    np.testing.assert_allclose(updates["a"], -0.2)


def test_statements_are_mirrored() -> None:
    source = to_optax(program_of("adamw"))
    for line in (
        "m = (1 - b1) * g + b1 * m",
        "v = (1 - b2) * jnp.square(g) + b2 * v",
        "m_hat = m / (1 - b1**t)",
        "v_hat = v / (1 - b2**t)",
        "update = lr * (m_hat / (jnp.sqrt(v_hat) + eps) + wd * w)",
        "#     m_hat = m / (1 - b1**t)",
    ):
        assert line in [text.strip() for text in source.splitlines()]


@pytest.mark.parametrize("name", NAMES)
def test_lines_are_short_and_names_are_public(name: str) -> None:
    source = to_optax(program_of(name))
    # The program itself is quoted as it is.
    assert all(len(line) <= 100 for line in source.splitlines() if not line.startswith("#"))
    module = module_of(name)
    public = {n for n in vars(module) if not n.startswith("_")}
    rule = rule_name(program_of(name))
    imported = {"jax", "jnp", "optax", "Any", "NamedTuple"}
    assert rule in public
    state_class = rule_of(name)().init({}).__class__.__name__
    assert public - imported - {f"{rule}_eval_params"} == {rule, state_class}


@pytest.mark.parametrize(
    "doc",
    [
        '"""\nimport os\nraise SystemExit\n"""',
        'ends with a quote"',
        "ends with a backslash\\",
        '\\"""\nraise SystemExit\n"""',
        "carriage\rraise SystemExit\n\x0craise SystemExit",
        "null \x00 and \u2028raise SystemExit",
        "\N{RIGHT-TO-LEFT OVERRIDE} \\N{DIGIT ONE} {braces} %s",
        "# coding: utf-7",
        "\ud800",
    ],
)
def test_docstrings_cannot_break_out(doc: str) -> None:
    body = (Statement("u", Name("g")),)
    program = Program("rule", ("g",), (), (), body, Name("u"), doc)
    source = to_optax(program)
    source.encode()
    module = load(source)
    assert module.__doc__ is not None
    # A lone surrogate is shown as its escape.
    shown = doc.encode("utf-8", "backslashreplace").decode()
    assert module.__doc__.startswith(shown.strip().replace("\r\n", "\n"))
    check_export(program, source, "optax")


@pytest.mark.parametrize("name", ["float", "jnp", "callable", "update_fn", "_x", "_", "params"])
def test_awkward_rule_names(name: str) -> None:
    program = Program(name, ("g",), (), (), (), Name("g"))
    assert rule_name(program).isidentifier()
    export(program, "optax")


# Python takes the ligature for the letters fi.
@pytest.mark.parametrize("name", ["é", "ﬁ"])
def test_names_outside_ascii_are_refused_as_in_text(name: str) -> None:
    program = Program("rule", ("g",), (State(name, 0.0), State("fi", 1.0)), (), (), Name(name))
    with pytest.raises(ProgramError, match=f"'{name}' cannot be a name"):
        export(program, "optax")


def test_nested_lerps_stay_short() -> None:
    expr = Name("g")
    for _ in range(40):
        expr = Call("lerp", (Name("g"), Name("w"), expr))
    program = Program("rule", ("w", "g"), (), (), (), expr)
    assert len(to_optax(program)) < 20_000


def test_writing_needs_no_jax() -> None:
    code = (
        "import sys; from evoptax.dsl.export import check;"
        "from evoptax.dsl.export.formats import json, latex, optax;"
        "assert 'jax' not in sys.modules and 'optax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
