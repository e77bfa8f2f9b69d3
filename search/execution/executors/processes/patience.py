"""How long a worker may give no sign of life before it is taken to hang.

A worker gives one whenever it finishes a piece of training: one seed's run up to its next
checkpoint, for all learning rates at once. So the limit does not grow with what a request asks for.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from .....dsl.errors import UserError

VARIABLE = "EVOPTAX_WORKER_DEADLINE"
SECONDS = 300.0

# What a piece is: what is asked for, the path that trains, the task.
Kind = tuple[str, str, str]


@dataclass
class Patience:
    """What is learned about how long pieces take, and the limit that follows.

    Attributes:
      least: seconds that any piece is given.
      times: a piece is given so many times as long as the longest of its kind so far took.
      first: the first piece of a kind, which may compile, and loading a task, which may fetch its
        data, are given so many times `least`.
      start: seconds that a process is given until it runs.
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
        """Seconds that a piece is given."""
        longest = self._longest.get(kind)
        # What others of its kind took holds their compilation too.
        return self.least * self.first if longest is None else max(self.least, self.times * longest)


def chosen_patience(environment: Mapping[str, str] = os.environ) -> Patience:
    """With the seconds that the environment gives, if it does.

    Raises:
      UserError: they are no positive number.
    """
    text = environment.get(VARIABLE, "")
    try:
        seconds = float(text or SECONDS)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UserError(f"{VARIABLE} is '{text}'; accepted: a number of seconds above 0")
    return Patience(seconds)
