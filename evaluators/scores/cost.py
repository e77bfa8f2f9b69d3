"""What a rule costs on a task: the memory of its state, and the time of a training step."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...dsl.inference import kinds_of
from ...dsl.kinds import shape_of
from ...dsl.program import LEARNING_RATE, Program
from ..backends.base import COMPILED
from ..fidelity import Fidelity

if TYPE_CHECKING:
    from .evaluate import Evaluator

# Timed runs, of which the fastest counts, and their steps.
RUNS, STEPS = 3, 20


@dataclass(frozen=True)
class Cost:
    """What a rule costs on a task.

    Attributes:
      weights: of the task's model. state: numbers that the rule keeps between steps, in all.
      milliseconds: of a whole training step, gradient included, by the compiled path.
    """

    task: str
    weights: int
    state: int
    milliseconds: float

    @property
    def per_weight(self) -> float:
        """Numbers of state for each weight: 2 for AdamW."""
        return self.state / self.weights


def step_cost(evaluator: Evaluator, program: Program, task: str) -> Cost:
    """Counts a rule's state on a task and times its steps; nothing else should run meanwhile.

    Args:
      evaluator: of this task.
    """
    shapes = evaluator.shapes(task)
    weights = sum(map(math.prod, shapes))
    kinds = kinds_of(program).state.values()
    state = sum(math.prod(shape_of(kind, shape)) for kind in kinds for shape in shapes)
    rates = (program.defaults.get(LEARNING_RATE, 1.0),)
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        evaluator.score_on(program, task, Fidelity(rates, (0,), steps=STEPS), COMPILED)
        times.append(time.perf_counter() - started)
    return Cost(task, weights, state, 1e3 * min(times) / STEPS)
