"""Exact laws as functions over terms, for `rewriting`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..primitives import PRIMITIVES
from ..program import Call, Constant, Expr, Name
from .identities import CONSTANTS, Identity, exact_laws
from .terms import CONSTANT, Term, constant

# Builds the term of a primitive applied to terms, and rewrites it.
Build = Callable[..., Term]


@dataclass(frozen=True, slots=True)
class Laws:
    """The exact laws that a call of one primitive may be rewritten by.

    Attributes:
      laws: in the order in which they are tried.
      heads: of arguments; a law applies only where one has such a head, or, where
      equal: says so, where two are equal.
    """

    laws: tuple[Identity, ...]
    heads: frozenset[str]
    equal: bool

    def rewritten(self, primitive: str, args: tuple[Term, ...], build: Build) -> Term | None:
        """What the first law that applies makes of a call; None if none does."""
        heads = self.heads
        for arg in args:
            if arg.head in heads:
                break
        else:
            if not (self.equal and args[-1] == args[-2]):
                return None
        for law in self.laws:
            orders = (args, args[::-1]) if PRIMITIVES[primitive].commutative else (args,)
            for order in orders:
                if (found := _bound(law, order)) is not None:
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
        return found[expr.id]
    if type(expr) is Constant:
        return constant(expr.value)
    assert type(expr) is Call
    return build(expr.primitive, *[_built(arg, found, build) for arg in expr.args])


def _laws_of(laws: Iterable[Identity]) -> dict[str, Laws]:
    by_primitive: dict[str, list[Identity]] = {}
    for law in laws:
        assert type(law.left) is Call
        by_primitive.setdefault(law.left.primitive, []).append(law)
    return {
        name: Laws(
            tuple(found),
            frozenset(head for law in found for head in _heads(law)),
            any(not _heads(law) for law in found),
        )
        for name, found in by_primitive.items()
    }


def _heads(law: Identity) -> set[str]:
    """The heads that its arguments have; none where it is about equal ones, as in x * x."""
    assert type(law.left) is Call
    calls = {arg.primitive for arg in law.left.args if type(arg) is Call}
    numbers = [
        arg
        for arg in law.left.args
        if type(arg) is Constant or (type(arg) is Name and arg.id in CONSTANTS)
    ]
    return calls | ({CONSTANT} if numbers else set())


EXACT_LAWS: Mapping[str, Laws] = _laws_of(exact_laws())
