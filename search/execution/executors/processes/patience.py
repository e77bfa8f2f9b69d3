"""How long a worker may be silent before it is considered hung.

A worker gives a sign of life after each piece of training: one seed up to the next checkpoint, for
all learning rates at once. So the limit is independent of the size of a request.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from .....dsl.errors import UserError

VARIABLE = "EVOPTAX_WORKER_DEADLINE"
SECONDS = 300.0

# The kind of a piece: the request's name, the backend, the task.
Kind = tuple[str, str, str]


@dataclass
class Patience:
    """Time limits for pieces of training, learned from how long earlier ones took.

    Attributes:
      least: the lower bound of every limit, in seconds.
      times: the limit is this multiple of the longest piece of the same kind so far.
      first: the limit is this multiple of `least` for the first piece of a kind, which may compile,
        and for loading a task, which may fetch its data.
      start: the limit for starting a process, in seconds.
    """

    least: float = SECONDS
    times: float = 20.0
    first: float = 6.0
    start: float = 900.0
    _longest: dict[Kind, float] = field(default_factory=dict)

    def learn(self, kind: Kind, seconds: float) -> None:
        """Notes how long a piece took."""
        self._longest[kind] = max(seconds, self._longest.get(kind, 0.0))

    def limit(self, kind: Kind) -> float:
        """The limit for a piece, in seconds."""
        longest = self._longest.get(kind)
        # The longest piece of a kind usually includes its compilation.
        return self.least * self.first if longest is None else max(self.least, self.times * longest)


def chosen_patience(environment: Mapping[str, str] = os.environ) -> Patience:
    """Patience with `least` from the environment variable EVOPTAX_WORKER_DEADLINE, if it is set.

    Raises:
      UserError: the variable is not a positive number.
    """
    text = environment.get(VARIABLE, "")
    try:
        seconds = float(text or SECONDS)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UserError(f"{VARIABLE} is '{text}'; accepted: a number of seconds above 0")
    return Patience(seconds)
