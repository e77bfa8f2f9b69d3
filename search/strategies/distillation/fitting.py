"""How well a program explains traces, and the literals with which it does so best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ....dsl.literals import with_literals
from ....dsl.numpy.functions import Function
from ....dsl.numpy.recorder import CannotBind
from ....dsl.numpy.whole_runs import Bound
from ....dsl.program import Call, Constant, Expr, Program
from .table import Table
from .traces import Array

# A change of a literal's logarithm from which slopes are read.
_DIFFERENCE = 1e-5
# Damping of a step (Levenberg–Marquardt); all are tried at once.
_DAMPINGS = (1e-6, 1e-2, 0.3, 10.0)
# No literal changes more than this in a step, in units of its logarithm.
_LONGEST = 2.0
# Steps in a row that may gain next to nothing.
_PATIENCE = 2
# Softness of signs while literals inside them are fitted, in units of their argument's size.
_SOFTNESSES = (0.3, 0.03, 0.003)


def score(prediction: Array, table: Table) -> Array:
    """From 0 (the same updates) to 1: the mean of r / (1 + r), r being an update's relative error.

    Args:
      prediction: updates (steps, settings, columns); whatever is not finite counts as 1.

    Returns:
      One number for each setting.
    """
    r = np.abs(prediction - table.u)
    r /= table.scale
    r /= 1.0 + r
    r[np.isnan(r)] = 1.0  # infinity over infinity too
    means: Array = r.mean(axis=(0, 2))
    return means


@dataclass(frozen=True)
class Fitted:
    """A program and its score on the traces."""

    program: Program
    score: float


def assess(program: Program, table: Table) -> tuple[Fitted, Bound | None]:
    """The program's score, its update being multiplied by a number if that is much better."""
    try:
        bound = Bound(program, table)
    except CannotBind:
        return Fitted(program, 1.0), None
    prediction = bound.predict()
    found = Fitted(program, float(score(prediction, table)[0]))
    if not table.rounding < found.score < 1.0:
        return found, bound
    factor = _factor(prediction, table)
    if factor is None:
        return found, bound
    scaled = float(score(factor * prediction, table)[0])
    if scaled > 0.97 * found.score:
        return found, bound
    program = _times(program, factor)
    return Fitted(program, scaled), Bound(program, table)


def _factor(prediction: Array, table: Table) -> float | None:
    """By which the prediction is best multiplied, for squared relative errors."""
    p, u = prediction / table.scale, table.u / table.scale
    usable = np.isfinite(p) & (np.abs(p) < 1e100)
    if not usable.all():
        p = np.where(usable, p, 0.0)
    square = float(np.vdot(p, p))
    factor = float(np.vdot(p, u)) / square if square > 0 else 0.0
    return factor if 1e-12 < abs(factor) < 1e12 else None


def _times(program: Program, factor: float) -> Program:
    result: Expr = program.result
    match result:
        case Call(primitive="multiply", args=(Constant(value=value), rest)):
            result = Call("multiply", (Constant(value * factor), rest))
        case _:
            result = Call("multiply", (Constant(factor), result))
    return Program(
        program.name,
        program.inputs,
        program.state,
        program.hyperparameters,
        program.body,
        result,
        program.doc,
    )


def fit(
    start: Fitted,
    bound: Bound,
    table: Table,
    iterations: int,
    *,
    soften: bool = True,
    fixed: int = -1,
) -> Fitted:
    """The program with literals that explain the traces better, if any are found.

    Levenberg–Marquardt on the logarithms of the literals, or of their distance from one where they
    look like a decay; weighted so that it minimizes `score`. Signs are soft while it lasts.
    """
    if not len(bound.parameters) or start.score <= table.rounding:
        return start
    best = _fit(start, bound, table, iterations, fixed)
    if soften and best.score > table.rounding and bound.has_signs:
        softened = best
        for softness in _SOFTNESSES:
            soft = Bound(softened.program, table, {"sign": _soft_sign(softness)})
            loss = float(score(soft.predict(), table)[0])
            softened = _fit(Fitted(softened.program, loss), soft, table, iterations, fixed)
            hard = Bound(softened.program, table)
            found = float(score(hard.predict(), table)[0])
            if found < best.score:
                best = Fitted(softened.program, found)
    return best


def _soft_sign(softness: float) -> Function:
    """A sign with a slope, which tells a fit where to go."""

    def soft_sign(x: Array) -> Array:
        if x.ndim < 3:  # one step, whose size says nothing about the others'
            return np.sign(x)
        size = np.sqrt(np.mean(x * x, axis=0, keepdims=True))
        return x / np.sqrt(x * x + (softness * size) ** 2 + 1e-300)

    return soft_sign


def _fit(start: Fitted, bound: Bound, table: Table, iterations: int, fixed: int) -> Fitted:
    values, best = np.array(bound.parameters), start.score
    place = _Place(values, fixed)
    if not len(place.free):
        return start
    slow = 0
    for _ in range(iterations):
        step = _steps(place, bound, table, best)
        if step is None:
            break
        tried = place.at(step)
        found = score(bound.predict(tried), table)
        choice = int(np.argmin(found))
        if not found[choice] < best:
            break
        slow = 0 if found[choice] < 0.97 * best else slow + 1
        best, values = float(found[choice]), tried[choice]
        place = _Place(values, fixed)
        if slow > _PATIENCE or best <= table.rounding:
            break
    if best >= start.score:
        return start
    return Fitted(with_literals(start.program, values.tolist()), best)


class _Place:
    """Literals as unconstrained numbers: logarithms of themselves or of their distance from 1."""

    def __init__(self, values: Array, fixed: int) -> None:
        self.values = values
        free = (values != 0.0) & np.isfinite(values)
        self.free = np.flatnonzero(free & (np.arange(len(values)) != fixed))
        self.decays = (values > 0.5) & (values < 1.0)

    def at(self, steps: Array) -> Array:
        """Literals (settings, literals) after steps (settings, free literals)."""
        moved = np.repeat(self.values[None], len(steps), axis=0)
        factors = np.exp(steps)
        old = moved[:, self.free]
        new = np.where(self.decays[self.free], 1.0 - (1.0 - old) * factors, old * factors)
        moved[:, self.free] = new
        return moved


def _steps(place: _Place, bound: Bound, table: Table, level: float) -> Array | None:
    """Steps to try, (dampings, free literals); None where there is no slope."""
    count = len(place.free)
    probes = np.concatenate([np.zeros((1, count)), _DIFFERENCE * np.eye(count)])
    prediction: Any = bound.predict(place.at(probes))
    prediction = prediction / table.scale
    residual = prediction[:, :1] - table.u / table.scale
    slopes = (prediction[:, 1:] - prediction[:, :1]) / _DIFFERENCE
    usable = np.isfinite(residual) & np.isfinite(slopes).all(axis=1, keepdims=True)
    size = np.abs(residual)
    # The score's slope over the error, but for the smallest of errors.
    weight = 1.0 / ((1.0 + size) ** 2 * np.maximum(size, 0.1 * level))
    if not usable.all():
        residual, slopes = np.where(usable, residual, 0.0), np.where(usable, slopes, 0.0)
        weight = np.where(usable, weight, 0.0)
    flat = slopes.transpose(1, 0, 2).reshape(count, -1)
    weighted = flat * weight.reshape(1, -1)
    normal, gradient = weighted @ flat.T, weighted @ residual.reshape(-1)
    diagonal = np.diagonal(normal)
    largest = float(diagonal.max())
    if not 0.0 < largest < np.inf:
        return None
    damping = diagonal + 1e-12 * largest
    try:
        steps = np.stack(
            [-np.linalg.solve(normal + d * np.diag(damping), gradient) for d in _DAMPINGS]
        )
    except np.linalg.LinAlgError:
        return None
    return np.clip(steps, -_LONGEST, _LONGEST)
