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

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from . import operations as ops
from .primitives import PRIMITIVES, Primitive, Scope
from .shapes import Kind, shape_of

Array = jax.Array
Tables = Mapping[str, Any]  # Bytecode.arrays()


@dataclass(frozen=True)
class Layout:
    """How the tensors of a model lie in registers.

    Attributes:
      shapes: of the parameter tensors.
      full: whether for the full machine, whose registers are wide enough for the square matrices
        of every tensor; see `operations`.
    """

    shapes: tuple[tuple[int, ...], ...]
    full: bool = False

    @cached_property
    def weights(self) -> int:
        """N, the number of weights."""
        return sum(math.prod(shape) for shape in self.shapes)

    @cached_property
    def width(self) -> int:
        """Numbers in a V register for each replicate."""
        grams = (Kind.ROW_GRAM, Kind.COLUMN_GRAM) if self.full else ()
        return max(self.weights, *(sum(map(math.prod, self.shapes_of(k))) for k in grams), 0)

    def shapes_of(self, kind: Kind) -> list[tuple[int, ...]]:
        """The shapes of a value of some kind, for each tensor."""
        return [shape_of(kind, shape) for shape in self.shapes]

    def pieces(self, kind: Kind) -> list[tuple[slice, tuple[int, ...]]]:
        """Where each tensor of some kind lies among flat numbers, and its shape."""
        shapes = self.shapes_of(kind)
        ends = list(accumulate(math.prod(shape) for shape in shapes))
        return [(slice(i, j), s) for i, j, s in zip([0, *ends], ends, shapes, strict=False)]

    def split(self, register: Array, kind: Kind) -> list[Array]:
        """The tensors in a register (R, width), each of shape (R, …)."""
        return [register[:, part].reshape(-1, *shape) for part, shape in self.pieces(kind)]

    def join(self, tensors: Sequence[Array], kind: Kind) -> Array:
        """Tensors of shape (R, …) as a register, each broadcast to its kind's shape."""
        flat = []
        for x, shape in zip(tensors, self.shapes_of(kind), strict=True):
            x = x.reshape(x.shape[0], *[1] * (len(shape) + 1 - x.ndim), *x.shape[1:])
            flat.append(jnp.broadcast_to(x, (x.shape[0], *shape)).reshape(x.shape[0], -1))
        return self.padded(jnp.concatenate(flat, axis=1))

    def padded(self, register: Array) -> Array:
        """A register filled up to the full width."""
        return jnp.pad(register, ((0, 0), (0, self.width - register.shape[1])))


@dataclass(frozen=True)
class Banks:
    """Registers for R replicates of a model with N weights.

    Attributes:
      s: shape (S_REGISTERS, R). v: shape (V_REGISTERS, R, width of the layout).
    """

    s: Array
    v: Array


jax.tree_util.register_dataclass(Banks, data_fields=["s", "v"], meta_fields=[])


def init(
    tables: Tables, layout: Layout, w: Array, learning_rate: Array, total_steps: Array | float
) -> Banks:
    """The banks before the first step.

    Args:
      tables: `Bytecode.arrays()`.
      layout: of the model.
      w: initial weights, shape (R, N).
      learning_rate: one per replicate, shape (R,).
      total_steps: what programs read as T.
    """
    dtype = w.dtype
    replicates = w.shape[0]
    s = jnp.zeros((ops.S_REGISTERS, replicates), dtype)
    s = s.at[1].set(jnp.asarray(total_steps, dtype)).at[3].set(learning_rate.astype(dtype))
    s = s.at[ops.S_STATE : ops.S_CONSTANT].set(_column(tables["s_init"], dtype))
    s = s.at[ops.S_CONSTANT : ops.S_TEMPORARY].set(_column(tables["constants"], dtype))
    v = jnp.zeros((ops.V_REGISTERS, replicates, layout.width), dtype)
    start = _column(tables["v_init"], dtype)[..., None]
    from_w = _column(tables["v_from_w"], dtype)[..., None] != 0
    v = v.at[ops.V_STATE : ops.V_TEMPORARY].set(jnp.where(from_w, layout.padded(w), start))
    # Training minimizes: every tensor's role is 1.
    v = v.at[ops.V_INPUTS.index("role")].set(1.0)
    return Banks(s, v)


def _column(values: Any, dtype: Any) -> Array:
    return jnp.asarray(values, dtype)[:, None]


def step(
    tables: Tables, banks: Banks, layout: Layout, w: Array, g: Array, loss: Array, t: Array
) -> tuple[Banks, Array]:
    """One step of the rule for all replicates.

    Args:
      tables: `Bytecode.arrays()`.
      banks: from `init` or the step before.
      layout: of the model.
      w, g: weights and gradients, shape (R, N).
      loss: minibatch losses, shape (R,).
      t: step, from 1.

    Returns:
      The banks and the new weights, shape (R, N).
    """
    s = banks.s.at[0].set(t.astype(banks.s.dtype)).at[2].set(loss.astype(banks.s.dtype))
    v = banks.v.at[0].set(layout.padded(w)).at[1].set(layout.padded(g))

    def scalar_operation(i: Array, s: Array) -> Array:
        op, destination, a, b, c = tables["s_code"][i]
        return s.at[destination].set(lax.switch(op, _S_BRANCHES, s, a, b, c))

    s = lax.fori_loop(0, tables["s_length"], scalar_operation, s)
    names = ops.FULL_OPERATIONS if layout.full else ops.LEAN_OPERATIONS
    branches = [_Branch(name, letters, layout) for name, letters in names]

    def tensor_operation(i: Array, v: Array) -> Array:
        op, destination, a, b, c = tables["v_code"][i]
        return v.at[destination].set(lax.switch(op, branches, v, s, a, b, c))

    v = lax.fori_loop(0, tables["v_length"], tensor_operation, v)
    new_w = w - v[tables["result"]][:, : layout.weights]
    s = s.at[ops.S_STATE : ops.S_CONSTANT].set(s[tables["s_next"]])
    return Banks(s, v), new_w


def evaluation_point(tables: Tables, banks: Banks, w: Array) -> Array:
    """Where the model is to be evaluated after a step: eval_w, or w; shape (R, N)."""
    point = banks.v[tables["eval_w"]][:, : w.shape[1]]
    return jnp.where(tables["eval_w"] >= 0, point, w)


def _s_branch(primitive: Primitive) -> Callable[..., Array]:
    def branch(s: Array, a: Array, b: Array, c: Array) -> Array:
        assert primitive.define is not None
        return primitive.define(jnp, *(s[i] for i in (a, b, c)[: primitive.arity]))

    return branch


_S_BRANCHES = [_s_branch(PRIMITIVES[name]) for name, _ in ops.S_OPERATIONS]

# The kinds that operand letters stand for where the shape matters.
_KINDS = {"V": Kind.TENSOR, "T": Kind.TRANSPOSED, "R": Kind.ROW_GRAM, "C": Kind.COLUMN_GRAM}
_SPREAD = {ops.SPREAD_ROWS: Kind.ROW_GRAM, ops.SPREAD_COLUMNS: Kind.COLUMN_GRAM}


@dataclass(frozen=True, eq=False)
class _Branch:
    """One operation of the V code: reads its operands from the banks, gives (R, width)."""

    name: str
    letters: str
    layout: Layout
    __name__: str = field(default="operation", init=False)  # lax.switch asks for it

    def __call__(self, v: Array, s: Array, a: Array, b: Array, c: Array) -> Array:
        pairs = zip(self.letters, (a, b, c), strict=False)
        args = [s[i][:, None] if letter == "S" else v[i] for letter, i in pairs]
        if self.name == ops.MOVE:
            return args[0]
        if self.name == ops.BROADCAST:
            return jnp.broadcast_to(args[0], v.shape[1:])
        if self.name in _SPREAD:
            return self.layout.join(self._one_each(args[0]), _SPREAD[self.name])
        primitive = PRIMITIVES[self.name]
        assert primitive.define is not None
        if primitive.scope is Scope.ELEMENTWISE:
            return primitive.define(jnp, *args)
        if primitive.scope is Scope.MODEL:
            value = jax.vmap(lambda *xs: primitive.define(jnp, *xs))(  # type: ignore[misc]
                *(self._whole(x, letter) for x, letter in zip(args, self.letters, strict=True))
            )
            return jnp.broadcast_to(value[:, None], v.shape[1:])
        return self._per_tensor(primitive, args)

    def _one_each(self, register: Array) -> list[Array]:
        """A number per tensor, from a register that holds it broadcast."""
        return [x.reshape(x.shape[0], -1)[:, 0] for x in self.layout.split(register, Kind.TENSOR)]

    def _whole(self, register: Array, letter: str) -> Array:
        """What a reduction over the model sees: all weights, or one number per tensor."""
        if letter == "L":
            return jnp.stack(self._one_each(register), axis=1)
        return register[:, : self.layout.weights]

    def _per_tensor(self, primitive: Primitive, args: list[Array]) -> Array:
        layout = self.layout
        kinds = [_KINDS.get(letter, Kind.SCALAR) for letter in self.letters]
        tensors = [
            [x[:, 0]] * len(layout.shapes) if kind is Kind.SCALAR else layout.split(x, kind)
            for x, kind in zip(args, kinds, strict=True)
        ]
        apply = jax.vmap(lambda *xs: primitive.define(jnp, *xs))  # type: ignore[misc]
        results = [apply(*xs) for xs in zip(*tensors, strict=True)]
        kind = primitive.kind(kinds)
        if kind not in _KINDS.values():
            kind = Kind.TENSOR  # what has fewer numbers is held broadcast
        elif kind is Kind.TENSOR:  # a product of a vector or a kernel comes as a matrix
            results = [
                x.reshape(-1, *shape) for x, shape in zip(results, layout.shapes, strict=True)
            ]
        return layout.join(results, kind)
