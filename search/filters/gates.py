"""Gates: cheap reasons to reject a candidate before any training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...dsl.dependencies import update_depends_on
from ...dsl.machine.bytecode import TooLarge, check_fits
from ...dsl.numpy.in_place import bind_in_place
from ...dsl.program import LEARNING_RATE, Program
from . import descent, probes
from .fingerprints import Behaviour, fingerprint, ignores_sign
from .trial import Trial, try_out

Array = np.ndarray[Any, Any]

# What is plain from the program; the rest is seen from what it does in its first steps.
STATIC = (
    "too large",
    "ignores the gradient",
    "ignores the learning rate",
    "too large for the machine",
)


@dataclass(frozen=True, slots=True)
class Examination:
    """What is known of a candidate before any training.

    Attributes:
      rejection: why it is not worth training, or None.
      behaviour: its fingerprint; None where it has none, or the reason is one of `STATIC`.
    """

    rejection: str | None
    behaviour: Behaviour | None = None


def examine(program: Program, *, max_size: int) -> Examination:
    """Passes a well-formed program through the gates, the cheapest first.

    Args:
      program: the candidate.
      max_size: most primitive calls.
    """
    if program.size > max_size:
        return Examination("too large")
    depends = update_depends_on(program)
    if "g" not in depends:
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
    """Why a candidate is not worth training, or None; see `examine`."""
    return examine(program, max_size=max_size).rejection


def _fault(program: Program, trial: Trial) -> str | None:
    """What is wrong with a rule's first steps."""
    if ignores_sign(trial):
        return "ignores the sign of the gradient"
    quadratics = trial.descended[descent.QUADRATICS]
    valleys = trial.descended[descent.VALLEYS]
    if np.isnan(quadratics).all() or np.isnan(valleys).all():
        return "non-finite"
    # One learning rate is enough, and not the same for both.
    if not np.any(quadratics < 1.0):
        return "does not descend"
    if not np.any(valleys < 1.0):
        return "does not descend the valley"
    return "unbounded state" if _grows_without_bound(program, trial) else None


# What makes it worth looking: a state that would overflow grows by more within half a trial.
_SUSPICIOUS = 5.0
_LONG = 200
_LARGEST = float(np.finfo(np.float32).max)
_RATES = np.array([1e-4, 1e-2, 1.0])[:, None]


def _grows_without_bound(program: Program, trial: Trial) -> bool:
    """Whether some state exceeds float32 while gradients stay as they are, at every rate.

    That is, grows by a factor of 1.56 or more at each step. Sums over the steps and powers of
    their number stay far below; and a factor of 1.2 is common in rules that score, where another
    such factor divides it.
    """
    if all(growth <= _SUSPICIOUS for growth in trial.growth):
        return False
    weights, gradients = probes.W[:, probes.PLAIN], probes.G[:, probes.PLAIN]
    start = np.repeat(weights[:1], len(_RATES), axis=0)
    rule = bind_in_place(program, descent.SHAPES, start, _RATES)
    for name, value in (("T", _LONG), ("loss", 1.0)):
        if name in rule.inputs:
            rule.inputs[name].fill(value)
    with np.errstate(all="ignore"):
        for index in range(_LONG):
            rule.inputs["w"][:] = weights[index % len(weights)]
            rule.inputs["g"][:] = gradients[index % len(gradients)]
            if "t" in rule.inputs:
                rule.inputs["t"].fill(index + 1)
            rule.compute()
            rule.advance()
        ends = [np.abs(x).max(-1) for x in rule.state.values()]
    return any(not (end <= _LARGEST).any() for end in ends)
