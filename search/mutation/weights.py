"""Default relative frequency of each primitive in mutations.

It is 1 plus the number of documented rules (rows 1 to 34) that use the primitive. With equal
frequencies, two in three calls would be of functions that no optimizer uses. The numbers are
written down, so that documenting another rule does not change any search.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ...dsl.primitive import CORE
from ...dsl.primitives import PRIMITIVES

_OFTEN = {
    "add": 32,
    "subtract": 26,
    "multiply": 39,
    "divide": 28,
    "power": 16,
    "mod": 6,
    "maximum": 8,
    "minimum": 7,
    "greater": 6,
    "greater_equal": 4,
    "equal": 10,
    "where": 16,
    "abs": 3,
    "sign": 3,
    "square": 22,
    "sqrt": 23,
    "sigmoid": 2,
    "lerp": 22,
    "norm": 9,
    "std": 2,
    "global_norm": 4,
    "clip_by_global_norm": 3,
}
PRIMITIVE_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {name: _OFTEN.get(name, 1) for name in sorted(PRIMITIVES) if PRIMITIVES[name].grammar == CORE}
)
