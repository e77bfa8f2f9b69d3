"""The interface between the training loop and a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax

Array = jax.Array

_NONE: Mapping[str, Callable[..., Array]] = MappingProxyType({})


class StepContext(NamedTuple):
    """The inputs of a rule at a step; R replicates, N weights. Of members, R counts each of them.

    Inputs that a task cannot provide are absent; rules that need them are refused before training.

    Attributes:
      t: the step, from 1. T: the total number of steps.
      loss: minibatch losses, (R,). g: their gradients, (R, N).
      oracles: functions of weights or directions (R, N) on this step's minibatch, by name; see
        `Problems.oracles`. noise: functions that draw this step's noise (R, N), by input.
      given: what only members are given, (R,), by input.
    """

    t: Array
    T: Array
    loss: Array
    g: Array
    oracles: Mapping[str, Callable[..., Array]] = _NONE
    noise: Mapping[str, Callable[[], Array]] = _NONE
    given: Mapping[str, Array] = MappingProxyType({})


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
