"""What a program calls, written down once, over all traces at once.

The domain of a program's interpretation whose values are nodes: equal calls are one node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from ....dsl.kinds import Kind
from ....dsl.primitives import PRIMITIVES, Primitive, Scope
from .table import Table
from .traces import Array


class CannotBind(Exception):
    """The program uses what traces do not have, or matrix operations."""


@dataclass(slots=True)
class Node:
    """A value: a leaf when it has no function."""

    function: Callable[..., Any] | None
    args: tuple[int, ...]
    kind: Kind
    moves: bool  # depends on a state


@dataclass
class Recorder:
    """The domain that writes down what to call. Equal calls are one node."""

    table: Table
    softness: float
    nodes: list[Node] = field(default_factory=list)
    known: dict[tuple[object, ...], int] = field(default_factory=dict)
    values: dict[int, Array] = field(default_factory=dict)

    def leaf(self, kind: Kind, *, moves: bool = False) -> int:
        self.nodes.append(Node(None, (), kind, moves))
        return len(self.nodes) - 1

    def constant(self, value: float) -> int:
        if ("#", value) not in self.known:
            node = self.known["#", value] = self.leaf(Kind.SCALAR)
            self.values[node] = np.full((1, 1, 1), value)
        return self.known["#", value]

    def apply(self, primitive: Primitive, args: Sequence[int]) -> int:
        name = primitive.name
        if name == "lerp":
            # In parts, so that the new part is computed for all steps together.
            x, y, a = args
            new = self.call("multiply", (self.call("subtract", (self.constant(1.0), a)), x))
            return self.call("add", (new, self.call("multiply", (a, y))))
        return self.call(name, tuple(args))

    def call(self, name: str, args: tuple[int, ...]) -> int:
        key = (name, *args)
        node = self.known.get(key)
        if node is None:
            if not args:
                return self.constant(float(_definition(name)(np)))
            kinds = [self.nodes[a].kind for a in args]
            kind = PRIMITIVES[name].kind(kinds)
            function = self.function(name, kinds)
            moves = any([self.nodes[a].moves for a in args])
            self.nodes.append(Node(function, args, kind, moves))
            node = self.known[key] = len(self.nodes) - 1
        return node

    def function(self, name: str, kinds: Sequence[Kind]) -> Callable[..., Any]:
        row = PRIMITIVES[name]
        if row.define is None or not row.searched:
            raise CannotBind(f"{name} is not run over traces")
        if row.scope is Scope.ELEMENTWISE:
            if name == "sign" and self.softness:
                return self.soft_sign
            return _definition(name)
        shim = _Segments(self.table, row.scope, kinds)
        define = row.define
        return lambda *args: define(shim, *[shim.whole(a) for a in args])

    def soft_sign(self, x: Array) -> Array:
        """A sign with a slope, which tells a fit where to go."""
        if x.ndim < 3:  # one step, whose size says nothing about the others'
            return np.sign(x)
        size = np.sqrt(np.mean(x * x, axis=0, keepdims=True))
        return x / np.sqrt(x * x + (self.softness * size) ** 2 + 1e-300)


@cache
def _definition(name: str) -> Callable[..., Any]:
    """An elementwise primitive as a function of arrays; most are NumPy's own, of the same name."""
    row = PRIMITIVES[name]
    ufunc = getattr(np, name, None)
    # NumPy's conditions are booleans, and its `invert` is that of bits.
    if isinstance(ufunc, np.ufunc) and "dd->?" not in ufunc.types and name != "invert":
        return ufunc
    define = row.define
    assert define is not None
    if not row.arity:
        return define
    return lambda *args: define(np, *args)


class _Segments:
    """NumPy as the definitions of reductions see it, over each tensor or each trace."""

    sqrt = staticmethod(np.sqrt)

    def __init__(self, table: Table, scope: Scope, kinds: Sequence[Kind]) -> None:
        self.columns = table.shape[1]
        # A number of a tensor counts once in its model.
        self.picked = None
        if scope is Scope.PER_TENSOR:
            self.starts, self.spread = table.tensors, table.tensor_of
        else:
            self.starts, self.spread = table.tensors[table.models], table.trace_of
            if all(kind is Kind.LAYER for kind in kinds):
                self.picked, self.starts = table.tensors, table.models
        width = self.columns if self.picked is None else len(self.picked)
        self.counts = np.diff(self.starts, append=width)

    def whole(self, x: Array) -> Array:
        x = np.broadcast_to(x, (*x.shape[:-1], self.columns))
        return x if self.picked is None else x[..., self.picked]

    def reduced(self, ufunc: np.ufunc, x: Array) -> Array:
        return ufunc.reduceat(x, self.starts, axis=-1)

    def sum(self, x: Array) -> Array:
        return self.reduced(np.add, x)[..., self.spread]

    def mean(self, x: Array) -> Array:
        return (self.reduced(np.add, x) / self.counts)[..., self.spread]

    def max(self, x: Array) -> Array:
        return self.reduced(np.maximum, x)[..., self.spread]

    def min(self, x: Array) -> Array:
        return self.reduced(np.minimum, x)[..., self.spread]

    def std(self, x: Array) -> Array:
        return np.sqrt(self.mean(np.square(x - self.mean(x))))
