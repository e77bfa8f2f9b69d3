"""Fidelity: the learning rates, seeds, steps and checkpoints with which a rule is trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from .protocol import Protocol

# Half a decade apart, wide enough for AdamW (1e-3), Lion (1e-4) and SGD (1) alike.
LEARNING_RATES: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)


@dataclass(frozen=True)
class Fidelity:
    """How thoroughly a rule is trained on a task.

    Attributes:
      learning_rates: the grid, the same for every rule.
      seeds: of problem, initial weights and minibatches, the same for every rule.
      steps: the number of training steps; None for the task's own. A rule whose steps cost more
        than one gradient evaluation takes fewer, so that all spend the same.
      checkpoints: the number of evaluations of the validation loss, evenly spaced; at most one per
        step.
      schedule: name of the learning-rate schedule; see `schedules`.
      moves: how many times the grid may move by half its width until the best rate lies inside; see
        `learning_rates`.
      warmup, final_rate, clip: the training protocol; see `protocol`.
    """

    learning_rates: tuple[float, ...] = LEARNING_RATES
    seeds: tuple[int, ...] = (0,)
    steps: int | None = None
    checkpoints: int = 1
    moves: int = 0
    schedule: str = "constant"
    warmup: float = 0.0
    final_rate: float = 0.0
    clip: float | None = None

    @property
    def protocol(self) -> Protocol:
        """The training protocol."""
        return Protocol(self.warmup, self.final_rate, self.clip)

    def under(self, protocol: Protocol) -> Fidelity:
        """The same with another protocol."""
        return replace(self, **asdict(protocol))

    def plain(self) -> dict[str, Any]:
        """As plain data, for keys of stored results: settings of the usual protocol are left out,
        so that results of before there was one keep their keys.
        """
        usual = asdict(Protocol())
        return {k: v for k, v in asdict(self).items() if k not in usual or v != usual[k]}
