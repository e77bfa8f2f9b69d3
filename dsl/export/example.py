"""The numbers that a rule is tried on before it is exported, and the interpreter on them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Leaves
from ..inputs import INPUTS
from ..kinds import Kind, shape_of
from ..numpy.stepping import Stepper
from ..oracles import oracles_of
from ..program import LEARNING_RATE, Program
from ..synthetic_loss import oracles_around
from .base import Inputs, Points

STEPS = 10
# By names in the order in which JAX sorts them.
SHAPES = {"bias": (5,), "kernel": (2, 2, 3, 2), "scale": (), "tall": (4, 3), "wide": (2, 5)}


def example_inputs(steps: int = STEPS) -> Inputs:
    """Numbers for so many steps."""
    rng = np.random.default_rng(0)

    def tree() -> dict[str, np.ndarray]:
        return {name: rng.normal(size=shape) for name, shape in SHAPES.items()}

    def matrix(size: int) -> np.ndarray:
        # Well conditioned, and so is its lower triangle.
        return 4 * np.eye(size) + rng.normal(size=(size, size))

    w, gradients = tree(), [tree() for _ in range(steps)]
    losses = rng.uniform(0.1, 2.0, steps)
    role = {name: 1.0 if i % 2 else -1.0 for i, name in enumerate(SHAPES)}
    A = {name: matrix(shape_of(Kind.ROW_GRAM, shape)[0]) for name, shape in SHAPES.items()}
    varying: dict[str, Any] = {"loss": losses}
    for input in INPUTS.values():
        if input.noise is not None:
            draw = input.noise.numpy
            varying[input.name] = [
                {name: np.asarray(draw(rng, shape)) for name, shape in SHAPES.items()}
                for _ in range(steps)
            ]
    return Inputs(w, gradients, varying, {"T": steps, "role": role, "A": A})


def interpreted(
    program: Program, inputs: Inputs, rates: np.ndarray | None = None, dtype: Any = np.float64
) -> list[Points]:
    """What the program makes of the inputs, by NumPy: the points after each step.

    Args:
      program: the rule.
      inputs: what it is given.
      rates: the learning rate of each step, or None for the program's default.
      dtype: of all computation.
    """
    fixed = {
        name: [*value.values()] if isinstance(value, dict) else value
        for name, value in inputs.fixed.items()
    }
    rule = Stepper(program, inputs.w.values(), dtype, **fixed)
    leaves, trajectory = Leaves(inputs.w.values()), []
    asks = bool(oracles_of(program))
    for i, gradient in enumerate(inputs.gradients):
        varying: dict[str, Any] = {
            name: [*of[i].values()] if isinstance(of[i], dict) else of[i]
            for name, of in inputs.varying.items()
        }
        if asks:
            loss = inputs.varying["loss"][i]
            varying["oracles"] = oracles_around(leaves, [*gradient.values()], loss)
        hyper = {} if rates is None else {LEARNING_RATE: rates[i]}
        leaves, eval_w = rule.step(leaves, gradient.values(), hyper=hyper, **varying)
        points = {"weights": leaves, "evaluation point": eval_w}
        trajectory.append({what: dict(zip(inputs.w, x, strict=True)) for what, x in points.items()})
    return trajectory
