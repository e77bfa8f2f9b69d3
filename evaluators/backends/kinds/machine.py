"""The machine as a backend: rules are data for one compiled loop, so they need no compilation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ....dsl.algebra.gradient_cost import cost_of_step
from ....dsl.machine import machine
from ....dsl.machine.bytecode import TooLarge, assemble
from ....dsl.machine.operations import FORMS
from ....dsl.program import Program
from ...fidelity import Fidelity
from ...protocol import by_replicate
from ..base import Hyperparameters, Stop, TrainingResult
from ..loop import Given, TrainingLoop
from ..problems import Problems
from ..stepper import Stepper

Array = jax.Array

# Schedules are padded to a multiple of this many steps, because each length is compiled separately.
SCHEDULED = 128


class _Machine:
    def __init__(self, problems: Problems, progress: Callable[[], None]) -> None:
        # A form of the machine is compiled only when a program needs it.
        self._loops = {
            form: TrainingLoop(problems, partial(_stepper, problems, form), progress)
            for form in FORMS
        }

    def refusal(self, program: Program) -> str:
        try:
            assemble(program)
        except TooLarge as error:
            return str(error)
        return ""

    def train(
        self,
        programs: Sequence[Program],
        fidelity: Fidelity,
        *,
        stop: Stop | None = None,
        hyperparameters: Hyperparameters | None = None,
    ) -> list[TrainingResult]:
        """As in `Backend`; with `hyperparameters` a program takes slightly more room."""
        return [self._train(program, fidelity, stop, hyperparameters) for program in programs]

    def _train(
        self,
        program: Program,
        fidelity: Fidelity,
        stop: Stop | None,
        hyperparameters: Hyperparameters | None,
    ) -> TrainingResult:
        count = len(fidelity.learning_rates)
        protocol, own = by_replicate(fidelity.protocol, hyperparameters, count)
        bytecode = assemble(program, bound_hyperparameters=own is None)
        tables = bytecode.arrays()
        # Constants are stored per replicate even if equal, so that one compilation serves both
        # cases.
        values = {**program.defaults, **(own or {})}
        tables["constants"] = bytecode.constants_for(values, count)

        def give(rates: np.ndarray, total: np.int32) -> Any:
            steps = SCHEDULED * math.ceil(total / SCHEDULED)
            by_step = protocol.multipliers(fidelity.schedule, int(total), steps) * rates
            return tables, machine.schedule(tables, by_step, total, steps=steps)

        loop = self._loops[bytecode.form]
        return loop.run(give, fidelity, stop, protocol.clip, cost_of_step(program))


def _stepper(problems: Problems, form: str, given: Given) -> Stepper:
    layout = replace(problems.layout, replicates=len(given.rates), form=form)
    tables, schedule = given.rule  # (K, S_REGISTERS, R)
    sizes = [math.prod(shape) for shape in layout.shapes]
    labels = {
        name: partial(
            _label_of_each, np.repeat(np.asarray(of, np.float32), sizes), layout.replicates
        )
        for name, of in problems.labels.items()
    }
    return Stepper(
        init=lambda w: machine.init(tables, layout, w),
        step=lambda state, at: machine.step(
            tables,
            layout,
            state,
            schedule[at.t - 1],
            at.g,
            at.loss,
            {**at.oracles, **at.noise, **labels},
        ),
        weights=lambda state: state.w,
        eval_w=lambda state: machine.evaluation_point(tables, layout, state),
    )


def _label_of_each(labels: np.ndarray, replicates: int) -> Array:
    """The labels of N weights, the same for all replicates: (R, N)."""
    return jnp.broadcast_to(labels, (replicates, len(labels)))


BACKEND = _Machine
