"""A rule bound to NumPy run by run, over tensors of their true shapes: slow, for any rule.

What `in_place` falls back to for rules with matrix operations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import Leaves, bind
from ..inputs import Source, given
from ..kinds import Kind
from ..program import LEARNING_RATE, Program
from .functions import Array


class TensorByTensor:
    """The slow `BoundRule`: run by run over tensors of their true shapes, for any rule."""

    def __init__(
        self,
        program: Program,
        shapes: Sequence[tuple[int, ...]],
        start: Array,
        learning_rates: Array | float,
    ) -> None:
        self._rule = bind(program, np, start.dtype)
        self._shapes = shapes
        self._scalars = given(Source.GATES, Kind.SCALAR)
        self.inputs = {name: np.zeros_like(start) for name in given(Source.GATES)}
        self.inputs["w"][...] = start
        self.inputs[LEARNING_RATE] = np.empty_like(start)
        self.inputs[LEARNING_RATE][...] = learning_rates
        self._runs = list(np.ndindex(start.shape[:-1]))
        self._states = [self._rule.init(self._leaves(start[run])) for run in self._runs]
        self._next = self._states
        self.state: dict[str, Array] = {}
        self.update = np.empty_like(start)
        elsewhere = program.evaluates_elsewhere
        self.eval_w = np.empty_like(start) if elsewhere else None
        self._advance_names()

    def compute(self) -> None:
        self._next = []
        for run, state in zip(self._runs, self._states, strict=True):
            scalars = {name: self.inputs[name][run][0] for name in self._scalars}
            update, state, at = self._rule.update(
                self._leaves(self.inputs["w"][run]),
                self._leaves(self.inputs["g"][run]),
                state,
                hyper={LEARNING_RATE: self.inputs[LEARNING_RATE][run][0]},
                **scalars,
            )
            self.update[run] = _flat(update)
            if self.eval_w is not None:
                self.eval_w[run] = _flat(at)
            self._next.append(state)

    def advance(self) -> None:
        self._states = self._next
        self._advance_names()

    def _advance_names(self) -> None:
        """`state` as arrays, one row per run, of whatever shape the variable has."""
        self.state = {
            name: np.stack([_flat(s[name]) for s in self._states]) for name in self._states[0]
        }

    def _leaves(self, flat: Array) -> Leaves:
        ends = np.cumsum([math.prod(shape) for shape in self._shapes])
        parts = np.split(flat, ends[:-1])
        return Leaves(x.reshape(shape) for x, shape in zip(parts, self._shapes, strict=True))


def _flat(value: Any) -> Array:
    leaves = value if isinstance(value, Leaves) else [value]
    return np.concatenate([np.ravel(leaf) for leaf in leaves])
