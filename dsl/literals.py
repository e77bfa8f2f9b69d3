"""The literals of a program, which a search may change."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .program import Call, Constant, Expr, Program, Statement, subexpressions


def literals(program: Program) -> list[float]:
    """Every literal of a program, in the order of the text."""
    parts = [e for root in program.expressions() for e in subexpressions(root)]
    return [e.value for e in parts if type(e) is Constant]


def with_literals(program: Program, values: Sequence[float]) -> Program:
    """The program with other literals, in the order of `literals`."""
    rest = iter(values)
    return with_leaves(program, lambda: Constant(float(next(rest))))


def with_leaves(program: Program, leaf: Callable[[], Expr]) -> Program:
    """The program with something else in the place of each literal, in the order of `literals`."""

    def changed(expr: Expr) -> Expr:
        if type(expr) is Constant:
            return leaf()
        if type(expr) is Call:
            return Call(expr.primitive, tuple([changed(a) for a in expr.args]))
        return expr

    body = tuple([Statement(s.target, changed(s.value)) for s in program.body])
    return Program(
        program.name,
        program.inputs,
        program.state,
        program.hyperparameters,
        body,
        changed(program.result),
        program.doc,
    )
