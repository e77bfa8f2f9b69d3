"""Exact laws of algebra, applied as terms are built.

They change no result in IEEE arithmetic, NaN and infinities included, except that constants are
folded in float64 before they are rounded to the training precision. `laws` marks which they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from ..primitive import Primitive, Scope
from ..primitives import PRIMITIVES
from .matching import rewritten
from .terms import CONSTANT, Term, call, constant, keep


class Level(IntEnum):
    """Which rules apply: none, or those that are exact."""

    NONE = 0
    EXACT = 1


# By level, what a primitive over terms was rewritten to; see `keep`.
_rewritten: dict[Level, dict[tuple[object, ...], Term]] = {level: {} for level in Level}


class TermDomain:
    """The domain of terms under the rules of one level."""

    def __init__(self, level: Level) -> None:
        self.level = level
        self._known = _rewritten[level]

    def constant(self, value: float) -> Term:
        return constant(value)

    def apply(self, primitive: Primitive, args: Sequence[Term]) -> Term:
        known = self._known.get((primitive.name, *[arg.serial for arg in args]))
        return self.build(primitive.name, *args) if known is None else known

    def build(self, primitive: str, *args: Term) -> Term:
        """The term of a primitive applied to terms, rewritten."""
        key = (primitive, *[arg.serial for arg in args])
        known = self._known.get(key)
        return keep(self._known, key, self._rewrite(primitive, args)) if known is None else known

    def _rewrite(self, primitive: str, args: tuple[Term, ...]) -> Term:
        if self.level is Level.NONE:
            return call(primitive, args)
        folded = fold(PRIMITIVES[primitive], args)
        if folded is not None:
            return folded
        found = rewritten(primitive, args, self.build)
        return call(primitive, args) if found is None else found


def fold(primitive: Primitive, args: tuple[Term, ...]) -> Term | None:
    """The value of a primitive over constants, when it is finite."""
    for arg in args:
        if arg.head != CONSTANT:
            return None
    value = computed(primitive, [arg.value for arg in args])
    return None if value is None else constant(value)


def computed(primitive: Primitive, numbers: Sequence[float]) -> float | None:
    """The value of an elementwise primitive of numbers, in float64; None unless it is finite."""
    if primitive.scope is not Scope.ELEMENTWISE or primitive.define is None:
        return None
    with np.errstate(all="ignore"):
        value = float(primitive.define(np, *map(np.float64, numbers)))
    return value if math.isfinite(value) else None
