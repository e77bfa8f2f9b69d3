"""Traces: what an update rule was given and what it answered, and the file that holds them.

A file of traces is a plain NumPy archive (`numpy.savez`), read without pickle. With traces numbered
from 0 and tensors named by whoever recorded them it holds, of real numbers:

    0/weights/kernel     (steps, *shape)   w before each step
    0/gradients/kernel   (steps, *shape)   g at each step
    0/updates/kernel     (steps, *shape)   what the rule subtracted from w
    0/lr                 () or (steps,)    the learning rate, one number or one for each step
    1/weights/kernel     ...

Step t of a trace, from 1, is row t - 1, and the first row is the first step that the rule took: its
state was fresh. All traces have the same number of steps; their tensors may differ.

Whoever has weights before and after has updates: u = w - w_next. Optax's updates are added to the
weights, so they enter here with the other sign.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ....dsl.errors import ProgramError, UserError
from ....dsl.files import replace_bytes
from ....dsl.inputs import Source, refusal
from ....dsl.numpy.stepping import Stepper
from ....dsl.program import LEARNING_RATE, Program
from .archive import read_archive

Array = np.ndarray[Any, Any]

_PARTS = ("weights", "gradients", "updates")
_TENSOR_KEY = re.compile(r"(0|[1-9][0-9]*)/(weights|gradients|updates)/(.+)", re.DOTALL)
_RATE_KEY = re.compile(r"(0|[1-9][0-9]*)/lr")
_ACCEPTED = (
    "0/weights/NAME, 0/gradients/NAME, 0/updates/NAME and 0/lr, and so on for traces 1, 2, …"
)
# Fewer say nothing about what a rule remembers.
FEWEST_STEPS = 2


@dataclass(frozen=True)
class Trace:
    """What one run of a rule saw and did, from its first step on.

    Attributes:
      names: of the tensors.
      weights, gradients, updates: one array of shape (steps, *shape) for each tensor: w before the
        step, g at it, and what was subtracted from w.
      lr: the learning rate at each step, (steps,).
    """

    names: tuple[str, ...]
    weights: tuple[Array, ...]
    gradients: tuple[Array, ...]
    updates: tuple[Array, ...]
    lr: Array

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.lr)

    @property
    def size(self) -> int:
        """Numbers in all tensors together."""
        return sum(w[0].size for w in self.weights)


def write_traces(path: Path | str, traces: Sequence[Trace]) -> None:
    """Writes traces to a file that `read_traces` reads back; the name is taken as it is.

    Raises:
      UserError: there is no trace, or the file cannot be written.
    """
    if not traces:
        raise UserError(f"no traces to write to '{path}'; at least one is needed")
    arrays: dict[str, Array] = {}
    for index, trace in enumerate(traces):
        arrays[f"{index}/lr"] = trace.lr
        for part in _PARTS:
            for name, array in zip(trace.names, getattr(trace, part), strict=True):
                arrays[f"{index}/{part}/{name}"] = array
    archive = io.BytesIO()
    # Its own parameters are not keys here: every key has a slash.
    np.savez_compressed(archive, allow_pickle=False, **arrays)
    replace_bytes(Path(path), archive.getvalue())


def read_traces(path: Path | str) -> tuple[Trace, ...]:
    """Reads a file of traces.

    Raises:
      UserError: the file cannot be read, is no NumPy archive, or holds an array that is not
        accepted, which is named.
    """
    arrays = read_archive(path)
    # By trace, part and tensor.
    found: dict[int, dict[str, dict[str, Array]]] = {}
    for key, array in arrays.items():
        tensor, rate = _TENSOR_KEY.fullmatch(key), _RATE_KEY.fullmatch(key)
        if tensor is None and rate is None:
            raise UserError(f"'{path}': array '{key}' is not accepted; accepted: {_ACCEPTED}")
        index, part, name = tensor.groups() if tensor else (key.split("/")[0], "lr", "")
        found.setdefault(int(index), {}).setdefault(part, {})[name] = _numbers(path, key, array)
    if not found:
        raise UserError(f"'{path}' holds no arrays; accepted: {_ACCEPTED}")
    missing = next((i for i in range(len(found)) if i not in found), None)
    if missing is not None:
        raise UserError(
            f"'{path}' has no trace {missing}, though {max(found)}; traces are numbered from 0"
        )
    traces = tuple(_trace(path, index, found[index]) for index in range(len(found)))
    for index, trace in enumerate(traces):
        if trace.steps != traces[0].steps:
            raise UserError(
                f"'{path}': trace {index} has {trace.steps} steps and trace 0 has"
                f" {traces[0].steps}; all need the same number"
            )
    return traces


def _numbers(path: Path | str, key: str, array: Any) -> Array:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        kind = getattr(array, "dtype", type(array).__name__)
        raise UserError(f"'{path}': array '{key}' has type {kind}; accepted: real numbers")
    numbers = np.asarray(array, np.float64)
    if not np.isfinite(numbers).all():
        raise UserError(f"'{path}': array '{key}' holds NaN or infinity; accepted: finite numbers")
    return numbers


def _trace(path: Path | str, index: int, parts: Mapping[str, Mapping[str, Array]]) -> Trace:
    """One trace, its arrays being checked against each other."""
    for part in (*_PARTS, "lr"):
        if part not in parts:
            ending = "" if part == "lr" else "/NAME"
            raise UserError(f"'{path}' lacks array '{index}/{part}{ending}'")
    names = tuple(parts["weights"])
    first = parts["weights"][names[0]]
    for part in _PARTS:
        for name in (*names, *parts[part]):
            key = f"{index}/{part}/{name}"
            if name not in parts[part]:
                raise UserError(f"'{path}' lacks array '{key}'")
            if name not in names:
                raise UserError(f"'{path}' has array '{key}' but no '{index}/weights/{name}'")
            array, like = parts[part][name], parts["weights"][name]
            if array.ndim == 0 or len(array) != len(first) or array.shape != like.shape:
                raise UserError(
                    f"'{path}': array '{key}' has shape {array.shape}; accepted: the shape of"
                    f" '{index}/weights/{name}', {like.shape}, whose first axis is the"
                    f" {len(first) if first.ndim else 0} steps"
                )
    if len(first) < FEWEST_STEPS or not any(a[0].size for a in parts["weights"].values()):
        raise UserError(
            f"'{path}': trace {index} has {len(first)} steps of"
            f" {sum(a[:1].size for a in parts['weights'].values())} weights;"
            f" at least {FEWEST_STEPS} steps of one weight are needed"
        )
    lr = parts["lr"][""]
    # A schedule may start or end at 0; updates at no other rate say nothing.
    if lr.shape not in ((), (len(first),)) or not ((lr >= 0).all() and (lr > 0).any()):
        raise UserError(
            f"'{path}': array '{index}/lr' has shape {lr.shape} and values from"
            f" {f'{lr.min():g} to {lr.max():g}' if lr.size else 'nowhere'}; accepted: one positive"
            f" number, or one for each of the {len(first)} steps, none negative and not all 0"
        )
    weights, gradients, updates = (tuple([parts[part][name] for name in names]) for part in _PARTS)
    rates = np.broadcast_to(lr, (len(first),)).copy()
    return Trace(names, weights, gradients, updates, rates)


def relative_error(program: Program, traces: Sequence[Trace]) -> float:
    """How far a program's updates are from the recorded ones.

    The program sees the recorded weights, gradients, learning rates and step numbers; its own
    updates do not move the weights. This is the reference evaluation in float64, which runs every
    program that reads what traces have.

    Returns:
      The largest, over traces and their tensors, of ‖û - u‖ / ‖u‖ over all steps; inf where û is
      not finite anywhere, or not zero though u is.

    Raises:
      UserError: for a program that reads an input that traces do not have.
    """
    if refused := refusal(program, Source.TRACES):
        raise UserError(f"{program.name} {refused}")
    worst = 0.0
    for trace in traces:
        try:
            rule = Stepper(program, [w[0] for w in trace.weights], T=trace.steps)
            answered = [
                rule.update(
                    [w[t] for w in trace.weights],
                    [g[t] for g in trace.gradients],
                    hyper={LEARNING_RATE: lr},
                )
                for t, lr in enumerate(trace.lr)
            ]
        except ProgramError:
            return float("inf")
        for i, recorded in enumerate(trace.updates):
            worst = max(worst, _distance(np.stack([u[i] for u in answered]), recorded))
    return worst


def _distance(answered: Array, recorded: Array) -> float:
    size = float(np.linalg.norm(recorded))
    distance = float(np.linalg.norm(answered - recorded))
    if not np.isfinite(distance):
        return float("inf")
    if size == 0.0:
        return 0.0 if distance == 0.0 else float("inf")
    return distance / size
