"""The backend protocol: a backend trains rules on one task.

    backend = open_backend("machine", Problems(task))
    results = backend.train([program], Fidelity(rates, seeds))

Each backend is a module of `kinds/`; its name is used on the command line, in configurations and in
jobs. To add one, add a file there that defines `BACKEND`.
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

# AS_DATA takes rules as data and compiles a loop per task. COMPILED is the independent path: it
# compiles a loop per rule, which pays off for long runs.
AS_DATA, COMPILED = "machine", "fused"

_BACKENDS = "evoptax.evaluators.backends.kinds"

# Decides whether to stop at a checkpoint: (seed, steps taken, scores (L,)) -> bool.
Stop = Callable[[int, int, np.ndarray], bool]
# Values of hyperparameters other than `lr`, by name, one for each learning rate; also of the
# protocol's settings (`protocol.PREFIX`).
Hyperparameters = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class TrainingResult:
    """The result of training one rule with S seeds × L learning rates.

    Attributes:
      score: validation loss at the last checkpoint, shape (S, L); inf where the run diverged.
      diverged: whether a minibatch loss, the final weights or the score were non-finite, (S, L).
        Non-finite weights always count as diverged, whatever score the task gives them.
      steps: the number of steps taken: all, unless the run was stopped early or all replicates had
        diverged.
      curve: scores at C checkpoints, shape (S, L, C); inf from where a run had diverged.
      curve_steps: what they had spent, in gradient evaluations, shape (C,): their steps, where a
        step costs one.
    """

    score: np.ndarray
    diverged: np.ndarray
    steps: int
    curve: np.ndarray
    curve_steps: np.ndarray


class Backend(Protocol):
    """Trains rules on one task. It keeps what it compiles."""

    def refusal(self, program: Program) -> str:
        """Why this backend cannot train a rule, in a sentence; empty if it can."""
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

        All rules spend as many gradient evaluations: a rule whose steps cost more takes fewer.

        Args:
          programs: the rules; their `lr` takes the values of the grid.
          fidelity: learning rates, seeds, steps, checkpoints and schedule. The grid does not move
            here; see `learning_rates`.
          stop: called after each checkpoint but the last, for each rule and seed.
          hyperparameters: values for all of these rules; others keep their defaults.

        Returns:
          A result per rule, in order. It depends only on the rule, the task and the fidelity.

        Raises:
          UserError: a rule is refused; the message is that of `refusal`.
        """
        ...


class Opener(Protocol):
    """Opens a backend: the `BACKEND` of its module."""

    def __call__(self, problems: Problems, progress: Callable[[], None]) -> Backend:
        """Opens the backend, without compiling anything.

        Args:
          problems: the task's problems.
          progress: called whenever a run reaches a checkpoint.
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
