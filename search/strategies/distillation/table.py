"""Traces side by side, as a search looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....dsl.numpy.functions import columns
from ....dsl.numpy.whole_runs import Runs
from ....dsl.program import LEARNING_RATE
from .traces import Array, Trace

# At most so many steps and weights of the traces are looked at by the search.
MOST_STEPS = 32
MOST_WEIGHTS = 120
# An update is compared with its own size and with so much of its weight's typical update, so that
# neither the weights with large updates nor those with tiny ones decide alone.
_TYPICAL = 0.1
_OF_TENSOR = 1e-3
# Scores below this are rounding, of double precision or of single.
_ROUNDING, _SINGLE_ROUNDING = 1e-13, 5e-7


@dataclass(frozen=True)
class Table(Runs):
    """The first steps of traces, which a search looks at.

    Attributes:
      u: the updates, (steps, 1, columns). scale: what an error of an update is divided by.
      is_single: whether all updates are numbers of single precision.
    """

    u: Array
    scale: Array
    is_single: bool

    @property
    def lr(self) -> Array:
        """The learning rates, (steps, 1, columns)."""
        return self.inputs[LEARNING_RATE]

    @property
    def rounding(self) -> float:
        """A score below which errors are rounding."""
        return _SINGLE_ROUNDING if self.is_single else _ROUNDING


def table(
    traces: Sequence[Trace], most_steps: int = MOST_STEPS, most_weights: int = MOST_WEIGHTS
) -> Table:
    """The first steps of the smallest traces, as many as are to be looked at; never none."""
    total = min(trace.steps for trace in traces)
    steps = min(most_steps, total)
    order = sorted(range(len(traces)), key=lambda i: traces[i].size)
    kept: list[int] = []
    for i in order:
        if not kept or sum(traces[k].size for k in kept) + traces[i].size <= most_weights:
            kept.append(i)
    chosen = [traces[i] for i in sorted(kept)]

    def flat(arrays: Sequence[Array]) -> Array:
        return np.concatenate([a[:steps].reshape(steps, 1, -1) for a in arrays], axis=2)

    u = flat([a for trace in chosen for a in trace.updates])
    lanes = columns(*[tuple([a[0].size for a in trace.updates]) for trace in chosen])
    typical = np.sqrt(np.mean(u * u, axis=0, keepdims=True))
    of_tensors = np.add.reduceat(np.mean(u * u, axis=0), lanes.tensors, axis=-1)
    of_tensor = np.sqrt(of_tensors)[..., lanes.tensor_of]
    rates = [np.repeat(x.lr[:steps, None, None], x.size, axis=2) for x in chosen]
    inputs = {
        "w": flat([a for trace in chosen for a in trace.weights]),
        "g": flat([a for trace in chosen for a in trace.gradients]),
        "t": np.arange(1.0, steps + 1)[:, None, None],
        "T": np.full((1, 1, 1), float(total)),
        LEARNING_RATE: np.concatenate(rates, axis=2),
    }
    return Table(
        inputs,
        lanes,
        (steps, u.shape[2]),
        u=u,
        scale=np.abs(u) + _TYPICAL * typical + _OF_TENSOR * of_tensor + 1e-30,
        is_single=bool((u.astype(np.float32) == u).all()),
    )
