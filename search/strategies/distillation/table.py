"""Traces side by side, as a search looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
class Table:
    """Traces side by side: every weight of every trace is a column.

    Attributes:
      w, g, lr: (steps, 1, columns). t: (steps, 1, 1).
      u: the updates, (steps, 1, columns). scale: what an error of an update is divided by.
      tensors: the first column of each tensor. tensor_of: the tensor of each column.
      models: the first tensor of each trace. trace_of: the trace of each column.
      total: the number of steps of the traces, of which these are the first.
      is_single: whether all updates are numbers of single precision.
    """

    w: Array
    g: Array
    u: Array
    lr: Array
    t: Array
    scale: Array
    tensors: Array
    tensor_of: Array
    models: Array
    trace_of: Array
    total: int
    is_single: bool

    @property
    def rounding(self) -> float:
        """A score below which errors are rounding."""
        return _SINGLE_ROUNDING if self.is_single else _ROUNDING

    @property
    def shape(self) -> tuple[int, int]:
        """Steps and columns."""
        return self.u.shape[0], self.u.shape[2]


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
    sizes = np.array([a[0].size for trace in chosen for a in trace.updates])
    tensor_of = np.repeat(np.arange(len(sizes)), sizes)
    trace_of_tensor = np.repeat(np.arange(len(chosen)), [len(x.updates) for x in chosen])
    # A tensor without weights has no column.
    present = sizes > 0
    tensor_of = np.unique(tensor_of, return_inverse=True)[1]
    trace_of_tensor = trace_of_tensor[present]
    tensors = np.flatnonzero(np.diff(tensor_of, prepend=-1))
    models = np.flatnonzero(np.diff(trace_of_tensor, prepend=-1))
    typical = np.sqrt(np.mean(u * u, axis=0, keepdims=True))
    of_tensor = np.sqrt(np.add.reduceat(np.mean(u * u, axis=0), tensors, axis=-1))[..., tensor_of]
    return Table(
        w=flat([a for trace in chosen for a in trace.weights]),
        g=flat([a for trace in chosen for a in trace.gradients]),
        u=u,
        lr=np.concatenate(
            [np.repeat(x.lr[:steps, None, None], x.size, axis=2) for x in chosen], axis=2
        ),
        t=np.arange(1.0, steps + 1)[:, None, None],
        scale=np.abs(u) + _TYPICAL * typical + _OF_TENSOR * of_tensor + 1e-30,
        tensors=tensors,
        tensor_of=tensor_of,
        models=models,
        trace_of=trace_of_tensor[tensor_of],
        total=total,
        is_single=bool((u.astype(np.float32) == u).all()),
    )
