"""The first steps of a rule: down two problems and along the probes, all in one pass.

All rows take each step together, so that ten steps of a rule cost about what ten steps on a single
problem would.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...dsl.numpy.in_place import bind_in_place
from ...dsl.program import Program
from . import descent, probes
from .probes import STEPS

Array = np.ndarray[Any, Any]

_FREE = slice(0, len(descent.START))  # rows whose weights go where the rule leads them
_SHOWN = slice(len(descent.START), None)  # probes
_PLAIN = len(descent.START) + probes.PLAIN
_START = np.concatenate([descent.START, probes.W[0]])
_RATES = np.concatenate([descent.LEARNING_RATES, probes.LEARNING_RATES])
_HALF = STEPS // 2


@dataclass(frozen=True, slots=True)
class Trial:
    """What a rule did.

    Attributes:
      descended: final over initial loss for each row of `descent`; NaN where not finite.
      updates: to each probe, shape (STEPS, probes, WEIGHTS).
      offsets: of the evaluation point from the new weights, of the same shape; None where it is
        always there.
      growth: for each state variable, how much its largest number grew from half of the plain probe
        to its end.
    """

    descended: Array
    updates: Array
    offsets: Array | None
    growth: tuple[float, ...]

    @property
    def finite(self) -> Array:
        """For each probe, whether the rule answered it with finite numbers alone."""
        return np.logical_and.reduce(np.isfinite(self.updates), axis=(0, 2))


def try_out(program: Program) -> Trial:
    """Runs a well-formed program that reads what gates have."""
    rule = bind_in_place(program, descent.SHAPES, _START, _RATES)
    compute, advance, update, at = rule.compute, rule.advance, rule.update, rule.eval_w
    w, g = rule.inputs["w"], rule.inputs["g"]
    t, loss = rule.inputs.get("t"), rule.inputs.get("loss")
    if (total := rule.inputs.get("T")) is not None:
        total[_FREE] = STEPS
        total[_SHOWN] = probes.TOTALS
    free, shown = (w[_FREE], g[_FREE]), (w[_SHOWN], g[_SHOWN])
    step, answer = update[_FREE], update[_SHOWN]
    updates = np.empty((STEPS, *answer.shape))
    points = None if at is None else np.empty_like(updates)
    half: list[Array] = []
    with np.errstate(all="ignore"):
        for index in range(STEPS):
            descent.gradient(*free)
            shown[0][...] = probes.W[index]
            shown[1][...] = probes.G[index]
            if t is not None:
                t[_FREE] = index + 1
                t[_SHOWN] = probes.TIMES[index]
            if loss is not None:
                loss[_FREE] = descent.loss(free[0])[:, None]
                loss[_SHOWN] = probes.LOSSES[index]
            compute()
            updates[index] = answer
            if points is not None and at is not None:
                points[index] = at[_SHOWN]
            np.subtract(free[0], step, free[0])
            advance()
            if index + 1 == _HALF:
                half = [x[_PLAIN].copy() for x in rule.state.values()]
        descended = descent.descended(free[0], free[0] if at is None else at[_FREE])
        offsets = None if points is None else points - (probes.W - updates)
        ends = (x[_PLAIN] for x in rule.state.values())
        growth = tuple(_ratio(now, then) for now, then in zip(ends, half, strict=True))
    return Trial(descended, updates, offsets, growth)


def _ratio(now: Array, then: Array) -> float:
    """Of the largest numbers; NaN for 0 / 0 and where not finite."""
    return float(np.abs(now).max() / np.abs(then).max())
