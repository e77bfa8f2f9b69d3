"""What belongs to the parameter tensors of a model: one array for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .kinds import Kind


class Leaves(tuple[Any, ...]):
    """One array per parameter tensor. A value that is not `Leaves` is a scalar of the model.

    Attributes:
      kind: of all the arrays; see `Kind`.
    """

    kind: Kind

    def __new__(cls, arrays: Iterable[Any] = (), kind: Kind = Kind.TENSOR) -> Leaves:
        leaves = super().__new__(cls, arrays)
        leaves.kind = kind
        return leaves


def mapped(function: Callable[..., Any], *values: Any) -> Any:
    """A function of each array of values of one kind, or of the scalars that they are."""
    first = values[0]
    if not isinstance(first, Leaves):
        return function(*values)
    return Leaves((function(*arrays) for arrays in zip(*values, strict=True)), first.kind)


def flat(xp: Any, value: Any) -> Any:
    """All numbers of a value as one vector."""
    leaves = value if isinstance(value, Leaves) else (value,)
    return xp.concatenate([xp.ravel(xp.asarray(leaf)) for leaf in leaves])
