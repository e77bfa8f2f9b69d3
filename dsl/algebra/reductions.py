"""Programs that are a little less than another: candidates for simplification by effect."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from ..dependencies import sees_the_loss, update_depends_on
from ..errors import ProgramError
from ..expressions import format_expression
from ..inference import kinds_of
from ..program import LEARNING_RATE, Call, Constant, Expr, Program, Statement, subexpressions
from .terms import CONSTANT, Term, call, constant, postorder, symbol
from .values import values_of
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
    """Whether it is well kinded and follows the loss at a learning rate."""
    try:
        kinds_of(program)
    except ProgramError:
        return False
    depends = update_depends_on(program)
    return LEARNING_RATE in depends and sees_the_loss(depends)


def with_plain_rate(program: Program) -> tuple[float, Program] | None:
    """A program that reads its learning rate only as C * lr, with lr in its place; and C.

    At C times the learning rate it is the same rule. None where lr is read otherwise.
    """
    values = values_of(program)
    rate = symbol(LEARNING_RATE)

    def is_scaled_rate(term: Term) -> bool:
        return term.head == "multiply" and rate in term.args

    read = postorder(values.outputs, is_scaled_rate)
    others = [term.args[term.args[0] == rate] for term in read if is_scaled_rate(term)]
    factors = {other.value for other in others}
    is_plain = all(other.head == CONSTANT and other.value > 0 for other in others)
    if rate in read or not is_plain or len(factors) != 1:
        return None
    (factor,) = factors
    scaled = call("multiply", [constant(factor), rate])
    default = float(f"{program.defaults[LEARNING_RATE] * factor:.12g}")
    program = program.with_defaults(**{LEARNING_RATE: default})
    return factor, write(program, values.mapped(lambda terms: _swapped(terms, scaled, rate)))


def _swapped(terms: Sequence[Term], old: Term, new: Term) -> list[Term]:
    """The terms with one part replaced by another."""
    done: dict[int, Term] = {}
    for part in postorder(terms, lambda x: x == old):
        if part == old:
            done[part.serial] = new
        elif part.args:
            done[part.serial] = call(part.head, [done[arg.serial] for arg in part.args])
        else:
            done[part.serial] = part
    return [done[term.serial] for term in terms]
