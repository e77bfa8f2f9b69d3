"""The training protocol: warm-up, final rate and gradient clipping, beside the rule.

They are data for the compiled loops, so that a new value needs no compilation. All rules of a
comparison have the same ones, or each has its own tuned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from .schedules import multipliers

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Protocol:
    """How a rule is trained, besides its learning rate and schedule.

    Attributes:
      warmup: the part of the steps, from 0 to 1, over which the learning rate rises linearly.
      final_rate: the learning rate at the end of a decaying schedule, relative to its peak.
      clip: the largest norm of the gradient over the whole model; a longer gradient is scaled down
        to it (Pascanu et al. 2013). None: never.
    """

    warmup: float = 0.0
    final_rate: float = 0.0
    clip: float | None = None

    @property
    def changed(self) -> dict[str, float]:
        """The settings that are not the defaults, by name."""
        return {name: x for name, x in asdict(self).items() if x != asdict(USUAL)[name]}


USUAL = Protocol()
SETTINGS = tuple(field.name for field in fields(Protocol))
# In `Hyperparameters`, a setting's name follows this; no hyperparameter of a rule has a dot.
PREFIX = "protocol."


@dataclass(frozen=True)
class Replicates:
    """The protocol of R replicates, as arrays.

    Attributes:
      warmup, final_rate: (R,).
      clip: (R,), inf where nothing is clipped; None if no replicate may be. Only then does the
        compiled loop lack the norm of the gradient, so that it is what it was without a protocol.
    """

    warmup: np.ndarray
    final_rate: np.ndarray
    clip: np.ndarray | None

    def multipliers(self, schedule: str, total: int, steps: int) -> np.ndarray:
        """Of the learning rates, by step, (steps, R); see `schedules.multipliers`."""
        return multipliers(schedule, total, steps, self.warmup, self.final_rate)


def by_replicate(
    usual: Protocol, values: Mapping[str, Sequence[float]] | None, count: int
) -> tuple[Replicates, Mapping[str, Sequence[float]] | None]:
    """Separates the protocol from the rule's own hyperparameters.

    Args:
      usual: the settings that `values` does not name.
      values: by name, one per replicate; settings of the protocol behind `PREFIX`.
      count: R.

    Returns:
      The protocol, and the hyperparameters of the rule (None if `values` is).
    """
    import numpy as np  # here, because most importers need only the names

    def column(name: str) -> Any:
        given = None if values is None else values.get(f"{PREFIX}{name}")
        value = getattr(usual, name) if given is None else given
        return None if value is None else np.broadcast_to(np.asarray(value, np.float64), (count,))

    found = Replicates(*(column(name) for name in SETTINGS))
    if values is None:
        return found, None
    return found, {name: x for name, x in values.items() if not name.startswith(PREFIX)}
