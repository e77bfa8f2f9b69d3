"""Programs that are a little less than another: candidates for simplification by effect."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ..dependencies import update_depends_on
from ..errors import ProgramError
from ..expressions import format_expression
from ..kinds import kinds_of
from ..program import (
    LEARNING_RATE,
    Call,
    Constant,
    Expr,
    Program,
    Statement,
    subexpressions,
)
from ..terms import CONSTANT, Term, call, constant, symbol
from .values import Values, values_of
from .writing import write


def reductions(program: Program) -> Iterator[tuple[str, Program]]:
    """Every program in which one call is dropped or one constant rounded, with that in words.

    Dropping a call leaves one of its arguments in its place: f(x) → x, x + y → y; but a constant
    factor stays, because without it there would be another, 1. A constant is rounded to one and
    two digits, and so is what it lacks to one: 0.99822 → 0.998.
    """
    roots = program.expressions()
    for place, root in enumerate(roots):
        for expr in dict.fromkeys(subexpressions(root)):
            for smaller in _smaller(expr):
                text = f"{format_expression(expr)} → {format_expression(smaller)}"
                changed = _replaced(root, expr, smaller)
                found = _with(program, place, changed)
                if _is_rule(found):
                    yield text, found


def _smaller(expr: Expr) -> Iterator[Expr]:
    if isinstance(expr, Call):
        scales = expr.primitive in ("multiply", "divide")
        if scales and any(isinstance(arg, Constant) for arg in expr.args):
            return
        # A number alone in the place of a value says nothing.
        yield from (arg for arg in dict.fromkeys(expr.args) if not isinstance(arg, Constant))
    elif isinstance(expr, Constant):
        for digits in (1, 2):
            rounded = [float(f"{expr.value:.{digits}g}")]
            if 0.5 < expr.value < 1:
                rounded.append(float(format(1 - float(f"{1 - expr.value:.{digits}g}"), ".12g")))
            for value in dict.fromkeys(rounded):
                if value not in (expr.value, 0.0, 1.0):
                    yield Constant(value)


def _replaced(root: Expr, old: Expr, new: Expr) -> Expr:
    if root == old:
        return new
    if isinstance(root, Call):
        return Call(root.primitive, tuple(_replaced(arg, old, new) for arg in root.args))
    return root


def _with(program: Program, place: int, expr: Expr) -> Program:
    if place == len(program.body):
        return dataclasses.replace(program, result=expr)
    body = list(program.body)
    body[place] = Statement(body[place].target, expr)
    return dataclasses.replace(program, body=tuple(body))


def _is_rule(program: Program) -> bool:
    """Whether it is well kinded and follows the gradient at a learning rate."""
    try:
        kinds_of(program)
    except ProgramError:
        return False
    return {"g", LEARNING_RATE} <= update_depends_on(program)


def with_plain_rate(program: Program) -> tuple[float, Program] | None:
    """A program that reads its learning rate only as C * lr, with lr in its place; and C.

    At C times the learning rate it is the same rule. None where lr is read otherwise.
    """
    values = values_of(program)
    rate = symbol(LEARNING_RATE)
    factors: set[float] = set()
    seen: set[int] = set()

    def visit(term: Term) -> bool:
        """Whether lr is read as C * lr alone."""
        if term.serial in seen or LEARNING_RATE not in term.symbols:
            return True
        seen.add(term.serial)
        if term == rate:
            return False
        if term.head == "multiply" and rate in term.args:
            other = term.args[term.args[0] == rate]
            factors.add(other.value if other.head == CONSTANT else 0.0)
            return other.head == CONSTANT and other.value > 0
        return all(visit(arg) for arg in term.args)

    if not all(map(visit, values.outputs)) or len(factors) != 1:
        return None
    (factor,) = factors
    scaled = call("multiply", [constant(factor), rate])
    outputs = [_swapped(term, scaled, rate) for term in values.outputs]
    statements = tuple((name, _swapped(x, scaled, rate)) for name, x in values.statements)
    new = values.replaced(outputs)
    default = float(f"{program.defaults[LEARNING_RATE] * factor:.12g}")
    program = program.with_defaults(**{LEARNING_RATE: default})
    found = Values(new.result, new.state, new.eval_w, statements)
    return factor, write(program, found)


def _swapped(term: Term, old: Term, new: Term) -> Term:
    """The term with one part replaced by another."""
    done: dict[int, Term] = {}

    def visit(term: Term) -> Term:
        if term == old:
            return new
        if not term.args:
            return term
        if term.serial not in done:
            done[term.serial] = call(term.head, [visit(arg) for arg in term.args])
        return done[term.serial]

    return visit(term)
