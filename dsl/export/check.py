"""An exported rule against the interpreter, before anyone trains with it.

Nothing here imports JAX at import time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..program import LEARNING_RATE, Program
from .base import Points, Tree, exporter
from .example import inputs_of, interpreted
from .warm_up import WARM_UP, finite_at_rate_0

TOLERANCE = 1e-8


class ExportError(RuntimeError):
    """An exported rule that does not do what its program does."""


def export(program: Program, format: str) -> str:
    """A rule in some format, checked against the interpreter where the format can be run.

    Args:
      program: the rule.
      format: one of `formats()`.

    Raises:
      ProgramError: if the program is not well formed.
      ExportError: if the exported rule and the interpreter disagree.
      UserError: there is no such format.
    """
    text = exporter(format).write(program)
    check_export(program, text, format)
    return text


def check_export(program: Program, text: str, format: str) -> float:
    """Runs an exported rule and the interpreter side by side, in float64 over ten steps.

    The learning rate warms up from 0, unless the rule does not stand that.

    Args:
      program: the rule.
      text: what the format's exporter has written for it.
      format: one of `formats()`.

    Returns:
      The largest difference of weights or evaluation points, relative to the largest number of the
      tensor; 0 for a format that only people read. Numbers that are not finite in both agree.

    Raises:
      ExportError: if that is over 1e-8, naming where it is.
    """
    runnable = exporter(format).load(program, text)
    if runnable is None:
        return 0.0
    inputs = inputs_of(program)
    rates = None
    if LEARNING_RATE in program.defaults and finite_at_rate_0(program):
        rates = WARM_UP * program.defaults[LEARNING_RATE]
    expected = interpreted(program, inputs, rates)
    starts = [inputs.w, *(points["weights"] for points in expected[:-1])]
    found = runnable(inputs, rates, starts)
    largest, place = max(_differences(found, expected, inputs.w))
    if largest > TOLERANCE:
        raise ExportError(
            f"{program.name} as {format} differs from its program by {largest:.3g} in the {place};"
            f" at most {TOLERANCE:g} is accepted. A rule that depends on rounding errors, as"
            " sign(g - g * 1.1 / 1.1) does, cannot be exported"
        )
    return largest


def _differences(
    found: list[Points], expected: list[Points], start: Tree
) -> Iterator[tuple[float, str]]:
    """For each step and tensor, how much they differ and where that is."""
    before = {what: start for what in expected[0]}
    for step, points in enumerate(found):
        for what, tensors in points.items():
            for name, tensor in tensors.items():
                reference = expected[step][what][name]
                # A step is a difference, whose rounding errors have the size of its terms.
                scale = max(_size(reference), _size(before[what][name]))
                difference = _difference(np.asarray(tensor), reference, scale)
                yield difference, f"{what} of tensor '{name}' after step {step + 1}"
        before = expected[step]


def _size(tensor: np.ndarray) -> float:
    """The largest finite absolute value, or 0."""
    finite = np.abs(tensor[np.isfinite(tensor)])
    return float(finite.max(initial=0.0))


def _difference(found: np.ndarray, expected: np.ndarray, scale: float) -> float:
    """The largest difference in units of `scale`; inf where only one of both is finite."""
    finite = np.isfinite(expected)
    if found.shape != expected.shape or not np.array_equal(finite, np.isfinite(found)):
        return np.inf
    scale = max(scale, _size(found))
    if scale == 0:
        return 0.0
    # Scaled first, because the difference of two huge numbers can overflow.
    return float(np.abs(found[finite] / scale - expected[finite] / scale).max(initial=0.0))
