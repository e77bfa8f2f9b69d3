"""Rewriting rules over terms, applied as terms are built.

A rule is EXACT when it changes no result in IEEE arithmetic, NaN and infinities included, except
that constants are folded in float64 before they are rounded to the training precision. A rule is
REAL when it holds for real numbers, where the two sides may differ in rounding, overflow or NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import IntEnum

import numpy as np

from .primitives import PRIMITIVES, Primitive, Scope
from .terms import CONSTANT, Term, call, constant, keep


class Level(IntEnum):
    """Which rules apply: none, those that are exact, or all that hold for real numbers."""

    NONE = 0
    EXACT = 1
    REAL = 2


# A rule sees the argument terms and a function that builds (and rewrites) further terms.
Build = Callable[..., Term]
RewriteRule = Callable[[tuple[Term, ...], Build], Term | None]
_RULES: dict[str, list[tuple[Level, RewriteRule]]] = {}


def _rule(level: Level, *primitives: str) -> Callable[[RewriteRule], RewriteRule]:
    def register(function: RewriteRule) -> RewriteRule:
        for name in primitives:
            _RULES.setdefault(name, []).append((level, function))
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
        for level, rule in _RULES.get(primitive, ()):
            if level <= self.level and (rewritten := rule(args, self.build)) is not None:
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


# --- exact -----------------------------------------------------------------------------------


@_rule(Level.EXACT, "add")
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


@_rule(Level.EXACT, "subtract")
def _subtract(args: tuple[Term, ...], build: Build) -> Term | None:
    x, y = args
    if y.is_constant(0):
        return x
    if _is(y, "negative"):
        return build("add", x, y.args[0])
    if y.head == CONSTANT and y.value < 0:
        return build("add", x, constant(-y.value))
    return None


@_rule(Level.EXACT, "multiply")
def _multiply(args: tuple[Term, ...], build: Build) -> Term | None:
    for x, y in (args, args[::-1]):
        if x.is_constant(1):
            return y
        if x.is_constant(-1):
            return build("negative", y)
    return build("square", args[0]) if args[0] == args[1] else None


@_rule(Level.EXACT, "divide")
def _divide(args: tuple[Term, ...], build: Build) -> Term | None:
    x, y = args
    if y.is_constant(1):
        return x
    if x.is_constant(1):
        return build("reciprocal", y)
    return build("negative", x) if y.is_constant(-1) else None


@_rule(Level.EXACT, "power")
def _power(args: tuple[Term, ...], build: Build) -> Term | None:
    x, y = args
    if y.is_constant(1):
        return x
    return constant(1) if y.is_constant(0) or x.is_constant(1) else None


@_rule(Level.EXACT, "negative")
def _negative(args: tuple[Term, ...], build: Build) -> Term | None:
    return args[0].args[0] if _is(args[0], "negative") else None


@_rule(Level.EXACT, "abs")
def _abs(args: tuple[Term, ...], build: Build) -> Term | None:
    (x,) = args
    if _is(x, "negative"):
        return build("abs", x.args[0])
    return x if x.head in ("abs", "square", "norm", "global_norm", "exp") else None


@_rule(Level.EXACT, "square")
def _square(args: tuple[Term, ...], build: Build) -> Term | None:
    return build("square", args[0].args[0]) if args[0].head in ("abs", "negative") else None


@_rule(Level.EXACT, "sign")
def _sign(args: tuple[Term, ...], build: Build) -> Term | None:
    (x,) = args
    if _is(x, "sign"):
        return x
    return build("negative", build("sign", x.args[0])) if _is(x, "negative") else None


@_rule(Level.EXACT, "maximum", "minimum")
def _extremum(args: tuple[Term, ...], build: Build) -> Term | None:
    return args[0] if args[0] == args[1] else None


@_rule(Level.EXACT, "where")
def _where(args: tuple[Term, ...], build: Build) -> Term | None:
    condition, x, y = args
    if x == y:
        return x
    if condition.head == CONSTANT:
        return x if condition.value != 0 else y
    return None


# --- true of real numbers --------------------------------------------------------------------


@_rule(Level.REAL, "subtract")
def _subtract_real(args: tuple[Term, ...], build: Build) -> Term | None:
    x, y = args
    if x == y:
        return constant(0)
    return build("negative", y) if x.is_constant(0) else None


@_rule(Level.REAL, "multiply")
def _multiply_real(args: tuple[Term, ...], build: Build) -> Term | None:
    for x, y in (args, args[::-1]):
        if x.is_constant(0):
            return constant(0)
        if x.head == CONSTANT and _is(y, "multiply"):
            for a, b in (y.args, y.args[::-1]):
                if a.head == CONSTANT:
                    return build("multiply", constant(a.value * x.value), b)
        if _is(x, "reciprocal"):
            return build("divide", y, x.args[0])
        if _is(x, "negative"):
            return build("negative", build("multiply", x.args[0], y))
    return None


@_rule(Level.REAL, "add")
def _add_real(args: tuple[Term, ...], build: Build) -> Term | None:
    for x, y in (args, args[::-1]):
        if x.head == CONSTANT and _is(y, "add"):
            for a, b in (y.args, y.args[::-1]):
                if a.head == CONSTANT:
                    return build("add", b, constant(a.value + x.value))
    return build("multiply", constant(2), args[0]) if args[0] == args[1] else None


@_rule(Level.REAL, "divide")
def _divide_real(args: tuple[Term, ...], build: Build) -> Term | None:
    x, y = args
    if x == y:
        return constant(1)
    if x.is_constant(0):
        return x
    if _is(y, "abs") and y.args[0] == x:
        return build("sign", x)
    if _is(x, "abs") and x.args[0] == y:
        return build("sign", y)
    if _is(y, "reciprocal"):
        return build("multiply", x, y.args[0])
    if _is(x, "negative"):
        return build("negative", build("divide", x.args[0], y))
    return None


@_rule(Level.REAL, "power")
def _power_real(args: tuple[Term, ...], build: Build) -> Term | None:
    x, y = args
    known = {2.0: "square", 3.0: "cube", 0.5: "sqrt", -1.0: "reciprocal"}
    return build(known[y.value], x) if y.head == CONSTANT and y.value in known else None


@_rule(Level.REAL, "reciprocal")
def _reciprocal(args: tuple[Term, ...], build: Build) -> Term | None:
    (x,) = args
    if _is(x, "reciprocal"):
        return x.args[0]
    return build("divide", x.args[1], x.args[0]) if _is(x, "divide") else None


@_rule(Level.REAL, "lerp")
def _lerp(args: tuple[Term, ...], build: Build) -> Term | None:
    x, y, a = args
    if x == y or a.is_constant(0):
        return x
    return y if a.is_constant(1) else None


@_rule(Level.REAL, "sign")
def _sign_real(args: tuple[Term, ...], build: Build) -> Term | None:
    (x,) = args
    if x.head in ("multiply", "divide"):
        for a, b in (x.args, x.args[::-1]):
            if a.head == CONSTANT and a.value > 0:
                return build("sign", b)
    return None


@_rule(Level.REAL, "clip")
def _clip(args: tuple[Term, ...], build: Build) -> Term | None:
    x, low, high = args
    if _is(x, "clip") and x.args[1:] == (low, high):
        return x
    return None


# f(h(x)) is x (or |x|) for real x.
_INVERSES = {
    ("sqrt", "square"): "abs",
    ("square", "sqrt"): "",
    ("cube", "cbrt"): "",
    ("cbrt", "cube"): "",
    ("exp", "log"): "",
    ("log", "exp"): "",
    ("exp2", "log2"): "",
    ("log2", "exp2"): "",
    ("exp10", "log10"): "",
    ("log10", "exp10"): "",
    ("expm1", "log1p"): "",
    ("log1p", "expm1"): "",
    ("tan", "arctan"): "",
    ("sin", "arcsin"): "",
    ("cos", "arccos"): "",
    ("tanh", "arctanh"): "",
    ("arctanh", "tanh"): "",
    ("sinh", "arcsinh"): "",
    ("arcsinh", "sinh"): "",
    ("cosh", "arccosh"): "",
}


def _cancel(outer: str) -> RewriteRule:
    def cancel(args: tuple[Term, ...], build: Build) -> Term | None:
        left = _INVERSES.get((outer, args[0].head))
        if left is None:
            return None
        return build(left, args[0].args[0]) if left else args[0].args[0]

    return cancel


for _outer in dict.fromkeys(outer for outer, _ in _INVERSES):
    _rule(Level.REAL, _outer)(_cancel(_outer))
