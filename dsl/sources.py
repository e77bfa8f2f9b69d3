"""Who gives programs what they read and ask for."""

from __future__ import annotations

from enum import Enum


class Source(Enum):
    """Who gives inputs and oracles to programs.

    The value ends a refusal, as in "f reads 'loss', the minibatch loss at w, which traces do not
    have".
    """

    TRAINING = "no training task has"
    MACHINE = "the machine does not have; the fused path does"
    GATES = "the gates do not have"
    TRACES = "traces do not have"
    EXPORT = "exported Optax files are not given"


EVERYWHERE = frozenset(Source)
