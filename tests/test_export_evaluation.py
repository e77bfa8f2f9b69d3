"""`rule_eval_params` of exported files, wherever in an optimizer the rule stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from evoptax.dsl.export.formats.optax.running import load
from evoptax.dsl.export.formats.optax.write import to_optax
from evoptax.dsl.syntax import parse
from test_export_contracts import EVALUATED, PARAMS, module_of, rule_of

ALL = frozenset(PARAMS)
# By wrapper: the optimizer, and which weights the rule holds.
WRAPPERS: dict[str, tuple[Callable[[Any], Any], frozenset[str]]] = {
    "alone": (lambda rule: rule, ALL),
    "chain": (lambda rule: optax.chain(optax.clip(1.0), rule), ALL),
    "masked": (lambda rule: optax.masked(rule, {"w": True, "b": False}), frozenset("w")),
    "all masked": (lambda rule: optax.masked(rule, {"w": False, "b": False}), frozenset()),
    "partition": (
        lambda rule: optax.partition({"a": rule, "b": optax.sgd(0.1)}, {"w": "b", "b": "a"}),
        frozenset("b"),
    ),
    "two groups": (
        lambda rule: optax.partition({"a": rule, "b": rule}, {"w": "b", "b": "a"}),
        ALL,
    ),
    "MultiSteps": (lambda rule: optax.MultiSteps(rule, 1).gradient_transformation(), ALL),
    "apply_if_finite": (lambda rule: optax.apply_if_finite(rule, 2), ALL),
    "nested": (
        lambda rule: optax.chain(
            optax.clip(1.0),
            optax.apply_if_finite(
                optax.partition(
                    {"a": optax.masked(rule, {"w": True, "b": False}), "b": optax.adam(0.1)},
                    {"w": "a", "b": "b"},
                ),
                2,
            ),
        ),
        frozenset("w"),
    ),
}


# Rules that begin to average, or to move, after more steps than are taken here.
EARLY = {
    "swa_sgd": {"start": 1, "every": 3},
    "asgd": {"t0": 0.0},
    "schedule_free_radam": {"b2": 0.8},
}


def trained(optimizer: Any, steps: int = 4) -> tuple[Any, Any]:
    """Weights and state after some steps."""
    params, state = PARAMS, optimizer.init(PARAMS)
    for _ in range(steps):
        updates, state = optimizer.update(jax.tree.map(jnp.sin, params), state, params)
        params = optax.apply_updates(params, updates)
    return params, state


@pytest.mark.parametrize("name", EVALUATED)
def test_wherever_the_rule_stands(name: str) -> None:
    """The weights that it holds are evaluated as if it stood alone; the others stay."""
    evaluate = getattr(module_of(name), f"{name}_eval_params")

    def run() -> dict[str, Any]:
        found = {}
        for wrapper, (wrap, _) in WRAPPERS.items():
            params, state = trained(wrap(rule_of(name)(0.1, **EARLY.get(name, {}))), steps=8)
            found[wrapper] = params, evaluate(state, params)
        return found

    found = jax.jit(run)()
    alone = found["alone"][1]
    for wrapper, (_, held) in WRAPPERS.items():
        params, points = found[wrapper]
        for field in PARAMS:
            expected = alone[field] if field in held else params[field]
            np.testing.assert_allclose(points[field], expected, rtol=1e-6, err_msg=wrapper)
    # Otherwise this would compare the weights with themselves.
    moved = jax.tree.map(lambda x, y: float(jnp.abs(x - y).max()), *found["alone"])
    assert min(moved.values()) > 1e-4


def test_hyperparameters_are_those_that_the_rule_was_given() -> None:
    """Two groups with a beta of their own, one of them injected."""
    module = module_of("schedule_free_sgd")
    rule = module.schedule_free_sgd
    optimizer = optax.partition(
        {"one": rule(0.1, beta=0.5), "two": optax.inject_hyperparams(rule)(0.1, beta=0.8)},
        {"w": "one", "b": "two"},
    )
    params, state = trained(optimizer)
    points = module.schedule_free_sgd_eval_params(state, params)
    for field, beta in (("w", 0.5), ("b", 0.8)):
        alone, alone_state = trained(rule(0.1, beta=beta))
        expected = module.schedule_free_sgd_eval_params(alone_state, alone)[field]
        np.testing.assert_allclose(points[field], expected, rtol=1e-6)
    # And Optax's own, which is told by its state too.
    theirs = optax.contrib.schedule_free(optax.sgd(0.1), 0.1, b1=0.5)
    their_params, their_state = trained(theirs)
    expected = optax.contrib.schedule_free_eval_params(their_state, their_params)
    np.testing.assert_allclose(points["w"], expected["w"], rtol=1e-6)


def test_half_precision() -> None:
    """The point has the dtype of the weights, also where the state is kept in float32."""
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), PARAMS)
    for name in EVALUATED:
        state = rule_of(name)(0.1).init(params)
        found = getattr(module_of(name), f"{name}_eval_params")(state, params)
        for field, x in found.items():
            assert x.dtype == jnp.bfloat16
            np.testing.assert_allclose(x.astype(float), params[field].astype(float), atol=0.02)


def test_what_cannot_be_evaluated_is_refused() -> None:
    module = module_of("schedule_free_sgd")
    rule, evaluate = module.schedule_free_sgd, module.schedule_free_sgd_eval_params
    with pytest.raises(ValueError, match=r"at least one ScheduleFreeSgdState .*, found 0"):
        evaluate(optax.adam(0.1).init(PARAMS), PARAMS)
    twice = optax.chain(rule(0.1), optax.masked(rule(0.1), {"w": True, "b": False}))
    with pytest.raises(ValueError, match=r"one ScheduleFreeSgdState for params\['w'\], found two"):
        evaluate(twice.init(PARAMS), PARAMS)


@pytest.mark.parametrize("state", ["s", "state", "params", "evaluated", "value", "beta_", "count"])
def test_names_of_states(state: str) -> None:
    """The field of the state is found under whatever name it got."""
    text = f"""
def rule(w, g, {state}=w, *, lr=0.1, node=0.5):
    {state} = {state} - lr * g
    y = lerp(w, {state}, node)
    eval_w = 2 * y - node * {state}
    return w - y
"""
    module = load(to_optax(parse(text)))
    optimizer = module.rule(node=0.25)
    params, state_ = trained(optimizer)
    field = state_._fields[1]  # after the count of steps
    expected = 2 * params["w"] - 0.25 * getattr(state_, field)["w"]
    np.testing.assert_allclose(module.rule_eval_params(state_, params)["w"], expected, rtol=1e-6)


def test_a_point_that_follows_from_the_weights_alone_is_kept() -> None:
    """No state would tell which weights the rule holds."""
    text = "def rule(w, g, *, lr=0.1):\n    y = w - lr * g\n    eval_w = 2 * y\n    return w - y\n"
    module = load(to_optax(parse(text)))
    params, state = trained(optax.masked(module.rule(), {"w": True, "b": False}))
    found = module.rule_eval_params(state, params)
    np.testing.assert_allclose(found["w"], 2 * params["w"], rtol=1e-6)
    assert found["b"] is params["b"]
