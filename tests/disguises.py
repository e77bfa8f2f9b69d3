"""Rules in disguise: the same in exact arithmetic, but longer and written otherwise."""

from __future__ import annotations

import dataclasses
from random import Random

from evoptax.dsl.expressions import parse_expression
from evoptax.dsl.program import (
    Call,
    Constant,
    Expr,
    Name,
    Program,
    State,
    Statement,
    subexpressions,
    substitute,
)
from variants import with_dead_code

# Left to right; D stands for a constant, the other letters for any expression.
_REWRITES = tuple(
    tuple(map(parse_expression, line.split(" => ")))
    for line in """
x => --x
x => x + 0
x => 1 * x
x => 4 * x / 4
x => x * 0.25 * 4
x => x * D / D
x + y => y + x
x * y => y * x
x - y => x + -y
x - y => -(y - x)
x / y => x * reciprocal(y)
x / y => reciprocal(y / x)
x * y => 2 * x * (0.5 * y)
x * (y + z) => x * y + x * z
(x + y) * z => x * z + y * z
(x + y) + z => x + (y + z)
(x * y) * z => x * (y * z)
lerp(x, y, a) => (1 - a) * x + a * y
lerp(x, y, a) => x + a * (y - x)
lerp(x, y, a) => lerp(y, x, 1 - a)
lerp(x, y, a) => lerp(x, lerp(x, y, 0.5), 2 * a)
square(x) => x * x
square(x) => x ** 2
square(x) => square(abs(x))
sqrt(x) => x ** 0.5
sign(x) => x / abs(x)
sign(x) => sign(3 * x)
abs(x) => sqrt(square(x))
abs(x) => maximum(x, -x)
maximum(x, y) => -minimum(-x, -y)
minimum(x, y) => -maximum(-x, -y)
clip(x, y, z) => minimum(maximum(x, y), z)
where(x, y, z) => where(invert(x), z, y)
""".strip().splitlines()
)


def disguised(program: Program, rng: Random, rewrites: int = 10) -> Program:
    """The rule after some random rewrites that preserve its meaning, with dead code, and with a
    second state that is a multiple of its first."""
    for _ in range(rewrites):
        program = _rewritten(program, rng)
    if program.state and rng.randrange(2):
        program = _with_twin(program, rng.choice([1.0, 2.0, -0.5]))
    return with_dead_code(program, rng)


def _rewritten(program: Program, rng: Random) -> Program:
    """One rewrite at a random place; commuting arguments match in the order they stand."""
    roots = program.expressions()
    while True:
        place = rng.randrange(len(roots))
        inside = [e for e in subexpressions(roots[place]) if not isinstance(e, Constant)]
        if not inside:
            continue
        target = rng.choice(inside)
        left, right = rng.choice(_REWRITES)
        found: dict[str, Expr] = {}
        # What fits everywhere would crowd out the rest.
        if not _matches(left, target, found) or (isinstance(left, Name) and rng.randrange(3)):
            continue
        found["D"] = Constant(rng.choice([3.0, 0.7]))
        new = _replaced(roots[place], target, substitute(right, found))
        body = [Statement(s.target, new) if i == place else s for i, s in enumerate(program.body)]
        result = new if place == len(roots) - 1 else program.result
        return dataclasses.replace(program, body=tuple(body), result=result)


def _matches(pattern: Expr, expr: Expr, found: dict[str, Expr]) -> bool:
    if isinstance(pattern, Name):
        return found.setdefault(pattern.id, expr) == expr
    if isinstance(pattern, Call) and isinstance(expr, Call):
        return pattern.primitive == expr.primitive and all(
            _matches(p, e, found) for p, e in zip(pattern.args, expr.args, strict=True)
        )
    return pattern == expr


def _replaced(expr: Expr, target: Expr, new: Expr) -> Expr:
    """The expression with one object replaced, wherever it stands."""
    if expr is target:
        return new
    if isinstance(expr, Call):
        return Call(expr.primitive, tuple(_replaced(a, target, new) for a in expr.args))
    return expr


def _with_twin(program: Program, ratio: float) -> Program:
    """With a state `twin` that is always `ratio` times the first number-initialized state, and
    that is read in its place in the first statement that reads it."""
    first = next((s for s in program.state if not isinstance(s.init, str)), None)
    if first is None:
        return program
    reads = [Name(first.name) in subexpressions(s.value) for s in program.body]
    place = reads.index(True) if True in reads else None
    if place is None or any(s.target == first.name for s in program.body[:place]):
        return program
    twin = Call("divide", (Name("twin"), Constant(ratio)))
    body = list(program.body)
    old = body[place]
    body[place] = Statement(old.target, substitute(old.value, {first.name: twin}))
    body.append(Statement("twin", Call("multiply", (Constant(ratio), Name(first.name)))))
    state = (*program.state, State("twin", ratio * first.init if first.init else 0.0))
    return dataclasses.replace(program, state=state, body=tuple(body))
