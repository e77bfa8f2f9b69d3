"""What a program calls, written down once.

The domain of a program's interpretation whose values are nodes: equal calls are one node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..kinds import Kind
from ..primitive import CORE, Primitive
from ..primitives import PRIMITIVES
from .functions import Array, Columns, Function, elementwise


class CannotBind(Exception):
    """The program uses what recorded runs do not have, or matrix operations."""


@dataclass(slots=True)
class Node:
    """A value: a leaf when it has no function."""

    function: Function | None
    args: tuple[int, ...]
    kind: Kind
    moves: bool  # depends on a state


@dataclass
class Recorder:
    """The domain that writes down what to call. Equal calls are one node.

    Attributes:
      columns: of the arrays.
      instead: functions that take the place of elementwise primitives.
    """

    columns: Columns
    instead: Mapping[str, Function]
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
                return self.constant(float(elementwise(name)()))
            kinds = [self.nodes[a].kind for a in args]
            kind = PRIMITIVES[name].kind(kinds)
            function = self.function(name, kinds)
            moves = any([self.nodes[a].moves for a in args])
            self.nodes.append(Node(function, args, kind, moves))
            node = self.known[key] = len(self.nodes) - 1
        return node

    def function(self, name: str, kinds: Sequence[Kind]) -> Function:
        row = PRIMITIVES[name]
        if row.define is None or row.grammar != CORE:
            raise CannotBind(f"{name} is not run over whole runs")
        if row.reduces:
            return self.columns.reduction(row, kinds)
        return self.instead.get(name) or elementwise(name)
