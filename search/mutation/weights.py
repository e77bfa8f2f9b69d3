"""Default relative frequency of each primitive in mutations.

It is 1 plus the number of documented rules that use the primitive: of rows 1 to 34 of the
catalogue, and of 112 others published up to 2026. With equal frequencies, two in three calls would
be of functions that no optimizer uses. The numbers are written down, so that documenting another
rule does not change any search.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ...dsl.primitive import CORE
from ...dsl.primitives import PRIMITIVES

_OFTEN = {
    "add": 124,
    "subtract": 109,
    "multiply": 146,
    "divide": 118,
    "power": 56,
    "mod": 21,
    "negative": 6,
    "maximum": 36,
    "minimum": 17,
    "less": 6,
    "greater": 23,
    "greater_equal": 13,
    "equal": 37,
    "where": 60,
    "abs": 15,
    "sign": 19,
    "square": 79,
    "sqrt": 74,
    "cbrt": 3,
    "exp": 3,
    "log": 2,
    "cos": 4,
    "sigmoid": 3,
    "lerp": 83,
    "clip": 9,
    "get_pi": 4,
    "norm": 23,
    "sum": 2,
    "mean": 8,
    "max": 2,
    "std": 3,
    "dot": 5,
    "global_norm": 21,
    "global_dot": 9,
    "clip_by_global_norm": 6,
}
PRIMITIVE_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {name: _OFTEN.get(name, 1) for name in sorted(PRIMITIVES) if PRIMITIVES[name].grammar == CORE}
)
