"""Shorter programs of the same values: literals folded, copies and what has no effect removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ....dsl.algebra.rewriting import computed
from ....dsl.errors import ProgramError
from ....dsl.inputs import ALWAYS, in_order
from ....dsl.liveness import without_dead_code
from ....dsl.primitive import Scope
from ....dsl.primitives import PRIMITIVES
from ....dsl.program import (
    Call,
    Constant,
    Expr,
    Name,
    Program,
    State,
    Statement,
    names_in,
    replaced,
    subexpressions,
    substitute,
)
from ....dsl.syntax import check

# f(c x) = f(c) f(x) for positive c; those of which it holds for every c.
_HOMOGENEOUS = ("square", "cube", "sqrt", "cbrt", "abs", "sign", "reciprocal")
_FOR_ANY_SIGN = ("square", "cube", "cbrt", "abs", "sign", "reciprocal")
_POWERS: dict[float, Callable[[Expr], Expr]] = {
    1.0: lambda x: x,
    2.0: lambda x: Call("square", (x,)),
    0.5: lambda x: Call("sqrt", (x,)),
    -1.0: lambda x: Call("reciprocal", (x,)),
}


def rebuilt(program: Program, body: tuple[Statement, ...], result: Expr) -> Program | None:
    """The program with other statements and result, without dead code; None if not well formed."""
    used = set().union(
        *(names_in(s.value) for s in body), names_in(result), {s.target for s in body}
    )
    inputs = in_order({*used, *ALWAYS})
    state: tuple[State, ...] = tuple(s for s in program.state if s.name in used)
    changed = Program(
        program.name, inputs, state, program.hyperparameters, body, result, program.doc
    )
    try:
        check(changed)
        return without_dead_code(changed)
    except ProgramError:
        return None


def cleaned(program: Program) -> Program:
    """The program with literals computed and moved outwards, and without states that are copies.

    It computes the same for real numbers.
    """
    body = tuple([Statement(s.target, folded(s.value)) for s in program.body])
    result = folded(program.result)
    while (copied := _without_copy(program, body, result)) is not None:
        body, result = copied
    found = rebuilt(program, body, result)
    return program if found is None else found


def _without_copy(
    program: Program, body: tuple[Statement, ...], result: Expr
) -> tuple[tuple[Statement, ...], Expr] | None:
    """Without one variable that is only another word for what it was assigned in the same step."""
    for position, statement in enumerate(body):
        name = statement.target
        before, after = body[:position], body[position + 1 :]
        later = {s.target for s in after}
        earlier = set().union(*(names_in(s.value) for s in before), names_in(statement.value))
        if name in earlier or name in later or later & names_in(statement.value):
            continue
        values = {name: statement.value}
        if subexpressions(statement.value)[1:] and _reads(name, after, result) > 1:
            continue  # it is worth its name
        changed = [Statement(s.target, folded(substitute(s.value, values))) for s in after]
        return (*before, *changed), folded(substitute(result, values))
    return None


def _reads(name: str, body: tuple[Statement, ...], result: Expr) -> int:
    roots = [*(s.value for s in body), result]
    return sum(e == Name(name) for root in roots for e in subexpressions(root))


def folded(expr: Expr) -> Expr:
    """The expression with literals computed, and factors moved outwards."""
    if type(expr) is not Call:
        return expr
    args = tuple([folded(a) for a in expr.args])
    name = expr.primitive
    row = PRIMITIVES[name]
    if args and all(type(a) is Constant for a in args) and row.scope is Scope.ELEMENTWISE:
        value = computed(row, [a.value for a in args if type(a) is Constant])
        if value is not None:
            return Constant(value)
    match name, args:
        case "multiply", (x, y):
            return _product(x, y)
        case "divide", (x, y):
            (c, p), (d, q) = _split(x), _split(y)
            if d != 0 and (c, d) != (1.0, 1.0):
                if q == Constant(1.0):
                    return _scaled(c / d, p)
                return _scaled(c / d, Call("divide", (p, q)))
        case "negative", (x,):
            c, p = _split(x)
            return _scaled(-c, p)
        case "add" | "subtract", (x, Constant(value=0.0)):
            return x
        case "add", (Constant(value=0.0), x):
            return x
        case "add", (x, y):
            (c, p), (d, q) = _split(x), _split(y)
            if p == q:
                return _scaled(c + d, p)
        case "power", (x, Constant(value=exponent)) if exponent in _POWERS:
            return folded(_POWERS[exponent](x))
        case "sqrt", (Call(primitive="square", args=(x,)),):
            return Call("abs", (x,))
        case "sign", (Call(primitive="sign", args=(x,)),):
            return Call("sign", (x,))
        case _, (x,) if name in _HOMOGENEOUS:
            c, p = _split(x)
            if c != 1.0 and (c > 0 or (c < 0 and name in _FOR_ANY_SIGN)):
                factor = computed(row, [c])
                if factor is not None:
                    return _scaled(factor, Call(name, (p,)))
    return Call(name, args)


def _split(expr: Expr) -> tuple[float, Expr]:
    """A factor and the rest."""
    match expr:
        case Call(primitive="multiply", args=(Constant(value=c), x)):
            return c, x
        case Constant(value=c) if c != 0.0:
            return c, Constant(1.0)
    return 1.0, expr


def _scaled(factor: float, expr: Expr) -> Expr:
    c, x = _split(expr)
    product = factor * c
    if x == Constant(1.0):
        return Constant(product)
    if product == 0.0:
        return Constant(0.0)
    return x if product == 1.0 else Call("multiply", (Constant(product), x))


def _product(x: Expr, y: Expr) -> Expr:
    if Constant(0.0) in (x, y):
        return Constant(0.0)
    (c, p), (d, q) = _split(x), _split(y)
    if p == Constant(1.0):
        return _scaled(c * d, q)
    if q == Constant(1.0):
        return _scaled(c * d, p)
    return _scaled(c * d, Call("square", (p,)) if p == q else Call("multiply", (p, q)))


def smaller(program: Program) -> Iterator[Program]:
    """Programs that lack one call, or a literal as an exponent, or one state where it is read."""
    following = {s.target: s.value for s in program.body}
    roots = program.expressions()
    for position, root in enumerate(roots):
        for index, part in enumerate(subexpressions(root)):
            options: list[Expr] = []
            if type(part) is Call:
                options = [*part.args]
                if part.primitive == "power" and type(part.args[1]) is Constant:
                    options += [make(part.args[0]) for make in _POWERS.values()]
            elif type(part) is Name and part.id in following:
                value = following[part.id]
                options = [a for a in subexpressions(value)[1:] if part.id not in names_in(a)]
            for option in options:
                changed = replaced(root, index, option)
                body = list(program.body)
                result = program.result
                if position < len(body):
                    body[position] = Statement(body[position].target, changed)
                else:
                    result = changed
                found = rebuilt(program, tuple(body), result)
                if found is not None and found.size <= program.size:
                    yield cleaned(found)
