"""Grammars: which primitives a search draws, and how often unless its configuration says so.

A grammar is a start, not a fence: a configuration may give any primitive of another grammar a
weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ...dsl.primitive import CORE, MATRIX
from ...dsl.primitives import PRIMITIVES
from .weights import PRIMITIVE_WEIGHTS

# What any grammar draws.
DRAWABLE = tuple(row.name for row in PRIMITIVES.values() if row.grammar)
# On the scale of `PRIMITIVE_WEIGHTS`, where a primitive that no documented rule uses has 1.
_OF_MATRICES = {
    "orthogonalize": 2.0,
    "normalize": 1.0,
    "normalize_rows": 0.7,
    "normalize_columns": 0.7,
    "rescale": 0.7,
    "row_mean": 0.7,
    "column_mean": 0.7,
}
_SELDOM = 0.2


def _matrix() -> dict[str, float]:
    rows = (name for name in DRAWABLE if PRIMITIVES[name].grammar == MATRIX)
    return {name: _OF_MATRICES.get(name, _SELDOM) for name in rows}


# By name: relative frequency of each primitive that is drawn, in the order of their names.
GRAMMARS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        # The 45 functions of Lion's search space (Chen et al. 2023).
        "lion45": {n: w for n, w in PRIMITIVE_WEIGHTS.items() if PRIMITIVES[n].lion},
        CORE: dict(PRIMITIVE_WEIGHTS),
        # What acts on rows, columns and whole matrices too.
        MATRIX: dict(sorted({**PRIMITIVE_WEIGHTS, **_matrix()}.items())),
    }
)
