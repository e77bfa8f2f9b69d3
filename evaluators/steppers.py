"""The two ways to step: a program as data for the machine, or compiled into the loop.

They share nothing between the program and the loop but the table of primitives, so that each
confirms the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..dsl.arrays import Leaves
from ..dsl.fused import bind_jax
from ..dsl.kinds import Kind
from ..dsl.machine import machine
from ..dsl.machine.layout import Layout
from ..dsl.program import LEARNING_RATE, Program

Array = jax.Array


class Stepper(NamedTuple):
    """A rule as the training loop sees it; R replicates, N weights.

    init: w (R, N) -> carry, weights included.
    step: (carry, t, g (R, N), loss (R,)) -> carry.
    weights: carry -> (R, N). eval_w: carry -> where to evaluate, (R, N).
    """

    init: Callable[[Array], Any]
    step: Callable[[Any, Array, Array, Array], Any]
    weights: Callable[[Any], Array]
    eval_w: Callable[[Any], Array]


def machine_stepper(layout: Layout, tables: machine.Tables, schedule: Array) -> Stepper:
    """A program as the machine's tables.

    Args:
      layout: of the model, for as many replicates as are trained.
      tables: `Bytecode.arrays()`.
      schedule: from `machine.schedule`, shape (K, S_REGISTERS, R).
    """
    return Stepper(
        init=lambda w: machine.init(tables, layout, w),
        step=lambda state, t, g, loss: machine.step(
            tables, layout, state, schedule[t - 1], g, loss
        ),
        weights=lambda state: state.w,
        eval_w=lambda state: machine.evaluation_point(tables, layout, state),
    )


def fused_stepper(layout: Layout, program: Program, rates: Array, total: Array) -> Stepper:
    """A program compiled as it is.

    Args:
      layout: of the model.
      program: the rule.
      rates: learning rates before each step, shape (K, R).
      total: number of steps of the whole run.
    """
    parts = layout.pieces(Kind.TENSOR)
    rule = bind_jax(program)
    tunes = LEARNING_RATE in program.defaults

    def split(w: Array) -> Leaves:
        return Leaves(w[part].reshape(shape) for part, shape in parts)

    def join(leaves: Leaves) -> Array:
        return jnp.concatenate([jnp.ravel(x) for x in leaves])

    def init(w: Array) -> Any:
        return {"rule": rule.init(split(w)), "w": w, "eval_w": w}

    def step(carry: Any, t: Array, g: Array, loss: Array, rate: Array) -> Any:
        new_w, state, eval_w = rule.step(
            split(carry["w"]),
            split(g),
            carry["rule"],
            t=t,
            T=total,
            loss=loss,
            hyper={LEARNING_RATE: rate} if tunes else None,
        )
        return {"rule": state, "w": join(new_w), "eval_w": join(eval_w)}

    return Stepper(
        init=jax.vmap(init),
        step=lambda carry, t, g, loss: jax.vmap(step, in_axes=(0, None, 0, 0, 0))(
            carry, t, g, loss, rates[t - 1]
        ),
        weights=lambda carry: carry["w"],
        eval_w=lambda carry: carry["eval_w"],
    )
