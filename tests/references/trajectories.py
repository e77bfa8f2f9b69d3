"""What a reference returns, and the few words that the NumPy references share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Params = dict[str, np.ndarray]
"""One model: tensors by name."""


def _as_arrays(model: Params) -> Params:
    return {name: np.array(x, dtype=np.float64) for name, x in model.items()}


class Trajectory(list[Params]):
    """The parameters after each step: ``trajectory[i]`` is the model after step ``i + 1``.

    The entries are what a training loop holds and takes gradients at (Schedule-Free's y).
    ``eval_w`` is what one would evaluate (Schedule-Free's x), step by step; it is None where the
    reference states no second point.
    """

    def __init__(self, w: list[Params], eval_w: list[Params] | None = None) -> None:
        super().__init__(_as_arrays(model) for model in w)
        self.eval_w = None if eval_w is None else [_as_arrays(model) for model in eval_w]


Reference = Callable[..., Trajectory]
"""``reference(params, grads, **hyper) -> Trajectory``; the inputs are never modified."""


def ema(old: Any, new: Any, decay: float) -> Any:
    """Exponential moving average: ``decay * old + (1 - decay) * new``."""
    return decay * old + (1.0 - decay) * new


def norm(x: Any) -> float:
    """Euclidean (Frobenius) norm of all entries of one tensor."""
    return float(np.sqrt(np.sum(np.square(x))))


def model_norm(model: Params) -> float:
    """Euclidean norm over all tensors of a model together."""
    return float(np.sqrt(sum(np.sum(np.square(x)) for x in model.values())))


def each_tensor(rule: Callable[..., Iterator[Any]]) -> Reference:
    """Lift a rule for one tensor to a rule for a model.

    ``rule(w, grads, **hyper)`` is a generator: after each gradient it yields the new weights, or
    the pair (weights, evaluation point).
    """

    @functools.wraps(rule)
    def over_model(params: Params, grads: list[Params], **hyper: Any) -> Trajectory:
        steps: list[Params] = [{} for _ in grads]
        evals: list[Params] = [{} for _ in grads]
        has_eval = False
        for name, w in params.items():
            start = np.array(w, dtype=np.float64)
            column = [np.asarray(g[name], dtype=np.float64) for g in grads]
            for i, out in enumerate(rule(start, column, **hyper)):
                if isinstance(out, tuple):
                    out, eval_w = out
                    evals[i][name] = eval_w
                    has_eval = True
                steps[i][name] = out
        return Trajectory(steps, evals if has_eval else None)

    return over_model


def whole_model(rule: Callable[..., Iterator[np.ndarray]]) -> Reference:
    """Lift a rule for one vector to a rule for a model, whose tensors it sees end to end."""

    def flat(model: Params) -> np.ndarray:
        return np.concatenate([np.ravel(np.asarray(x, dtype=np.float64)) for x in model.values()])

    @functools.wraps(rule)
    def over_model(params: Params, grads: list[Params], **hyper: Any) -> Trajectory:
        ends = np.cumsum([np.size(x) for x in params.values()])[:-1]
        out = []
        for w in rule(flat(params), [flat(g) for g in grads], **hyper):
            pieces = zip(params.items(), np.split(w, ends), strict=True)
            out.append({name: piece.reshape(np.shape(x)) for (name, x), piece in pieces})
        return Trajectory(out)

    return over_model
