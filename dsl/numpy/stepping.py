"""A rule that steps in NumPy: the reference, which runs every program on tensors of any shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..arrays import Leaves, Oracles, bind
from ..program import Program

Array = np.ndarray[Any, Any]


class Stepper:
    """A rule and its state, whose weights and gradients are the caller's.

    Whatever is not finite passes silently.

    Args:
      program: the rule.
      weights: the initial ones, one array for each tensor.
      dtype: of all computation.
      fixed: inputs that stay as they are, `hyper` and `oracles`; see `arrays.Rule`.
    """

    def __init__(
        self, program: Program, weights: Iterable[Array], dtype: Any = np.float64, **fixed: Any
    ) -> None:
        self._rule, self._dtype = bind(program, np, dtype), dtype
        self._state = self._rule.init(self._leaves(weights))
        self._given = {"t": 0, **fixed}

    def update(self, weights: Iterable[Array], gradients: Iterable[Array], **inputs: Any) -> Leaves:
        """What the next step subtracts from the weights.

        All digits of it: the difference of the weights has fewer where it is tiny beside them.
        """
        return self._next(self._rule.update, weights, gradients, inputs)[0]

    def step(
        self, weights: Iterable[Array], gradients: Iterable[Array], **inputs: Any
    ) -> tuple[Leaves, Leaves]:
        """The weights after the next step, and where the model is to be evaluated."""
        return self._next(self._rule.step, weights, gradients, inputs)

    def _next(
        self, step: Any, weights: Iterable[Array], gradients: Iterable[Array], inputs: Any
    ) -> tuple[Leaves, Any]:
        self._given["t"] += 1
        w, g = self._leaves(weights), self._leaves(gradients)
        with np.errstate(all="ignore"):
            found, self._state, eval_w = step(w, g, self._state, **self._given | inputs)
        return found, eval_w

    def _leaves(self, arrays: Iterable[Array]) -> Leaves:
        return Leaves(np.asarray(x, self._dtype) for x in arrays)


def run_numpy(
    program: Program,
    params: Sequence[Array],
    gradients: Sequence[Sequence[Array]],
    *,
    dtype: Any = np.float64,
    hyper: Mapping[str, float] | None = None,
    oracles: Callable[[int, Sequence[Array]], Oracles] | None = None,
    **inputs: Any,
) -> list[tuple[Leaves, Leaves]]:
    """Runs a rule on a fixed sequence of gradients.

    Args:
      program: the rule.
      params: the initial weights, one array per tensor.
      gradients: for each step, one array per tensor.
      dtype: of all computation.
      hyper: hyperparameters that differ from the program's defaults.
      oracles: those of step t, from 1, at weights w: `oracles(t, w)`; needed if the rule calls any.
      inputs: further ones, the same at every step; of those of tensors, one for each tensor.

    Returns:
      For each step (w, eval_w) after it.
    """
    rule = Stepper(program, params, dtype, T=len(gradients), hyper=hyper, **inputs)
    trajectory: list[tuple[Leaves, Leaves]] = []
    for t, gradient in enumerate(gradients, 1):
        w = trajectory[-1][0] if trajectory else params
        asked = {} if oracles is None else {"oracles": oracles(t, w)}
        trajectory.append(rule.step(w, gradient, **asked))
    return trajectory
