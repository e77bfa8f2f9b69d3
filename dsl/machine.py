"""The machine: programs as data inside one compiled function.

A training step hands the bytecode's tables to `step`; `lax.switch` picks each operation while
the compiled code stays the same, so a new candidate costs no compilation. Three facts decide its
shape, each measured (see benchmarks/throughput.py):

- The program is shared by all replicates (learning rates × seeds), so that the switch stays a real
  branch. Replicates are an explicit axis of the banks, not a `vmap`.
- The whole bank goes into the switch and each branch indexes it; gathering operands outside, or
  writing registers inside the branch, costs up to three times as much.
- The machine is compiled once per task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from .bytecode import (
    BROADCAST,
    MOVE,
    S_CONSTANT,
    S_OPERATIONS,
    S_REGISTERS,
    S_STATE,
    V_OPERATIONS,
    V_REGISTERS,
    V_STATE,
    V_TEMPORARY,
)
from .primitives import PRIMITIVES, Primitive, Scope

Array = jax.Array
Tables = Mapping[str, Any]  # Bytecode.arrays()
Segments = Sequence[tuple[int, int]]  # (start, size) of each parameter tensor in the flat weights


@dataclass(frozen=True)
class Banks:
    """Registers for R replicates of a model with N weights.

    Attributes:
      s: shape (S_REGISTERS, R). v: shape (V_REGISTERS, R, N).
    """

    s: Array
    v: Array


jax.tree_util.register_dataclass(Banks, data_fields=["s", "v"], meta_fields=[])


def init(tables: Tables, w: Array, learning_rate: Array, total_steps: Array | float) -> Banks:
    """The banks before the first step.

    Args:
      tables: `Bytecode.arrays()`.
      w: initial weights, shape (R, N).
      learning_rate: one per replicate, shape (R,).
      total_steps: what programs read as T.
    """
    dtype = w.dtype
    replicates, weights = w.shape
    s = jnp.zeros((S_REGISTERS, replicates), dtype)
    s = s.at[1].set(jnp.asarray(total_steps, dtype)).at[3].set(learning_rate.astype(dtype))
    s = s.at[S_STATE:S_CONSTANT].set(_column(tables["s_init"], dtype))
    count = tables["constants"].shape[0]
    s = s.at[S_CONSTANT : S_CONSTANT + count].set(_column(tables["constants"], dtype))
    v = jnp.zeros((V_REGISTERS, replicates, weights), dtype)
    start = _column(tables["v_init"], dtype)[..., None]
    from_w = _column(tables["v_from_w"], dtype)[..., None] != 0
    v = v.at[V_STATE:V_TEMPORARY].set(jnp.where(from_w, w, start))
    return Banks(s, v)


def _column(values: Any, dtype: Any) -> Array:
    return jnp.asarray(values, dtype)[:, None]


def step(
    tables: Tables, banks: Banks, segments: Segments, w: Array, g: Array, loss: Array, t: Array
) -> tuple[Banks, Array]:
    """One step of the rule for all replicates.

    Args:
      tables: `Bytecode.arrays()`.
      banks: from `init` or the step before.
      segments: where each parameter tensor lies in the flat weights.
      w, g: weights and gradients, shape (R, N).
      loss: minibatch losses, shape (R,).
      t: step, from 1.

    Returns:
      The banks and the new weights, shape (R, N).
    """
    s = banks.s.at[0].set(t.astype(banks.s.dtype)).at[2].set(loss.astype(banks.s.dtype))
    v = banks.v.at[0].set(w).at[1].set(g)

    def scalar_operation(i: Array, s: Array) -> Array:
        op, destination, a, b, c = tables["s_code"][i]
        return s.at[destination].set(lax.switch(op, _S_BRANCHES, s, a, b, c))

    s = lax.fori_loop(0, tables["s_length"], scalar_operation, s)
    branches = _v_branches(tuple(segments))

    def tensor_operation(i: Array, v: Array) -> Array:
        op, destination, a, b, c = tables["v_code"][i]
        return v.at[destination].set(lax.switch(op, branches, v, s, a, b, c))

    v = lax.fori_loop(0, tables["v_length"], tensor_operation, v)
    new_w = w - v[tables["result"]]
    s = s.at[S_STATE:S_CONSTANT].set(s[tables["s_next"]])
    return Banks(s, v), new_w


def evaluation_point(tables: Tables, banks: Banks, w: Array) -> Array:
    """Where the model is to be evaluated after a step: eval_w, or w; shape (R, N)."""
    return jnp.where(tables["eval_w"] >= 0, banks.v[tables["eval_w"]], w)


def _s_branch(primitive: Primitive) -> Callable[..., Array]:
    def branch(s: Array, a: Array, b: Array, c: Array) -> Array:
        assert primitive.define is not None
        return primitive.define(jnp, *(s[i] for i in (a, b, c)[: primitive.arity]))

    return branch


_S_BRANCHES = [_s_branch(PRIMITIVES[name]) for name, _ in S_OPERATIONS]


def _v_branches(segments: tuple[tuple[int, int], ...]) -> list[Callable[..., Array]]:
    return [_v_branch(name, banks, segments) for name, banks in V_OPERATIONS]


def _v_branch(
    name: str, signature: str, segments: tuple[tuple[int, int], ...]
) -> Callable[..., Array]:
    """The branch of one operation: reads its operands from the banks, gives shape (R, N)."""

    def operands(v: Array, s: Array, indices: tuple[Array, ...]) -> list[Array]:
        pairs = zip(signature, indices, strict=False)
        return [v[i] if bank == "V" else s[i][:, None] for bank, i in pairs]

    def branch(v: Array, s: Array, a: Array, b: Array, c: Array) -> Array:
        args = operands(v, s, (a, b, c))
        if name == MOVE:
            return args[0]
        if name == BROADCAST:
            return jnp.broadcast_to(args[0], v.shape[1:])
        primitive = PRIMITIVES[name]
        assert primitive.define is not None
        if primitive.scope is Scope.ELEMENTWISE:
            return primitive.define(jnp, *args)
        reduce = jax.vmap(lambda *xs: primitive.define(jnp, *xs))  # type: ignore[misc]
        if primitive.scope is Scope.MODEL:
            return jnp.broadcast_to(reduce(*args)[:, None], v.shape[1:])
        parts = []
        for start, size in segments:
            value = reduce(*(x[:, start : start + size] for x in args))
            parts.append(jnp.broadcast_to(value[:, None], (v.shape[1], size)))
        return jnp.concatenate(parts, axis=1)

    return branch
