"""Every known rule, exported, against everything that Optax's own transformations do.

One table of rules by contracts. What can be seen in shapes and dtypes is only traced.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from evoptax.dsl.export.formats.optax.linearity import is_linear
from evoptax.dsl.export.formats.optax.running import load
from evoptax.dsl.export.formats.optax.write import to_optax
from evoptax.dsl.inference import kinds_of
from evoptax.dsl.kinds import Kind, shape_of
from evoptax.dsl.members import is_of_members
from evoptax.dsl.oracles import oracles_of
from evoptax.known_algorithms.catalogue import KNOWN
from parity_runs import called

# What several members run has a test of its own, in `test_members`.
RULES = [name for name in KNOWN if not is_of_members(KNOWN[name].program)]
# A solver needs a matrix for each parameter, in a tree that a wrapper cannot cut.
TRAINABLE = [name for name in RULES if "A" not in KNOWN[name].program.inputs]
EVALUATED = [name for name in RULES if KNOWN[name].program.evaluates_elsewhere]
LINEAR = [name for name in RULES if is_linear(KNOWN[name].program)]
PARAMS = {"w": jnp.linspace(-1.0, 1.0, 12).reshape(4, 3), "b": jnp.asarray([0.5, -0.25, 2.0])}


def objective(params: Any) -> jax.Array:
    """A loss of any tree of weights, whichever of them are there."""
    leaves = jax.tree.leaves(params)
    return sum((jnp.sum(jnp.cos(jnp.asarray(x, float))) for x in leaves), jnp.zeros([]))


# What rules that read the loss, or ask about it elsewhere, are given; the others ignore it.
GIVEN: dict[str, Any] = {"value": 1.0, "obj_fn": objective}


@functools.cache
def module_of(name: str) -> types.ModuleType:
    return load(to_optax(KNOWN[name].program))


def rule_of(name: str) -> Callable[..., optax.GradientTransformationExtraArgs]:
    rule = getattr(module_of(name), name)
    known_ahead = "T" in KNOWN[name].program.inputs
    return functools.partial(rule, total_steps=100) if known_ahead else rule


def matrices(params: Any) -> Any:
    """A of a linear system for each parameter."""

    def matrix(p: Any) -> jax.Array:
        return 2 * jnp.eye(shape_of(Kind.ROW_GRAM, np.shape(p))[0])

    return jax.tree.map(matrix, params)


def made(name: str, params: Any, *args: Any, **kwargs: Any) -> Any:
    """The optimizer of a rule, for parameters that are a plain tree of arrays."""
    given = {"A": matrices(params)} if name not in TRAINABLE else {}
    return rule_of(name)(*args, **given, **kwargs)


def keeps_its_form(optimizer: optax.GradientTransformationExtraArgs, params: Any) -> None:
    """A step compiles once: updates are like the parameters, and so is the state like the last."""

    def twice() -> tuple[Any, ...]:
        gradients = jax.tree.map(jnp.ones_like, params)
        first = optimizer.init(params)
        updates, second = optimizer.update(gradients, first, params, **GIVEN)
        _, third = optimizer.update(updates, second, params, **GIVEN)
        return updates, first, second, third

    # Shapes, dtypes, and whether a dtype is weak.
    updates, first, second, third = jax.eval_shape(twice)
    assert jax.tree.structure(updates) == jax.tree.structure(params)
    pairs = zip(jax.tree.leaves(updates), jax.tree.leaves(params), strict=True)
    for update, parameter in pairs:
        like = jnp.asarray(parameter)
        assert (update.shape, update.dtype) == (like.shape, like.dtype)
    assert second == third
    assert jax.tree.structure(first) == jax.tree.structure(second)
    assert jax.tree.leaves(first) == jax.tree.leaves(second)


# Wrappers.

WRAPPERS: dict[str, Callable[[Any], optax.GradientTransformationExtraArgs]] = {
    "chain": lambda rule: optax.chain(optax.clip_by_global_norm(1.0), rule()),
    "schedule": lambda rule: rule(optax.warmup_cosine_decay_schedule(0.0, 0.1, 5, 10)),
    "inject_hyperparams": lambda rule: optax.inject_hyperparams(rule)(),
    "masked": lambda rule: optax.masked(rule(), {"w": True, "b": False}),
    "partition": lambda rule: optax.partition(
        {"one": rule(), "two": rule(0.5)}, {"w": "one", "b": "two"}
    ),
    "MultiSteps": lambda rule: optax.MultiSteps(rule(), 2).gradient_transformation(),
    "apply_if_finite": lambda rule: optax.apply_if_finite(rule(), 3),
    "alone": lambda rule: rule(),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", TRAINABLE)
def test_wrappers(name: str, wrapper: str) -> None:
    keeps_its_form(WRAPPERS[wrapper](rule_of(name)), PARAMS)


@pytest.mark.parametrize("name", RULES)
def test_tree_map_params(name: str) -> None:
    """What is shaped like the parameters is found; what is not is no parameter."""
    optimizer = made(name, PARAMS)
    state = optimizer.init(PARAMS)
    specs = {"w": "W", "b": "B"}
    found = optax.tree_map_params(
        optimizer, lambda _, spec: spec, state, specs, transform_non_params=lambda _: "no"
    )
    kinds = kinds_of(KNOWN[name].program).state
    for field, kind in kinds.items():
        assert getattr(found, field) == (specs if kind is Kind.TENSOR else "no")


# Parameters.


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Validating:
    """Insists on arrays of its shapes, whoever makes it."""

    w: Any
    b: Any

    def __post_init__(self) -> None:
        assert (self.w.shape, self.b.shape) == ((4, 3), (3,))


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Converting:
    """Makes arrays of what it is given."""

    w: Any
    b: Any

    def __post_init__(self) -> None:
        self.w, self.b = jnp.asarray(self.w), jnp.asarray(self.b)


@pytest.mark.parametrize("kind", [Validating, Converting])
@pytest.mark.parametrize("name", TRAINABLE)
def test_classes_that_check_or_convert(name: str, kind: type) -> None:
    params = kind(**PARAMS)
    optimizer = rule_of(name)()

    def step() -> list[Any]:
        state = optimizer.init(params)
        updates, state = optimizer.update(params, state, params, **GIVEN)
        assert type(updates) is kind
        if name in EVALUATED:
            assert type(getattr(module_of(name), f"{name}_eval_params")(state, updates)) is kind
        return jax.tree.leaves((updates, state))

    jax.eval_shape(step)


TREES: dict[str, Any] = {
    "array": PARAMS["w"],
    "nested": (PARAMS["b"], [PARAMS["w"], {"a": PARAMS["b"]}], None),
    "masked": {"a": optax.MaskedNode(), "b": PARAMS["b"]},
    "none": {"a": None, "b": PARAMS["w"]},
    "no leaves": {},
    "every number of axes": [jnp.ones((2,) * axes) for axes in range(5)],
    "floats": {"a": 1.5, "b": PARAMS["b"]},
    "empty": {"a": jnp.ones((0, 4)), "b": jnp.ones((4, 0)), "c": jnp.ones(0), "d": PARAMS["w"]},
    "only empty": {"a": jnp.ones((0, 4))},
    "float32, bfloat16": {"a": PARAMS["w"], "b": jnp.ones(3, jnp.bfloat16)},
}


@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize("name", RULES)
def test_trees(name: str, tree: str) -> None:
    keeps_its_form(made(name, TREES[tree]), TREES[tree])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
@pytest.mark.parametrize("name", RULES)
def test_dtypes(name: str, dtype: str) -> None:
    """Half precision is kept in float32, unless something else is asked for."""
    with jax.enable_x64(dtype == "float64"):
        params = jax.tree.map(lambda x: jnp.asarray(np.asarray(x), dtype), PARAMS)
        keeps_its_form(made(name, params), params)
        kinds = kinds_of(KNOWN[name].program).state.items()
        tensors = [field for field, kind in kinds if kind not in (Kind.SCALAR, Kind.LAYER)]
        choices = [(None, "float64" if dtype == "float64" else "float32")]
        choices += [("bfloat16", "bfloat16")] if tensors else []
        for choice, expected in choices:
            given = {} if choice is None else {"state_dtype": choice}
            optimizer = made(name, params, **given)
            keeps_its_form(optimizer, params)
            state = jax.eval_shape(optimizer.init, params)
            for field in tensors:
                assert {x.dtype for x in jax.tree.leaves(getattr(state, field))} == {
                    jnp.dtype(expected)
                }


# Numbers.


# A warm-up that rests at 0 for ten steps and a decay that ends there, as multiples of the default.
FRACTIONS = np.asarray([0.0] * 10 + [0.5, 1.0, 0.5, 0.0])


def train(name: str, params: Any, rates: Any, wrap: Any = lambda optimizer: optimizer) -> Any:
    """The weights and the points of evaluation after each step, and the state at the end."""
    optimizer = wrap(made(name, params, jnp.asarray(rates, float).__getitem__))

    def step(carry: tuple[Any, Any], _: Any) -> tuple[tuple[Any, Any], Any]:
        params, state = carry
        updates, state = optimizer.update(jax.tree.map(jnp.sin, params), state, params, **GIVEN)
        params = optax.apply_updates(params, updates)
        point = params
        if name in EVALUATED:
            point = getattr(module_of(name), f"{name}_eval_params")(state, params)
        return (params, state), (params, point)

    (_, state), trajectory = jax.lax.scan(step, (params, optimizer.init(params)), length=len(rates))
    return trajectory, state


@pytest.mark.parametrize("name", RULES)
def test_awkward_leaves_and_a_rate_of_0(name: str) -> None:
    """All stays finite, and empty leaves and Python numbers change nothing for the others."""
    rest = {f"axes{n}": jnp.full((2,) * n, 0.5, float) for n in range(5)}
    empty = {"empty": jnp.ones((0, 4)), "none": None, "hollow": jnp.ones((4, 0))}
    rates = FRACTIONS * KNOWN[name].program.defaults.get("lr", 1.0)
    with_empty, without = jax.jit(
        lambda: (train(name, empty | rest, rates), train(name, rest, rates))
    )()
    for leaf in jax.tree.leaves((with_empty, without)):
        assert np.isfinite(leaf).all()
    for trajectory, expected in zip(with_empty[0], without[0], strict=True):
        for field, x in expected.items():
            np.testing.assert_allclose(trajectory[field], x, rtol=1e-6, atol=1e-7)


# The gradient is the same twice: in directions that it lacks, SOAP scales its rounding.
@pytest.mark.parametrize("name", [name for name in TRAINABLE if name != "soap"])
def test_injected_hyperparameters_in_bfloat16(name: str) -> None:
    """They arrive rounded, b2 = 0.999 as 1, and are what they would be if they had not been."""
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), PARAMS)

    def step(optimizer: Any) -> Any:
        state = optimizer.init(params)
        found = []
        for _ in range(2):
            updates, state = optimizer.update(params, state, params, **GIVEN)
            found.append(jax.tree.map(lambda u: u.astype(float), updates))
        return found

    rule = rule_of(name)
    # A power of two is not rounded.
    rate = {"learning_rate": 0.125}
    injected, plain = jax.jit(
        lambda: (step(optax.inject_hyperparams(rule)(**rate)), step(rule(**rate)))
    )()
    for found, expected in zip(jax.tree.leaves(injected), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0.01, atol=1e-7)


@pytest.mark.parametrize("name", RULES)
def test_complex_weights(name: str) -> None:
    """A linear rule is what it is on both parts; any other says what to wrap it in."""
    params = {"w": PARAMS["w"] + 2j * jnp.sin(PARAMS["w"]), "b": PARAMS["b"] * (1 - 0.5j)}
    optimizer = made(name, params)
    if name not in LINEAR:
        with pytest.raises(ValueError, match=r"real weights .*`optax\.contrib\.split_real_and_"):
            optimizer.init(params)
    program = KNOWN[name].program
    if {"role", "A", "loss"} & {*program.inputs} or oracles_of(program):
        return  # one role, and one matrix, for both parts; Optax's wrapper hands on no loss

    def steps(optimizer: Any) -> list[Any]:
        w, state, found = params, optimizer.init(params), []
        for _ in range(2):
            updates, state = optimizer.update(jax.tree.map(jnp.conj, w), state, w)
            w = optax.apply_updates(w, updates)
            found.append(updates)
        return found

    wrapped = optax.contrib.split_real_and_imaginary(optimizer)
    jax.eval_shape(lambda: steps(wrapped))
    # Norms are those of both parts together.
    if name in LINEAR and not called(KNOWN[name].program) & {"norm", "global_norm"}:
        split = steps(wrapped)
        for found, expected in zip(
            jax.tree.leaves(steps(optimizer)), jax.tree.leaves(split), strict=True
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_complex_norms_are_those_of_optax() -> None:
    params = {"w": PARAMS["w"] * (3 + 4j)}
    ours = rule_of("global_norm_clipping")(1.0, C=1.0)
    theirs = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1.0))
    updates, _ = ours.update(params, ours.init(params), params)
    expected, _ = theirs.update(params, theirs.init(params), params)
    np.testing.assert_allclose(updates["w"], expected["w"], rtol=1e-5)


def test_averages_do_not_stall_in_bfloat16() -> None:
    """A second moment reaches what it averages; kept in bfloat16 it stops at a quarter."""
    params = jnp.ones(3, jnp.bfloat16)

    def moment(**given: Any) -> float:
        optimizer = rule_of("adam")(b2=0.999, **given)

        def step(state: Any, _: Any) -> tuple[Any, None]:
            return optimizer.update(params, state, params, **GIVEN)[1], None

        state, _ = jax.lax.scan(step, optimizer.init(params), length=3000)
        return float(state.v[0])

    assert moment() == pytest.approx(1 - 0.999**3000, rel=1e-4)
    assert moment(state_dtype="bfloat16") == 0.25


def test_injected_with_a_dtype_of_the_state() -> None:
    """Named as a string: a class would be called as a schedule."""
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), PARAMS)
    rule = optax.inject_hyperparams(rule_of("adamw"), hyperparam_dtype=jnp.float32)
    optimizer = rule(b1=optax.linear_schedule(0.8, 0.9, 5), state_dtype="bfloat16")
    keeps_its_form(optimizer, params)
    state = optimizer.init(params)
    assert state.inner_state.m["w"].dtype == jnp.bfloat16
    assert state.hyperparams["b2"] == jnp.float32(0.999)
