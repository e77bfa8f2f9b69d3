"""The first ten steps of a rule, on the two problems of `descent` and on the probes.

All are rows of one array and step together, so this costs about as much as ten steps on a single
problem.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...dsl.inputs import INPUTS
from ...dsl.members import is_of_members
from ...dsl.numpy.in_place import Oracle, bind_in_place
from ...dsl.oracles import oracles_of
from ...dsl.program import Program
from ...dsl.synthetic_loss import LossAround
from . import descent, members, probes
from .probes import STEPS

Array = np.ndarray[Any, Any]

_FREE = slice(0, len(descent.START))  # rows whose weights the rule updates
_SHOWN = slice(len(descent.START), None)  # the probes, whose weights are given
_PLAIN = len(descent.START) + probes.PLAIN
_START = np.concatenate([descent.START, probes.W[0]])
_RATES = np.concatenate([descent.LEARNING_RATES, probes.LEARNING_RATES])
_HALF = STEPS // 2


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of the first steps.

    Attributes:
      descended: final over initial loss for each row of `descent`; NaN where not finite.
      updates: the updates on each probe, shape (STEPS, probes, WEIGHTS).
      offsets: evaluation point minus new weights, same shape; None if the rule has no `eval_w`.
      growth: for each state variable, the ratio of its largest entry at the end of the plain probe
        to that at half of it; none of those of members.
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
    """Runs a well-formed program that needs what gates have (see `inputs`).

    Of a program of members, its members run together; their mean is evaluated, and of their updates
    a weighted sum is told.
    """
    if is_of_members(program):
        return _try_out_members(program)
    rule = bind_in_place(program, descent.SHAPES, _START, _RATES)
    compute, advance, update, at = rule.compute, rule.advance, rule.update, rule.eval_w
    w, g = rule.inputs["w"], rule.inputs["g"]
    t, loss = rule.inputs.get("t"), rule.inputs.get("loss")
    if (total := rule.inputs.get("T")) is not None:
        total[_FREE] = STEPS
        total[_SHOWN] = probes.TOTALS
    free, shown = (w[_FREE], g[_FREE]), (w[_SHOWN], g[_SHOWN])
    step, answer = update[_FREE], update[_SHOWN]
    for name, labels in probes.LABELLED.items():
        if name in rule.inputs:
            rule.inputs[name][_SHOWN] = labels
    asks = bool(oracles_of(program))
    noise = [name for name in probes.NOISE if name in rule.inputs]
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
            for name in noise:
                rule.inputs[name][...] = probes.NOISE[name][index]
            if asks:
                rule.oracles |= _oracles(free[0], index)
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


def _oracles(w: Array, step: int) -> dict[str, Oracle]:
    """What is asked about the problems at weights w, and about the losses around the probes."""
    around = probes.loss_around(step)

    def gradient(x: Array, out: Array) -> None:
        descent.gradient(x[_FREE], out[_FREE])
        out[_SHOWN] = around.gradient(x[_SHOWN])

    def loss_at(x: Array, out: Array) -> None:
        out[_FREE] = descent.loss(x[_FREE])[:, None]
        out[_SHOWN] = around.value(x[_SHOWN])[:, None]

    def hessian_times(v: Array, out: Array) -> None:
        descent.hessian_times(w, v[_FREE], out[_FREE])
        out[_SHOWN] = around.hessian_times(v[_SHOWN])

    return {"grad": gradient, "loss_at": loss_at, "hvp": hessian_times}


def _try_out_members(program: Program) -> Trial:
    start = np.repeat(_START[None], members.MEMBERS, axis=0)
    rule = bind_in_place(program, descent.SHAPES, start, _RATES, members.MIXING)
    w, g, given = rule.inputs["w"], rule.inputs["g"], rule.inputs
    free, shown = (w[:, _FREE], g[:, _FREE]), (w[:, _SHOWN], g[:, _SHOWN])
    for name, value in (
        ("member", np.arange(members.MEMBERS)),
        ("members", np.full(members.MEMBERS, members.MEMBERS)),
        ("share", members.SHARES),
    ):
        if name in given:
            given[name][...] = value[:, None, None]
    if "T" in given:
        given["T"][:, _FREE] = STEPS
        given["T"][:, _SHOWN] = probes.TOTALS
    updates = np.empty((STEPS, len(probes.PROBES), descent.WEIGHTS))
    offsets = None if rule.eval_w is None else np.empty_like(updates)
    with np.errstate(all="ignore"):
        for index in range(STEPS):
            seen = members.probe(index)
            members.gradient(*free)
            shown[0][...], shown[1][...] = seen.w, seen.g
            if "t" in given:
                given["t"][:, _FREE] = index + 1
                given["t"][:, _SHOWN] = probes.TIMES[index]
            if "loss" in given:
                given["loss"][:, _FREE] = members.loss(free[0])[..., None]
                given["loss"][:, _SHOWN] = seen.loss[..., None]
            if "arrived" in given:
                given["arrived"][...] = members.arrived(index)[:, None, None]
            for name, noise in probes.NOISE.items():
                if name in given:
                    shifts = range(members.MEMBERS) if INPUTS[name].own else [0]
                    given[name][...] = np.stack([np.roll(noise[index], i) for i in shifts])[:, None]
            rule.oracles |= _oracles_of_members(free[0], seen)
            rule.compute()
            answer = rule.update[:, _SHOWN]
            updates[index] = np.sum(members.TOLD_BY * answer, 0)
            if offsets is not None and rule.eval_w is not None:
                apart = rule.eval_w[:, _SHOWN] - (seen.w - answer)
                offsets[index] = np.sum(members.TOLD_BY * apart, 0)
            np.subtract(free[0], rule.update[:, _FREE], free[0])
            rule.advance()
        at = free[0] if rule.eval_w is None else rule.eval_w[:, _FREE]
        descended = descent.descended(free[0].mean(0), at.mean(0))
    return Trial(descended, updates, offsets, ())


def _oracles_of_members(w: Array, seen: LossAround) -> dict[str, Oracle]:
    """The same of the members' own losses."""

    def gradient(x: Array, out: Array) -> None:
        members.gradient(x[:, _FREE], out[:, _FREE])
        out[:, _SHOWN] = seen.gradient(x[:, _SHOWN])

    def loss_at(x: Array, out: Array) -> None:
        out[:, _FREE] = members.loss(x[:, _FREE])[..., None]
        out[:, _SHOWN] = seen.value(x[:, _SHOWN])[..., None]

    def hessian_times(v: Array, out: Array) -> None:
        members.hessian_times(w, v[:, _FREE], out[:, _FREE])
        out[:, _SHOWN] = seen.hessian_times(v[:, _SHOWN])

    return {"grad": gradient, "loss_at": loss_at, "hvp": hessian_times}


def _ratio(now: Array, then: Array) -> float:
    """The ratio of the largest entries; NaN for 0 / 0 and for non-finite entries."""
    return float(np.abs(now).max() / np.abs(then).max())
