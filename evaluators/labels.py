"""The labels that a task gives its tensors: the players of a game, groups of layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax

from ..dsl.inputs import INPUTS


def labels_of(
    functions: Mapping[str, Callable[[Any], Any]], params: Any
) -> dict[str, tuple[float, ...]]:
    """The label of each tensor, in the order of the leaves, without those of empty ones.

    Args:
      functions: by input of the language; see `Task.labels`.
      params: parameters, or their shapes and dtypes.

    Raises:
      ValueError: a function returns something else than a tree like params of accepted labels; the
        message begins with its name.
    """
    return {name: _labels(name, function, params) for name, function in functions.items()}


def _labels(name: str, function: Callable[[Any], Any], params: Any) -> tuple[float, ...]:
    found: Any = function(params)
    like: Any = jax.tree.structure(params)
    if jax.tree.structure(found) != like:
        raise ValueError(f"'{name}' returns {found!r}; it must return a number for each of {like}")
    accepted = INPUTS[name].labels
    for label in jax.tree.leaves(found):
        if isinstance(label, bool) or label not in accepted:
            numbers = " or ".join(f"{x:g}" for x in accepted)
            raise ValueError(f"'{name}' gives a tensor the label {label!r}; accepted: {numbers}")
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(params), strict=True)
    return tuple(float(label) for label, leaf in pairs if leaf.size)
