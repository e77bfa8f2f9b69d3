"""The numbers that a rule is tried on before it is exported, and the interpreter on them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Leaves
from ..inputs import INPUTS, LABELS, labels_for
from ..kinds import Kind, shape_of
from ..members import is_of_members
from ..numpy.stepping import Stepper
from ..oracles import oracles_of
from ..program import LEARNING_RATE, Program
from ..synthetic_loss import oracles_around
from .base import Inputs, Points

STEPS = 10
BATCH_SIZE = 48
MEMBERS = 3
# By names in the order in which JAX sorts them.
SHAPES = {"bias": (5,), "kernel": (2, 2, 3, 2), "scale": (), "tall": (4, 3), "wide": (2, 5)}


def inputs_of(program: Program, steps: int = STEPS) -> Inputs:
    """Numbers for so many steps of a program, of several members if it is of members."""
    return example_inputs(steps, MEMBERS if is_of_members(program) else 0)


def example_inputs(steps: int = STEPS, members: int = 0) -> Inputs:
    """Numbers for so many steps.

    Args:
      steps: how many.
      members: see `Inputs`.
    """
    rng = np.random.default_rng(0)
    each = (members,) if members else ()

    def tree() -> dict[str, np.ndarray]:
        return {name: rng.normal(size=(*each, *shape)) for name, shape in SHAPES.items()}

    def matrix(size: int) -> np.ndarray:
        # Well conditioned, and so is its lower triangle.
        return 4 * np.eye(size) + rng.normal(size=(size, size))

    w, gradients = tree(), [tree() for _ in range(steps)]
    losses = rng.uniform(0.1, 2.0, (steps, *each))
    labels = {
        name: dict(zip(SHAPES, labels_for(name, len(SHAPES)), strict=True)) for name in LABELS
    }
    A = {name: matrix(shape_of(Kind.ROW_GRAM, shape)[0]) for name, shape in SHAPES.items()}
    varying: dict[str, Any] = {"loss": losses}
    for input in INPUTS.values():
        if input.noise is not None and (members or not input.of_members):
            draw, own = input.noise.numpy, each if input.own else ()
            varying[input.name] = [
                {name: np.asarray(draw(rng, (*own, *shape))) for name, shape in SHAPES.items()}
                for _ in range(steps)
            ]
    fixed: dict[str, Any] = {"T": steps, "B": BATCH_SIZE, "A": A, **labels}
    varying["fisher"] = [{name: x**2 for name, x in g.items()} for g in gradients]
    if members:
        varying["share"] = [rng.dirichlet(np.ones(members))] * steps
        varying["arrived"] = rng.choice([0.0, 1.0], (steps, members))
        varying["feedback"] = rng.normal(size=(steps, members))
        fixed["mixing"] = rng.dirichlet(np.ones(members), members)
    return Inputs(w, gradients, varying, fixed, members)


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
