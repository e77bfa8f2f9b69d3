"""The machine: programs as data inside one compiled function.

A training step hands the bytecode's tables to `step`; `lax.switch` picks each operation while
the compiled code stays the same, so a new candidate costs no compilation. Four facts decide its
shape, each measured (docs/performance.md):

- The program is shared by all replicates (learning rates × seeds), so that the switch stays a real
  branch. Replicates are rows of the registers, not a `vmap`.
- The whole memory goes into the switch and each branch indexes it; gathering operands outside, or
  writing registers inside the branch, costs up to three times as much.
- Elementwise operations run block by block, all of a segment for one block before the next, so
  that what they hand on stays in the cache.
- Scalars that depend on the step alone are computed for all steps at once, before the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..kinds import Kind
from ..primitive import Scope
from ..primitives import PRIMITIVES
from . import operations as ops
from .layout import Layout
from .stacks import Stack

Array = jax.Array
Tables = Mapping[str, Any]  # Bytecode.arrays()
Oracles = Mapping[str, Callable[..., Array]]
_NO_ORACLES: Oracles = MappingProxyType({})


@dataclass(frozen=True)
class MachineState:
    """What a rule carries from step to step, weights included; R replicates.

    Attributes:
      s: the scalar states, shape (MAX_S_STATES, R).
      v: the memory, shape (memory_rows, width): kept registers of R rows each, in the order of
        `operations`, then the temporaries of one block.
      w: the weights once more, shape (R, N). Were they read out of memory where the gradient is
        computed, XLA would copy all of memory before the gradient is written there.
    """

    s: Array
    v: Array
    w: Array


jax.tree_util.register_dataclass(MachineState, data_fields=["s", "v", "w"], meta_fields=[])


def init(tables: Tables, layout: Layout, w: Array) -> MachineState:
    """The state before the first step.

    Args:
      tables: `Bytecode.arrays()`.
      layout: of the model.
      w: initial weights, shape (R, N).
    """
    dtype = w.dtype
    shape = (ops.MAX_S_STATES, layout.replicates)
    s = jnp.broadcast_to(jnp.asarray(tables["s_init"], dtype)[:, None], shape)
    start = jnp.asarray(tables["v_init"], dtype)[:, None, None]
    from_w = jnp.asarray(tables["v_from_w"])[:, None, None] != 0
    padded = layout.padded(w)
    states = jnp.where(from_w, padded, start).reshape(-1, layout.width)
    v = jnp.zeros((layout.memory_rows, layout.width), dtype)
    v = _put(v, layout, ops.V_WEIGHT, padded)
    return MachineState(s, _put(v, layout, ops.V_STATE, states), w)


@partial(jax.jit, static_argnames="steps")
def schedule(tables: Tables, learning_rate: Array, total_steps: Array, *, steps: int) -> Array:
    """Bank S before each of the first steps, without what depends on losses or states.

    Args:
      tables: `Bytecode.arrays()`; the constants may have a row for each replicate.
      learning_rate: one per replicate, shape (R,), or per step too, (K, R); its dtype is that of
        the bank.
      total_steps: what programs read as T.
      steps: K; each number compiles anew (once for all models).

    Returns:
      Shape (K, S_REGISTERS, R).
    """
    dtype = learning_rate.dtype
    replicates = learning_rate.shape[-1]
    s = jnp.zeros((ops.S_REGISTERS, steps, replicates), dtype)
    s = s.at[ops.S_STEP].set(jnp.arange(1, steps + 1, dtype=dtype)[:, None])
    s = s.at[ops.S_TOTAL].set(jnp.asarray(total_steps, dtype)).at[ops.S_RATE].set(learning_rate)
    constants = jnp.asarray(tables["constants"], dtype)
    constants = jnp.broadcast_to(constants, (replicates, ops.MAX_CONSTANTS))
    s = s.at[ops.S_CONSTANT : ops.S_TEMPORARY].set(constants.T[:, None])
    return _scalars(tables["schedule"], tables["schedule_length"], s).swapaxes(0, 1)


def step(
    tables: Tables,
    layout: Layout,
    state: MachineState,
    s: Array,
    g: Array,
    loss: Array,
    oracles: Oracles = _NO_ORACLES,
) -> MachineState:
    """One step of the rule for all replicates.

    Args:
      tables: `Bytecode.arrays()`.
      layout: of the model.
      state: from `init` or the step before.
      s: of this step, from `schedule`; shape (S_REGISTERS, R).
      g: gradients, shape (R, N).
      loss: minibatch losses, shape (R,).
      oracles: by name, functions of weights or directions (R, N) on this step's minibatch, at
        `state.w`, and functions of nothing that draw noise or give the labels of tensors,
        (R, N); needed by the forms that have them.
    """
    s = s.at[ops.S_LOSS].set(loss.astype(s.dtype))
    s = s.at[ops.S_STATE : ops.S_CONSTANT].set(state.s)
    s = _scalars(tables["s_code"], tables["s_length"], s)
    v = _put(state.v, layout, ops.V_GRADIENT, g)
    wide = [_wide_branch(layout, name, letters, oracles) for name, letters in ops.WIDE[layout.form]]

    def segment(i: Array, v: Array) -> Array:
        start, middle, end = tables["segments"][i]
        v = _elementwise(tables["v_code"], layout, start, middle, s, v)

        def instruction(j: Array, v: Array) -> Array:
            opcode, destination, *operands = tables["v_code"][j]
            value = lax.switch(opcode, wide, v, s, operands)
            return _put(v, layout, destination, value)

        return lax.fori_loop(middle, end, instruction, v)

    v = lax.fori_loop(0, tables["segments_length"], segment, v)
    w = _kept(layout, v, ops.V_WEIGHT)[:, : layout.weights]
    return MachineState(s[tables["s_next"]], v, w)


def evaluation_point(tables: Tables, layout: Layout, state: MachineState) -> Array:
    """Where the model is to be evaluated after a step: eval_w, or w; shape (R, N)."""
    return _kept(layout, state.v, tables["eval_w"])[:, : layout.weights]


def _define(name: str, namespace: Any = jnp) -> Callable[..., Array]:
    """A primitive over JAX's arrays."""
    define = PRIMITIVES[name].define
    assert define is not None  # derived primitives were expanded
    return partial(define, namespace)


def _first(layout: Layout, register: Any) -> tuple[Any, Any]:
    """Where a kept register begins in memory."""
    row = (register - ops.V_WEIGHT) * layout.replicates
    return row, 0 if isinstance(row, int) else jnp.zeros_like(row)


def _kept(layout: Layout, v: Array, register: Any) -> Array:
    """A kept register, shape (R, width)."""
    size = (layout.replicates, layout.width)
    return lax.dynamic_slice(v, _first(layout, register), size)


def _put(v: Array, layout: Layout, register: Any, rows: Array) -> Array:
    """Memory with rows of numbers at the start of a kept register."""
    return lax.dynamic_update_slice(v, rows, _first(layout, register))


def _scalars(code: Array, length: Array, s: Array) -> Array:
    """Runs scalar code over a bank, shape (S_REGISTERS, …)."""

    def instruction(i: Array, s: Array) -> Array:
        opcode, destination, *operands = code[i]
        return s.at[destination].set(lax.switch(opcode, _S_BRANCHES, s, operands))

    return lax.fori_loop(0, length, instruction, s)


def _s_branch(name: str, arity: int) -> Callable[..., Array]:
    def branch(s: Array, operands: list[Array]) -> Array:
        return _define(name)(*(s[i] for i in operands[:arity]))

    return branch


_S_BRANCHES = [_s_branch(name, len(letters)) for name, letters in ops.S_OPERATIONS]


# --- elementwise operations ------------------------------------------------------------------


def _elementwise(
    code: Array, layout: Layout, start: Array, end: Array, s: Array, v: Array
) -> Array:
    """Runs elementwise code on memory, all of it for one block after the other."""
    # Memory as one row of numbers: a register lies at `base + stride * block`. A temporary has
    # one block, at the end of memory, and stride 0.
    registers = code[:, 1:]
    temporary = registers < ops.V_WEIGHT
    whole = layout.replicates * layout.width
    base = jnp.where(
        temporary,
        ops.V_KEPT * whole + registers * layout.block,
        (registers - ops.V_WEIGHT) * whole,
    )
    stride = jnp.where(temporary, 0, layout.block)
    branches = [_elementwise_branch(layout, found) for found in ops.ELEMENTWISE]

    def block(k: Array, v: Array) -> Array:
        k = k.astype(jnp.int32)  # in 64-bit mode too, as the tables

        def instruction(i: Array, v: Array) -> Array:
            row = code[i]
            at = base[i] + stride[i] * k
            value = lax.switch(row[0], branches, v, s, row, at, k)
            return lax.dynamic_update_slice(v, value, (at[0],))

        return lax.fori_loop(start, end, instruction, v)

    return lax.fori_loop(0, layout.blocks, block, v.reshape(-1)).reshape(v.shape)


def _elementwise_branch(layout: Layout, found: ops.Pattern) -> Callable[..., Array]:
    shape = (layout.together, layout.block // layout.together)

    def branch(v: Array, s: Array, row: Array, at: Array, k: Array) -> Array:
        def operands() -> Iterator[Array]:
            for i, letter in enumerate(ops.letters(found), 1):
                if letter == "V":
                    yield lax.dynamic_slice(v, (at[i],), (layout.block,)).reshape(shape)
                else:
                    scalar = lax.dynamic_slice(
                        s, (row[i + 1], layout.first_replicate(k)), (1, layout.together)
                    )
                    yield scalar.reshape(-1, 1)

        value = _evaluated(found, operands())
        return jnp.broadcast_to(value, shape).reshape(-1)

    return branch


def _evaluated(found: ops.Pattern, operands: Iterator[Array]) -> Array:
    if isinstance(found, str):
        return next(operands)
    name, *args = found
    return _define(str(name))(*[_evaluated(arg, operands) for arg in args])


# --- wide operations -------------------------------------------------------------------------

_KINDS = {letter: kind for kind, letter in ops.KIND_LETTERS.items()}
_SPREAD = {name: kind for kind, name in ops.SPREADS.items()}


def _wide_branch(layout: Layout, name: str, letters: str, oracles: Oracles) -> Callable[..., Array]:
    """One operation on whole registers: reads its operands from registers, gives (R, width)."""

    def one_each(register: Array) -> Array:
        """A number per tensor (R, count), from a register that holds it broadcast."""
        return register[:, layout.starts(Kind.TENSOR)]

    def branch(v: Array, s: Array, operands: list[Array]) -> Array:
        args = [
            s[i] if letter == "S" else _kept(layout, v, i)
            for letter, i in zip(letters, operands, strict=False)
        ]
        if name in ops.FETCHED or (name in PRIMITIVES and PRIMITIVES[name].scope is Scope.LOSS):
            answer = oracles[name](*(x[:, : layout.weights] for x in args))
            if answer.ndim == 2:
                return layout.padded(answer)
            return jnp.broadcast_to(answer[:, None], (layout.replicates, layout.width))
        if name in _SPREAD or PRIMITIVES[name].scope is Scope.PER_TENSOR:
            return _per_tensor(layout, name, letters, args)
        # A reduction over the model sees all weights, or one number per tensor.
        seen = [
            one_each(x) if letter == "L" else x[:, : layout.weights]
            for x, letter in zip(args, letters, strict=True)
        ]
        value = jax.vmap(_define(name))(*seen)
        return jnp.broadcast_to(value[:, None], (layout.replicates, layout.width))

    return branch


def _per_tensor(layout: Layout, name: str, letters: str, args: list[Array]) -> Array:
    """A register of what an operation gives for each tensor in some registers."""
    kinds = [_KINDS.get(letter, Kind.LAYER) for letter in letters]
    kind = _SPREAD[name] if name in _SPREAD else PRIMITIVES[name].kind(kinds)

    def number_of(register: Array, starts: dict[str, Array]) -> Array:
        return lax.dynamic_slice_in_dim(register, starts["TENSOR"], 1, axis=1)[:, 0]

    # What has fewer numbers than a tensor is held broadcast.
    held = kind if kind in _KINDS.values() else Kind.TENSOR
    register = jnp.zeros((layout.replicates, layout.width + layout.slack), args[0].dtype)
    for stack in layout.stacks:

        def one(register: Array, row: Any, stack: Stack = stack) -> Array:
            extents, starts, number = row["extents"], row["starts"], row["number"]
            if name in _SPREAD:
                value = number_of(args[0], starts)
            elif name in ops.OF_SHAPE:
                value = jnp.broadcast_to(number, layout.replicates)
            else:
                tensors = [
                    number_of(x, starts)
                    if k is Kind.LAYER
                    else stack.read(x, k, extents, starts[k.name], identity=name == "solve_lower")
                    for x, k in zip(args, kinds, strict=True)
                ]
                namespace = stack.namespace(kinds[0], extents)
                value = jax.vmap(_define(name, namespace))(*tensors)
            if kind is Kind.TENSOR:  # a product of a vector or a kernel comes as a matrix
                value = value.reshape(-1, *stack.shape)
            return stack.write(register, held, extents, starts[held.name], value)

        rows = {
            "extents": np.array(stack.shapes, np.int32),
            "starts": {k.name: layout.starts(k)[np.array(stack.members)] for k in _KINDS.values()},
            "number": np.array([_of_shape(name, shape) for shape in stack.shapes], register.dtype),
        }
        register = stack.fold(one, register, rows)
    return register[:, : layout.width]


def _of_shape(name: str, shape: tuple[int, ...]) -> float:
    """What an operation gives that sees a tensor's shape alone; 0 for others."""
    define = PRIMITIVES[name].define if name in ops.OF_SHAPE else None
    return float(define(np, np.broadcast_to(np.float64(0), shape))) if define else 0.0
