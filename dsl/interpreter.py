"""One interpreter: `interpret(program, domain)` folds the statements over a domain of values.

What the values are is the domain's business: concrete arrays (`arrays`), kinds (`kinds`), sets of
names (`dependencies`), canonical terms (`terms`), LaTeX (`export.latex`). A new analysis is a new
domain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Generic, Protocol, TypeVar

from .errors import ProgramError
from .expressions import parse_expression
from .primitive import Primitive
from .primitives import PRIMITIVES
from .program import Call, Expr, Name, Program

V = TypeVar("V")

_PRIMITIVES = dict(PRIMITIVES)


class Domain(Protocol[V]):
    """How constants and primitives act on the values of one analysis."""

    def constant(self, value: float) -> V:
        """The value of a number."""
        ...

    def apply(self, primitive: Primitive, args: Sequence[V]) -> V:
        """The value of a primitive that is not derived, applied to values."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome(Generic[V]):
    """What one step of a program yields.

    Attributes:
      result: the value that is subtracted from w.
      env: what every variable holds at the end: next states, and `eval_w` if assigned.
    """

    result: V
    env: Mapping[str, V]


def interpret(program: Program, domain: Domain[V], env: Mapping[str, V]) -> Outcome[V]:
    """Folds the statements of one step over a domain.

    Args:
      program: the rule.
      domain: what the values are.
      env: a value for every input and state; hyperparameters that are missing get the domain's
        constant of their default.

    Raises:
      ProgramError: for a name without a value, or whatever the domain refuses; its `node` is the
        offending expression.
    """
    values = {
        h.name: domain.constant(h.default) for h in program.hyperparameters if h.name not in env
    }
    values |= env
    for statement in program.body:
        values[statement.target] = evaluate(statement.value, domain, values)
    return Outcome(evaluate(program.result, domain, values), values)


def evaluate(expr: Expr, domain: Domain[V], env: Mapping[str, V]) -> V:
    """The value of one expression, given what every variable holds.

    The search runs this some hundred times for each candidate, so that it tells the cases apart by
    exact type and reads names, which most arguments are, without a call.
    """
    if type(expr) is Call:
        args = []
        for arg in expr.args:
            if type(arg) is Name and arg.id in env:
                args.append(env[arg.id])
            else:
                args.append(evaluate(arg, domain, env))
        row = _PRIMITIVES[expr.primitive]
        try:
            if row.expansion:
                named = dict(zip(row.arguments, args, strict=True))
                return evaluate(_expansion(row.name), domain, named)
            return domain.apply(row, args)
        except ProgramError as error:
            if error.node is None or row.expansion:
                error.node = expr
            raise
    if type(expr) is Name:
        try:
            return env[expr.id]
        except KeyError:
            raise ProgramError(
                f"'{expr.id}' is used before it is assigned; known here: {', '.join(env)}",
                node=expr,
            ) from None
    return domain.constant(expr.value)


@cache
def _expansion(primitive: str) -> Expr:
    return parse_expression(PRIMITIVES[primitive].expansion)
