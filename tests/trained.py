"""Trains a task with a rule, by a backend's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evoptax.dsl.program import Program
from evoptax.evaluators.backends.base import Backend, TrainingResult, open_backend
from evoptax.evaluators.backends.problems import Problems
from evoptax.evaluators.fidelity import Fidelity
from evoptax.evaluators.task import Task


class Trained:
    """One task, its problems and its backends, which are opened when they are first asked for."""

    def __init__(self, task: Task) -> None:
        self.task, self.problems = task, Problems(task)
        self._backends: dict[str, Backend] = {}

    def backend(self, name: str) -> Backend:
        if name not in self._backends:
            self._backends[name] = open_backend(name, self.problems)
        return self._backends[name]

    def by(
        self,
        name: str,
        program: Program,
        learning_rates: Sequence[float],
        seeds: Sequence[int],
        *,
        hyperparameters: Any = None,
        stop: Any = None,
        **fidelity: Any,
    ) -> TrainingResult:
        """What a backend gives; the rest are fields of a `Fidelity`."""
        (found,) = self.backend(name).train(
            [program],
            Fidelity(tuple(learning_rates), tuple(seeds), **fidelity),
            stop=stop,
            hyperparameters=hyperparameters,
        )
        return found

    def machine(self, *args: Any, **how: Any) -> TrainingResult:
        return self.by("machine", *args, **how)

    def fused(self, *args: Any, **how: Any) -> TrainingResult:
        return self.by("fused", *args, **how)
