"""Gates: cheap reasons to reject a candidate before any training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...dsl.dependencies import sees_the_loss, update_depends_on
from ...dsl.machine.bytecode import TooLarge, check_fits
from ...dsl.numpy.in_place import Oracle, bind_in_place
from ...dsl.oracles import oracles_of
from ...dsl.program import LEARNING_RATE, Program
from . import descent, probes
from .fingerprints import Behaviour, fingerprint, ignores_sign
from .trial import Trial, try_out

Array = np.ndarray[Any, Any]

# Rejections that follow from the program text; the others need its first steps.
STATIC = (
    "too large",
    "ignores the gradient",
    "ignores the learning rate",
    "too large for the machine",
)


@dataclass(frozen=True, slots=True)
class Examination:
    """The result of the gates.

    Attributes:
      rejection: the reason to reject the candidate, or None.
      behaviour: its fingerprint; None if it has none, or if the reason is one of `STATIC`.
    """

    rejection: str | None
    behaviour: Behaviour | None = None


def examine(program: Program, *, max_size: int) -> Examination:
    """Runs a well-formed program through the gates, the cheapest first.

    Args:
      program: the candidate.
      max_size: the largest accepted number of primitive calls.
    """
    if program.size > max_size:
        return Examination("too large")
    depends = update_depends_on(program)
    if not sees_the_loss(depends):
        return Examination("ignores the gradient")
    if LEARNING_RATE not in depends:
        return Examination("ignores the learning rate")
    try:
        check_fits(program)
    except TooLarge:
        return Examination("too large for the machine")
    trial = try_out(program)
    return Examination(_fault(program, trial), fingerprint(trial))


def rejection(program: Program, *, max_size: int) -> str | None:
    """The reason to reject a candidate, or None; see `examine`."""
    return examine(program, max_size=max_size).rejection


def _fault(program: Program, trial: Trial) -> str | None:
    """What is wrong with a rule's first steps."""
    if ignores_sign(trial):
        return "ignores the sign of the gradient"
    quadratics = trial.descended[descent.QUADRATICS]
    valleys = trial.descended[descent.VALLEYS]
    if np.isnan(quadratics).all() or np.isnan(valleys).all():
        return "non-finite"
    # One learning rate is enough, and it may differ between the two problems.
    if not np.any(quadratics < 1.0):
        return "does not descend"
    if not np.any(valleys < 1.0):
        return "does not descend the valley"
    return "unbounded state" if _grows_without_bound(program, trial) else None


# A growth that triggers the longer test: a state that would overflow grows more in half a trial.
_SUSPICIOUS = 5.0
_LONG = 200
_LARGEST = float(np.finfo(np.float32).max)
_RATES = np.array([1e-4, 1e-2, 1.0])[:, None]


def _grows_without_bound(program: Program, trial: Trial) -> bool:
    """Whether some state overflows float32 within 200 steps of repeated gradients, at every rate.

    That means a growth by a factor of at least 1.56 per step. Sums over steps and powers of t stay
    far below. A factor of 1.2 is common in rules that score well, where another such factor divides
    it.
    """
    if all(growth <= _SUSPICIOUS for growth in trial.growth):
        return False
    weights, gradients = probes.W[:, probes.PLAIN], probes.G[:, probes.PLAIN]
    start = np.repeat(weights[:1], len(_RATES), axis=0)
    rule = bind_in_place(program, descent.SHAPES, start, _RATES)
    for name, value in (("T", _LONG), ("loss", 1.0)):
        if name in rule.inputs:
            rule.inputs[name].fill(value)
    asks = bool(oracles_of(program))
    with np.errstate(all="ignore"):
        for index in range(_LONG):
            for name, noise in probes.NOISE.items():
                if name in rule.inputs:
                    rule.inputs[name][...] = noise[index % len(noise)]
            if asks:
                rule.oracles |= _oracles(index % len(gradients))
            rule.inputs["w"][:] = weights[index % len(weights)]
            rule.inputs["g"][:] = gradients[index % len(gradients)]
            if "t" in rule.inputs:
                rule.inputs["t"].fill(index + 1)
            rule.compute()
            rule.advance()
        ends = [np.abs(x).max(-1) for x in rule.state.values()]
    return any(not (end <= _LARGEST).any() for end in ends)


def _oracles(step: int) -> dict[str, Oracle]:
    """What is asked about the loss around the plain probe, the same for every rate."""
    around = probes.loss_around(step, probes.PLAIN)

    def fills(function: Callable[[Array], Array]) -> Oracle:
        def fill(x: Array, out: Array) -> None:
            out.T[...] = function(x).T

        return fill

    answers = {"grad": around.gradient, "loss_at": around.value, "hvp": around.hessian_times}
    return {name: fills(function) for name, function in answers.items()}
