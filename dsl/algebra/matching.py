"""Exact laws as functions over terms, for `rewriting`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ..inputs import INPUTS
from ..primitives import PRIMITIVES
from ..program import Call, Constant, Expr, Name
from .identities import CONSTANTS, Identity, exact_laws
from .terms import CONSTANT, SYMBOL, Term, constant, symbol

# Builds the term of a primitive applied to terms, and rewrites it.
Build = Callable[..., Term]


class Attempt(NamedTuple):
    """A law that may apply to a call, and what tells fast that it does not.

    Attributes:
      law: the law.
      reversed: whether it sees the arguments in reverse, as commuting ones may be.
      place, head, value: the argument at this place has to have this head and, if it is a constant,
        this value (None: any). Without a head, the last two arguments have to be equal.
    """

    law: Identity
    reversed: bool
    place: int
    head: str | None
    value: float | None


def rewritten(primitive: str, args: tuple[Term, ...], build: Build) -> Term | None:
    """What the first exact law that applies makes of a call; None if none does.

    A search rewrites a hundred terms for each candidate, and most laws do not apply: hence the
    fast tests.
    """
    for law, is_reversed, place, head, value in _ATTEMPTS.get(primitive, ()):
        if head is None:
            if args[-1] != args[-2]:
                continue
        else:
            arg = args[place]
            if arg.head != head or (value is not None and arg.value != value):
                continue
        found = _bound(law, args[::-1] if is_reversed else args)
        if found is not None:
            return _built(law.right, found, build)
    return None


def _bound(law: Identity, args: tuple[Term, ...]) -> dict[str, Term] | None:
    """What the letters of a law stand for in a call; None if it does not apply."""
    assert type(law.left) is Call
    found: dict[str, Term] = {}
    for pattern, arg in zip(law.left.args, args, strict=True):
        if not _matches(pattern, arg, found):
            return None
    return found if all(_holds(condition, found) for condition in law.conditions) else None


def _matches(pattern: Expr, term: Term, found: dict[str, Term]) -> bool:
    if type(pattern) is Name:
        if pattern.id in INPUTS:
            return term == symbol(pattern.id)
        if pattern.id in found:
            return found[pattern.id] == term
        found[pattern.id] = term
        return pattern.id not in CONSTANTS or term.head == CONSTANT
    if type(pattern) is Constant:
        return term.is_constant(pattern.value)
    assert type(pattern) is Call
    if term.head != pattern.primitive:
        return False
    return all(_matches(p, t, found) for p, t in zip(pattern.args, term.args, strict=True))


def _holds(condition: Expr, found: Mapping[str, Term]) -> bool:
    """Whether a comparison of a constant with a number holds, as in C < 0."""
    match condition:
        case Call(primitive=name, args=(Name(id=letter), Constant(value=number))):
            value = found[letter].value
            return value < number if name == "less" else value != number
    raise AssertionError(f"an exact law has the condition {condition}")


def _built(expr: Expr, found: Mapping[str, Term], build: Build) -> Term:
    if type(expr) is Name:
        return symbol(expr.id) if expr.id in INPUTS else found[expr.id]
    if type(expr) is Constant:
        return constant(expr.value)
    assert type(expr) is Call
    return build(expr.primitive, *[_built(arg, found, build) for arg in expr.args])


def _attempts(law: Identity) -> Iterator[Attempt]:
    assert type(law.left) is Call
    place, head, value = _telling(law.left.args)
    yield Attempt(law, False, place, head, value)
    if head is not None and PRIMITIVES[law.left.primitive].commutative:
        yield Attempt(law, True, len(law.left.args) - 1 - place, head, value)


def _telling(patterns: Sequence[Expr]) -> tuple[int, str | None, float | None]:
    """Place, head and value of an argument that is no plain letter."""
    for place, pattern in enumerate(patterns):
        match pattern:
            case Constant(value=value):
                return place, CONSTANT, value
            case Call(primitive=name):
                return place, name, None
            case Name(id=letter) if letter in CONSTANTS:
                return place, CONSTANT, None
            case Name(id=name) if name in INPUTS:
                return place, SYMBOL, None
    return 0, None, None


def _by_primitive() -> dict[str, tuple[Attempt, ...]]:
    found: dict[str, list[Attempt]] = {}
    for law in exact_laws():
        assert type(law.left) is Call
        found.setdefault(law.left.primitive, []).extend(_attempts(law))
    return {name: tuple(attempts) for name, attempts in found.items()}


_ATTEMPTS: Mapping[str, tuple[Attempt, ...]] = _by_primitive()
