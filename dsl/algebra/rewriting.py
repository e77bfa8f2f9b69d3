"""Rewriting rules over terms, applied as terms are built.

A rule is exact when it changes no result in IEEE arithmetic, NaN and infinities included, except
that constants are folded in float64 before they are rounded to the training precision. What holds
for real numbers alone is in `laws`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import IntEnum

import numpy as np

from ..primitive import Primitive, Scope
from ..primitives import PRIMITIVES
from .terms import CONSTANT, Term, call, constant, keep


class Level(IntEnum):
    """Which rules apply: none, or those that are exact."""

    NONE = 0
    EXACT = 1


# A rule sees the argument terms and a function that builds (and rewrites) further terms.
Build = Callable[..., Term]
RewriteRule = Callable[[tuple[Term, ...], Build], Term | None]
_RULES: dict[str, list[RewriteRule]] = {}


def _rule(*primitives: str) -> Callable[[RewriteRule], RewriteRule]:
    def register(function: RewriteRule) -> RewriteRule:
        for name in primitives:
            _RULES.setdefault(name, []).append(function)
        return function

    return register


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
        for rule in _RULES.get(primitive, ()):
            if (rewritten := rule(args, self.build)) is not None:
                return rewritten
        return call(primitive, args)


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


def _is(term: Term, head: str) -> bool:
    return term.head == head


@_rule("add")
def _add(args: tuple[Term, ...], build: Build) -> Term | None:
    x, y = args
    if x.is_constant(0):
        return y
    if y.is_constant(0):
        return x
    if _is(y, "negative"):
        return build("subtract", x, y.args[0])
    if _is(x, "negative"):
        return build("subtract", y, x.args[0])
    for a, b in (args, args[::-1]):
        if b.head == CONSTANT and b.value < 0:
            return build("subtract", a, constant(-b.value))
    return None


@_rule("subtract")
def _subtract(args: tuple[Term, ...], build: Build) -> Term | None:
    x, y = args
    if y.is_constant(0):
        return x
    if _is(y, "negative"):
        return build("add", x, y.args[0])
    if y.head == CONSTANT and y.value < 0:
        return build("add", x, constant(-y.value))
    return None


@_rule("multiply")
def _multiply(args: tuple[Term, ...], build: Build) -> Term | None:
    for x, y in (args, args[::-1]):
        if x.is_constant(1):
            return y
        if x.is_constant(-1):
            return build("negative", y)
    return build("square", args[0]) if args[0] == args[1] else None


@_rule("divide")
def _divide(args: tuple[Term, ...], build: Build) -> Term | None:
    x, y = args
    if y.is_constant(1):
        return x
    if x.is_constant(1):
        return build("reciprocal", y)
    return build("negative", x) if y.is_constant(-1) else None


@_rule("power")
def _power(args: tuple[Term, ...], build: Build) -> Term | None:
    x, y = args
    if y.is_constant(1):
        return x
    return constant(1) if y.is_constant(0) or x.is_constant(1) else None


@_rule("negative")
def _negative(args: tuple[Term, ...], build: Build) -> Term | None:
    return args[0].args[0] if _is(args[0], "negative") else None


@_rule("abs")
def _abs(args: tuple[Term, ...], build: Build) -> Term | None:
    (x,) = args
    if _is(x, "negative"):
        return build("abs", x.args[0])
    return x if x.head in ("abs", "square", "norm", "global_norm", "exp") else None


@_rule("square")
def _square(args: tuple[Term, ...], build: Build) -> Term | None:
    return build("square", args[0].args[0]) if args[0].head in ("abs", "negative") else None


@_rule("sign")
def _sign(args: tuple[Term, ...], build: Build) -> Term | None:
    (x,) = args
    if _is(x, "sign"):
        return x
    return build("negative", build("sign", x.args[0])) if _is(x, "negative") else None


@_rule("maximum", "minimum")
def _extremum(args: tuple[Term, ...], build: Build) -> Term | None:
    return args[0] if args[0] == args[1] else None


@_rule("where")
def _where(args: tuple[Term, ...], build: Build) -> Term | None:
    condition, x, y = args
    if x == y:
        return x
    if condition.head == CONSTANT:
        return x if condition.value != 0 else y
    return None
