"""A rule as the training loop sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax

Array = jax.Array

_NONE: Mapping[str, Callable[..., Array]] = MappingProxyType({})


class StepContext(NamedTuple):
    """All that a rule can be told at a step; R replicates, N weights.

    What a task cannot give is absent here, and a rule that needs it is refused before.

    Attributes:
      t: the step, from 1. T: how many there are.
      loss: minibatch losses, (R,). g: their gradients, (R, N).
      oracles: by name, functions of weights (R, N) on this step's minibatch.
      members: gradients of each of M members, (R, M, N).
    """

    t: Array
    T: Array
    loss: Array
    g: Array
    oracles: Mapping[str, Callable[..., Array]] = _NONE
    members: Array | None = None


class Stepper(NamedTuple):
    """A rule with its learning rates.

    init: w (R, N) -> carry, weights included.
    step: (carry, context) -> carry.
    weights: carry -> (R, N). eval_w: carry -> where to evaluate, (R, N).
    """

    init: Callable[[Array], Any]
    step: Callable[[Any, StepContext], Any]
    weights: Callable[[Any], Array]
    eval_w: Callable[[Any], Array]
