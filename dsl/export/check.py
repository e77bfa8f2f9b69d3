"""An exported Optax file against the interpreter, before anyone trains with it.

Nothing here imports JAX at import time.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..program import LEARNING_RATE, Program
from .example import Inputs, Points, example_inputs, interpreted
from .optax import to_optax
from .optax_names import rule_name
from .warm_up import WARM_UP, finite_at_rate_0

TOLERANCE = 1e-8


class ExportError(RuntimeError):
    """An exported file that does not do what its program does."""


def export_optax(program: Program) -> str:
    """The source of the program's Optax file, checked against the interpreter.

    Raises:
      ProgramError: if the program is not well formed.
      ExportError: if the file and the interpreter disagree.
    """
    source = to_optax(program)
    check_export(program, source)
    return source


def load(source: str) -> types.ModuleType:
    """Executes the source of an exported file and returns it as a module.

    This is the one place where evoptax executes text. The text is what `to_optax` wrote from a
    program that was parsed, never executed: each name in it is an identifier, each operation comes
    from the table of primitives, and docstrings are escaped. Never hand over anything else.
    """
    module = types.ModuleType("exported")
    # Not with this file's own __future__ imports, which would hide a wrong annotation.
    code = compile(source, "<exported optax file>", "exec", dont_inherit=True)
    exec(code, module.__dict__)
    return module


def check_export(program: Program, source: str) -> float:
    """Runs an exported file and the interpreter side by side, in float64 over ten steps.

    Each step of the file starts from the interpreter's weights and the file's own state, so that
    rules that amplify rounding errors from step to step can be compared as well. The learning rate
    warms up from 0, unless the rule does not stand that.

    Args:
      program: the rule.
      source: what `to_optax` wrote for it.

    Returns:
      The largest difference of weights or evaluation points, relative to the largest number of the
      tensor. Numbers that are not finite in both agree.

    Raises:
      ExportError: if that is over 1e-8, naming where it is.
    """
    import jax

    inputs = example_inputs()
    with jax.enable_x64(True):
        rates = None
        if LEARNING_RATE in program.defaults and finite_at_rate_0(program):
            rates = WARM_UP * program.defaults[LEARNING_RATE]
        expected = interpreted(program, inputs, rates)
        found = _exported(program, source, inputs, rates, expected)
    largest, place = max(_differences(found, expected, inputs.w))
    if largest > TOLERANCE:
        raise ExportError(
            f"the Optax file of {program.name} differs from its program by {largest:.3g} in the"
            f" {place}; at most {TOLERANCE:g} is accepted. A rule that depends on rounding errors,"
            " as sign(g - g * 1.1 / 1.1) does, cannot be exported"
        )
    return largest


def arguments(program: Program, inputs: Inputs) -> dict[str, Any]:
    """What the exported function needs besides the hyperparameters."""
    given: dict[str, dict[str, Any]] = {
        "T": {"total_steps": len(inputs.gradients)},
        "role": {"roles": inputs.role},
        "A": {"A": inputs.A},
    }
    return {k: v for i, needs in given.items() if i in program.inputs for k, v in needs.items()}


def _differences(
    found: list[Points], expected: list[Points], start: dict[str, np.ndarray]
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


def _exported(
    program: Program,
    source: str,
    inputs: Inputs,
    rates: np.ndarray | None,
    expected: list[Points],
) -> list[Points]:
    import jax
    import optax

    module, name = load(source), rule_name(program)
    given = arguments(program, inputs)
    if rates is not None:
        given["learning_rate"] = jax.numpy.asarray(rates).__getitem__
    optimizer = getattr(module, name)(**given)
    state = optimizer.init(jax.tree.map(jax.numpy.asarray, inputs.w))
    update = jax.jit(optimizer.update)
    starts = [inputs.w, *(points["weights"] for points in expected)]
    trajectory = []
    for params, gradient, loss in zip(starts, inputs.gradients, inputs.losses, strict=False):
        updates, state = update(gradient, state, params, value=loss)
        points = {"weights": optax.apply_updates(params, updates)}
        if program.evaluates_elsewhere:
            evaluation_params = getattr(module, f"{name}_eval_params")
            points["evaluation point"] = evaluation_params(state, points["weights"])
        trajectory.append(points)
    return trajectory


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
