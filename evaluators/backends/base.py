"""What a backend is: it trains rules on one task.

    backend = open_backend("machine", Problems(task))
    results = backend.train([program], Fidelity(rates, seeds))

Each is a module of `kinds/`, whose name is what the command line, a configuration and a job call
it. To add one is to add a file with a `BACKEND` there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ...dsl.plugins import implementation, names_in
from ...dsl.program import Program
from ..fidelity import Fidelity

if TYPE_CHECKING:
    from .problems import Problems

# The one that takes rules as data: it compiles a loop for each task, not for each rule. COMPILED is
# the independent path, which compiles each rule and is worth that where runs are long.
AS_DATA, COMPILED = "machine", "fused"

_BACKENDS = "evoptax.evaluators.backends.kinds"

# Whether to stop at a checkpoint: (seed, steps taken, scores (L,)) -> bool.
Stop = Callable[[int, int, np.ndarray], bool]
# By name, values of hyperparameters other than `lr`, one for each learning rate.
Hyperparameters = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class TrainingResult:
    """What S seeds × L learning rates gave.

    Attributes:
      score: validation loss at the last checkpoint, shape (S, L); inf where the run diverged.
      diverged: shape (S, L): whether a minibatch loss, the final weights or the score were not
        finite. A run is never scored through non-finite weights, whatever the task says.
      steps: how many steps were taken: all, unless the run was stopped at a checkpoint or all
        replicates had diverged.
      curve: scores at C checkpoints, shape (S, L, C); inf from where a run had diverged.
      curve_steps: their steps, shape (C,).
    """

    score: np.ndarray
    diverged: np.ndarray
    steps: int
    curve: np.ndarray
    curve_steps: np.ndarray


class Backend(Protocol):
    """Trains rules on one task. It keeps what it compiles."""

    def refusal(self, program: Program) -> str:
        """Why it cannot train a rule, in a sentence; empty where it can."""
        ...

    def train(
        self,
        programs: Sequence[Program],
        fidelity: Fidelity,
        *,
        stop: Stop | None = None,
        hyperparameters: Hyperparameters | None = None,
    ) -> list[TrainingResult]:
        """Trains each rule at every learning rate with every seed.

        Args:
          programs: the rules; their `lr` takes the values of the grid.
          fidelity: learning rates, seeds, steps, checkpoints and schedule. The grid does not move
            here; see `learning_rates`.
          stop: asked after each checkpoint but the last, for each rule and seed.
          hyperparameters: of all these rules; others keep their defaults.

        Returns:
          A result for each rule, in order. It depends on the rule, the task and the fidelity, not
          on the other rules.

        Raises:
          UserError: for a rule that it refuses, with the sentence of `refusal`.
        """
        ...


class Opener(Protocol):
    """Opens a backend: the `BACKEND` of its module."""

    def __call__(self, problems: Problems, progress: Callable[[], None]) -> Backend:
        """Compiles nothing yet.

        Args:
          problems: of the task to be trained.
          progress: called whenever a run has got to a checkpoint.
        """
        ...


def backends() -> tuple[str, ...]:
    """The names of all backends."""
    return names_in(_BACKENDS)


def open_backend(
    name: str, problems: Problems, progress: Callable[[], None] = lambda: None
) -> Backend:
    """Opens a backend for a task.

    Args:
      name: of the backend. problems, progress: see `Opener`.

    Raises:
      UserError: there is no such backend; names those that there are.
    """
    opener: Opener = implementation(_BACKENDS, name, "BACKEND", "backend")
    return opener(problems, progress)
