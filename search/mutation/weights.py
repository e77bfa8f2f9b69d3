"""How often mutations draw each primitive where the configuration says nothing else.

Once, and once more for each of the documented rules of rows 1 to 34 that uses it. Drawn alike, two
in three of all calls would be of functions that no optimizer is made of, and those that are would
hardly ever meet. The numbers are written down, so that a further documented rule changes no search.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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
    {name: _OFTEN.get(name, 1) for name in sorted(PRIMITIVES) if PRIMITIVES[name].searched}
)
