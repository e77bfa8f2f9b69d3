"""Grammars: which primitives a search draws, and how often unless its configuration says so; and
which inputs its mutations read.

A grammar is a start, not a fence: a configuration may give any primitive of another grammar a
weight, and name its inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ...dsl.inputs import INPUTS, in_order
from ...dsl.oracles import ORACLES
from ...dsl.primitive import CORE, MATRIX, ORACLE
from ...dsl.primitives import PRIMITIVES
from .base import READ, READABLE
from .weights import PRIMITIVE_WEIGHTS

# What any grammar draws.
DRAWABLE = tuple(row.name for row in PRIMITIVES.values() if row.grammar)
# On the scale of `PRIMITIVE_WEIGHTS`, whose sum is some 1,200: where matrix operations are drawn
# seldom, they hardly ever stand around the step (benchmarks/reach.py counts).
_OF_MATRICES = {
    "orthogonalize": 60.0,
    "normalize": 40.0,
    "normalize_rows": 25.0,
    "normalize_columns": 25.0,
    "rescale": 50.0,
    "row_mean": 30.0,
    "column_mean": 30.0,
}
_SELDOM = 6.0
# On the same scale. A loss elsewhere is a number for the model, which few rules need.
_ORACLES = {"grad": 60.0, "hvp": 25.0, "loss_at": 6.0}


def _matrix() -> dict[str, float]:
    rows = (name for name in DRAWABLE if PRIMITIVES[name].grammar == MATRIX)
    return {name: _OF_MATRICES.get(name, _SELDOM) for name in rows}


def _oracles() -> dict[str, float]:
    return {row.name: _ORACLES.get(row.name, _SELDOM) for row in ORACLES if row.grammar == ORACLE}


# By name: relative frequency of each primitive that is drawn, in the order of their names.
GRAMMARS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        # The 45 functions of Lion's search space (Chen et al. 2023).
        "lion45": {n: w for n, w in PRIMITIVE_WEIGHTS.items() if PRIMITIVES[n].lion},
        CORE: dict(PRIMITIVE_WEIGHTS),
        # What acts on rows, columns and whole matrices too.
        MATRIX: dict(sorted({**PRIMITIVE_WEIGHTS, **_matrix()}.items())),
        # What asks for the loss elsewhere too. A candidate's cost in gradients is not yet counted.
        ORACLE: dict(sorted({**PRIMITIVE_WEIGHTS, **_oracles()}.items())),
    }
)

_ASKING = frozenset(name for name in READABLE if INPUTS[name].grammar == ORACLE)
# The inputs that mutations read. Noise and labels of tensors come with the oracles: all of them run
# on larger forms of the machine.
READ_BY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: in_order({*READ, *_ASKING}) if name == ORACLE else READ for name in GRAMMARS}
)
