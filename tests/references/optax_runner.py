"""Runs an Optax construction in float64 over a fixed gradient sequence.

Importing this module loads JAX. Each run switches 64-bit mode on for itself and back off after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .losses import noise
from .problems import losses
from .trajectories import Params, Trajectory

Run = Callable[[Any, Params, list[Params]], Trajectory]
"""``run(made, params, grads)``, where ``made`` is what ``OptaxReference.make`` returned."""


def _host(tree: Any) -> Params:
    return {name: np.asarray(x) for name, x in tree.items()}


def _device(tree: Params) -> dict[str, jax.Array]:
    return {name: jnp.asarray(x, dtype=jnp.float64) for name, x in tree.items()}


def run_plain(tx: optax.GradientTransformation, params: Params, grads: list[Params]) -> Trajectory:
    """``update`` then ``apply_updates``, once per gradient."""
    w = _device(params)
    state = tx.init(w)
    update = jax.jit(tx.update)
    out = []
    for g in grads:
        updates, state = update(_device(g), state, w)
        w = optax.apply_updates(w, updates)
        out.append(_host(w))
    return Trajectory(out)


def run_with_losses(
    tx: optax.GradientTransformationExtraArgs, params: Params, grads: list[Params]
) -> Trajectory:
    """As ``run_plain``, each update with a loss of ``problems.losses``."""
    w = _device(params)
    state = tx.init(w)
    update = jax.jit(lambda g, state, w, value: tx.update(g, state, w, value=value))
    out = []
    for g, loss in zip(grads, losses(len(grads)), strict=True):
        updates, state = update(_device(g), state, w, loss)
        w = optax.apply_updates(w, updates)
        out.append(_host(w))
    return Trajectory(out)


def run_lookahead(
    tx: optax.GradientTransformation, params: Params, grads: list[Params]
) -> Trajectory:
    """As ``run_plain`` over ``LookaheadParams``: fast weights, with the slow ones to evaluate."""
    w = optax.LookaheadParams.init_synced(_device(params))
    state = tx.init(w)
    update = jax.jit(tx.update)
    fast, slow = [], []
    for g in grads:
        updates, state = update(_device(g), state, w)
        w = optax.apply_updates(w, updates)
        fast.append(_host(w.fast))
        slow.append(_host(w.slow))
    return Trajectory(fast, slow)


def run_schedule_free(
    tx: optax.GradientTransformation, params: Params, grads: list[Params]
) -> Trajectory:
    """As ``run_plain``, with ``schedule_free_eval_params`` as the evaluation point."""
    w = _device(params)
    state = tx.init(w)
    update = jax.jit(tx.update)
    out, evals = [], []
    for g in grads:
        updates, state = update(_device(g), state, w)
        w = optax.apply_updates(w, updates)
        out.append(_host(w))
        evals.append(_host(optax.contrib.schedule_free_eval_params(state, w)))
    return Trajectory(out, evals)


@dataclass(frozen=True)
class OnSystem:
    """An Optax optimizer that is given the gradients ``a w - b``, whatever the sequence says."""

    inner: optax.GradientTransformation
    a: np.ndarray
    b: np.ndarray


def run_on_system(made: OnSystem, params: Params, grads: list[Params]) -> Trajectory:
    """As ``run_plain``, on the gradients of a quadratic."""
    w = _device(params)
    state = made.inner.init(w)
    update = jax.jit(made.inner.update)
    out = []
    for _ in grads:
        g = jax.tree.map(lambda x: made.a @ x - made.b, w)
        updates, state = update(g, state, w)
        w = optax.apply_updates(w, updates)
        out.append(_host(w))
    return Trajectory(out)


@dataclass(frozen=True)
class WithAverage:
    """An Optax optimizer, and by which share the average of its weights moves at each step."""

    inner: optax.GradientTransformation
    share: float


def run_with_average(made: WithAverage, params: Params, grads: list[Params]) -> Trajectory:
    """As ``run_plain``, with ``optax.incremental_update`` of the weights as evaluation point."""
    w = average = _device(params)
    state = made.inner.init(w)
    update = jax.jit(made.inner.update)
    out, evals = [], []
    for g in grads:
        updates, state = update(_device(g), state, w)
        w = optax.apply_updates(w, updates)
        average = optax.incremental_update(w, average, made.share)
        out.append(_host(w))
        evals.append(_host(average))
    return Trajectory(out, evals)


@dataclass(frozen=True)
class InnerOuter:
    """Two Optax optimizers: ``every`` inner steps, then one outer step on the distance walked."""

    inner: optax.GradientTransformation
    outer: optax.GradientTransformation
    every: int


def run_inner_outer(made: InnerOuter, params: Params, grads: list[Params]) -> Trajectory:
    """The outer gradient is (anchor - w after the inner steps), as DiLoCo defines it."""
    anchor = w = _device(params)
    inner_state, outer_state = made.inner.init(w), made.outer.init(w)
    out = []
    for step, g in enumerate(grads, 1):
        updates, inner_state = made.inner.update(_device(g), inner_state, w)
        w = optax.apply_updates(w, updates)
        if step % made.every == 0:
            walked = jax.tree.map(jnp.subtract, anchor, w)
            updates, outer_state = made.outer.update(walked, outer_state, anchor)
            anchor = w = optax.apply_updates(anchor, updates)
        out.append(_host(w))
    return Trajectory(out)


def run_asking(
    tx: optax.GradientTransformationExtraArgs, params: Params, grads: list[Params]
) -> Trajectory:
    """Each update may ask the loss of ``losses.Loss`` (``obj_fn``), its gradient (``grad_fn``), and
    is given the step's Rademacher vectors (``signs``)."""
    w = _device(params)
    state = tx.init(w)
    out = []
    for t, (g, value) in enumerate(zip(grads, losses(len(grads)), strict=True)):

        def loss(x: Any, w: Any = w, g: Any = g, value: float = value) -> jax.Array:
            d = jnp.concatenate([jnp.ravel(x[name] - w[name]) for name in g])
            places = jnp.arange(len(d))
            u = jnp.cos(1.0 + places) / np.sqrt(max(1, len(d) // 2))
            slope = jnp.concatenate([jnp.ravel(y) for y in g.values()])
            bent = (0.5 + 0.25 * (places % 5)) @ _bent(d) + _bent(u @ d)
            return value + slope @ d + bent

        asked = {
            "obj_fn": loss,
            "grad_fn": lambda x, _, loss=loss: jax.grad(loss)(x),
            "signs": _device(noise("rademacher", t, params)),
        }
        updates, state = tx.update(_device(g), state, w, **asked)
        w = optax.apply_updates(w, updates)
        out.append(_host(w))
    return Trajectory(out)


def _bent(d: jax.Array) -> jax.Array:
    return jnp.cos(0.5) - jnp.cos(d + 0.5) - d * jnp.sin(0.5)


@dataclass(frozen=True)
class OptaxReference:
    """One rule's Optax construction and how it is to be compared.

    Attributes:
        make: ``make(**hyper)`` returns what ``run`` takes, an Optax transformation as a rule.
        hyper: the hyperparameters of the comparison, under the NumPy reference's names.
        tolerance: the largest absolute difference that counts as agreement, in float64.
        tensors: the entries of ``problems.SHAPES`` on which the two define the same rule.
        note: what had to be minded for the two to be the same rule.
        run: how the construction is driven.
    """

    make: Callable[..., Any]
    hyper: dict[str, Any]
    tolerance: float = 1e-12
    tensors: tuple[str, ...] = ("tall", "wide", "vector", "kernel", "scalar")
    note: str = ""
    run: Run = field(default=run_plain)

    def trajectory(self, params: Params, grads: list[Params]) -> Trajectory:
        """The float64 trajectory over ``grads`` with the entry's own hyperparameters."""
        with jax.enable_x64(True):
            return self.run(self.make(**self.hyper), params, grads)
