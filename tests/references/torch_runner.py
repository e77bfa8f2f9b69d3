"""Drives a PyTorch optimizer in float64 over a fixed gradient sequence.

Importing this module loads torch, which the project itself does not need.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any
from unittest import mock

import torch

from .by_name import RULES
from .trajectories import Params, Trajectory

Tensors = list[torch.Tensor]
Patch = Callable[[], contextlib.AbstractContextManager[Any]]


@dataclass(frozen=True)
class Driver:
    """One optimizer in motion: ``step()`` uses the gradients on the tensors; ``evals()`` reads
    the evaluation point, tensor by tensor, where the rule has one."""

    step: Callable[[], Any]
    evals: Callable[[], Tensors] | None = None


@dataclass(frozen=True)
class Case:
    """One rule in one package.

    Attributes:
        rule: the rule's name in ``by_name.RULES``.
        source: the distribution on PyPI, or owner/name of the official repository.
        make: ``make(tensors, hyper)`` returns the optimizer, or a ``Driver`` around it.
        commit: the repository's commit; empty for a distribution.
        hyper: changes to ``RULES[rule].hyper``.
        tensors: the tensors compared; None for all of the rule's.
        tolerance: the largest absolute difference that counts as agreement.
        note: what had to be minded.
        patch: context in which it runs, for sources that fix a precision or an old signature.
        as_rows: hand each tensor in as a matrix of one row.
    """

    rule: str
    source: str
    make: Callable[[Tensors, dict[str, Any]], Any]
    commit: str = ""
    hyper: dict[str, Any] = field(default_factory=dict)
    tensors: tuple[str, ...] | None = None
    tolerance: float = 1e-12
    note: str = ""
    patch: Patch = contextlib.nullcontext
    as_rows: bool = False

    @property
    def full_hyper(self) -> dict[str, Any]:
        """The hyperparameters of this comparison, under the NumPy reference's names."""
        return {**RULES[self.rule].hyper, **self.hyper}

    @property
    def names(self) -> tuple[str, ...]:
        """The tensors compared."""
        return RULES[self.rule].tensors if self.tensors is None else self.tensors

    @property
    def version(self) -> str:
        """The installed version of a distribution; "repository" for official code."""
        return "repository" if self.commit else metadata.version(self.source)


def run_case(case: Case, params: Params, grads: list[Params]) -> Trajectory:
    """The case's float64 trajectory. Game roles turn into signs of the gradients handed in."""
    hyper = case.full_hyper
    roles = hyper.get("roles", {})
    shapes = {name: (1, -1) if case.as_rows else x.shape for name, x in params.items()}
    tensors = {
        name: torch.tensor(x, dtype=torch.float64).reshape(shapes[name]).requires_grad_()
        for name, x in params.items()
    }

    def read(values: Tensors) -> Params:
        return {
            name: x.detach().numpy().copy().reshape(params[name].shape)
            for name, x in zip(tensors, values, strict=True)
        }

    out, evals = [], []
    with case.patch(), contextlib.redirect_stdout(io.StringIO()):
        made = case.make(list(tensors.values()), hyper)
        driver = made if isinstance(made, Driver) else Driver(made.step)
        for g in grads:
            for name, x in tensors.items():
                signed = roles.get(name, 1.0) * g[name]
                x.grad = torch.tensor(signed, dtype=torch.float64).reshape(shapes[name])
            driver.step()
            out.append(read(list(tensors.values())))
            if driver.evals is not None:
                evals.append(read(driver.evals()))
    return Trajectory(out, evals or None)


def switching(optimizer: Any, tensors: Tensors) -> Driver:
    """A driver for optimizers that swap the evaluation point in with ``eval()`` and ``train()``."""
    optimizer.train()

    def evals() -> Tensors:
        optimizer.eval()
        copies = [x.detach().clone() for x in tensors]
        optimizer.train()
        return copies

    return Driver(optimizer.step, evals)


def in_double() -> contextlib.AbstractContextManager[Any]:
    """Makes ``x.bfloat16()`` mean ``x.double()``: Newton-Schulz in full precision."""
    return mock.patch.object(torch.Tensor, "bfloat16", lambda x: x.double())


def own_dtype_state() -> contextlib.AbstractContextManager[Any]:
    """Makes ``zeros_like(p, dtype=...)`` keep p's own dtype: optimizer state in float64."""
    original = torch.zeros_like

    def zeros_like(x: torch.Tensor, **options: Any) -> torch.Tensor:
        options.pop("dtype", None)
        return original(x, **options)

    return mock.patch.object(torch, "zeros_like", zeros_like)


@contextlib.contextmanager
def old_signatures() -> Iterator[None]:
    """Accepts torch's former ``add_(number, tensor)`` and ``addc*_(number, a, b)`` calls."""

    def reordered(method: Callable[..., Any], scale: str) -> Callable[..., Any]:
        def call(x: torch.Tensor, *args: Any, **options: Any) -> Any:
            if len(args) > 1 and not isinstance(args[0], torch.Tensor):
                return method(x, *args[1:], **{scale: args[0]})
            return method(x, *args, **options)

        return call

    with contextlib.ExitStack() as stack:
        for name, scale in (("add_", "alpha"), ("addcmul_", "value"), ("addcdiv_", "value")):
            replacement = reordered(getattr(torch.Tensor, name), scale)
            stack.enter_context(mock.patch.object(torch.Tensor, name, replacement))
        yield
