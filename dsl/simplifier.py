"""Simplification: the same rule in fewer words.

The program is interpreted over terms, which applies the rewriting rules, and written back
statement by statement: a value that some variable already holds is read from it, and statements
that nothing needs are dropped. The author's variable names and order survive.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from .canonical import meaning
from .errors import ProgramError
from .interpreter import evaluate
from .kinds import kinds_of
from .primitives import PRIMITIVES
from .program import (
    EVAL_W,
    INPUTS,
    Call,
    Constant,
    Expr,
    Name,
    Program,
    Statement,
    subexpressions,
)
from .rewriting import Level, TermDomain
from .syntax import format_expression
from .terms import CONSTANT, SYMBOL, Term, symbol


def simplify(program: Program, *, exact: bool = False) -> Program:
    """Removes dead code, folds constants, orders commuting arguments and applies identities.

    Args:
      program: the rule.
      exact: only rewrites that change no result in IEEE arithmetic; otherwise also those that
        hold for real numbers, such as m / sqrt(m * m) = sign(m).

    Returns:
      An equivalent program that is never larger; simplifying it again changes nothing more.
    """
    while True:
        simpler = _simpler(program, Level.EXACT if exact else Level.REAL)
        if simpler == program:
            return program
        program = simpler


def _simpler(program: Program, level: Level) -> Program:
    """One pass under the strongest rules up to a level that leave a well-formed program.

    A rule may turn a tensor into a scalar (g - g into 0), which a reduction or eval_w refuses.
    """
    for tried in range(level, Level.NONE, -1):
        simpler = _once(program, Level(tried))
        if _is_well_kinded(simpler):
            return simpler
    return _once(program, Level.NONE)


def _is_well_kinded(program: Program) -> bool:
    try:
        kinds_of(program)
    except ProgramError:
        return False
    return True


def _once(program: Program, level: Level) -> Program:
    domain = TermDomain(level)
    known = [*program.inputs, *(s.name for s in program.state), *program.defaults]
    terms: dict[str, Term] = {name: symbol(name) for name in known}
    rank = _rank(program)
    body: list[Statement] = []
    for statement in program.body:
        body.append(Statement(statement.target, _shorter(statement.value, domain, terms, rank)))
        terms[statement.target] = evaluate(statement.value, domain, terms)
    result = _shorter(program.result, domain, terms, rank)
    live_state = set(meaning(program, level).state)
    simpler = dataclasses.replace(program, body=tuple(body), result=result)
    return _without_dead_code(simpler, live_state)


def _shorter(
    expr: Expr, domain: TermDomain, terms: Mapping[str, Term], rank: Mapping[str, int]
) -> Expr:
    """The expression rewritten as a whole, or only inside where that is shorter.

    Terms hold derived primitives expanded, so that sigmoid(x) rewritten as a whole would grow.
    """
    inside = expr
    if isinstance(expr, Call):
        args = tuple(_shorter(arg, domain, terms, rank) for arg in expr.args)
        inside = Call(expr.primitive, args)
    whole = _written(evaluate(expr, domain, terms), terms, rank)
    return whole if whole is not None and _size(whole) <= _size(inside) else inside


def _size(expr: Expr) -> int:
    return sum(isinstance(e, Call) for e in subexpressions(expr))


def _rank(program: Program) -> Mapping[str, int]:
    """Hyperparameters come before variables in a product."""
    return {name: 1 for name in program.defaults}


def _written(term: Term, variables: Mapping[str, Term], rank: Mapping[str, int]) -> Expr | None:
    """An expression for a term that reads what variables hold; None if some symbol is gone."""
    holders: dict[Term, str] = {}
    for name, held in variables.items():
        if held.head != CONSTANT:
            holders.setdefault(held, name)
    memo: dict[Term, Expr | None] = {}

    def write(t: Term) -> Expr | None:
        if t.head == CONSTANT:
            return Constant(t.value)
        if t in holders:
            return Name(holders[t])
        if t.head == SYMBOL:
            return None
        if t not in memo:
            args = [write(a) for a in t.args]
            found = [a for a in args if a is not None]
            memo[t] = (
                _ordered(Call(t.head, tuple(found)), rank) if len(found) == len(args) else None
            )
        return memo[t]

    return write(term)


def _ordered(call: Call, rank: Mapping[str, int]) -> Call:
    """Commuting arguments in a fixed order that reads well: 2 * lr * x, but sqrt(v) + eps."""
    if not PRIMITIVES[call.primitive].commutative:
        return call

    def key(arg: Expr) -> tuple[int, str]:
        if isinstance(arg, Constant):
            place = 0
        elif isinstance(arg, Name):
            place = 2 - rank.get(arg.id, 0)
        else:
            place = 3
        if call.primitive == "add":
            place = -place
        return place, format_expression(arg)

    return Call(call.primitive, tuple(sorted(call.args, key=key)))


def _without_dead_code(program: Program, live_state: set[str]) -> Program:
    """Drops statements, states, hyperparameters and inputs that no output depends on."""
    needed = _names(program.result) | live_state
    needed |= {EVAL_W} if program.evaluates_elsewhere else set()
    kept: list[Statement] = []
    for statement in reversed(program.body):
        if statement.target not in needed or statement.value == Name(statement.target):
            continue
        needed = (needed - {statement.target}) | _names(statement.value)
        kept.append(statement)
    kept.reverse()
    used = _names(program.result).union(*(_names(s.value) for s in kept))
    starts = {s.init for s in program.state if s.name in live_state}
    return dataclasses.replace(
        program,
        # w and g stay: they are how a rule is called.
        inputs=tuple(i for i in program.inputs if i in used | starts or i in tuple(INPUTS)[:2]),
        state=tuple(s for s in program.state if s.name in live_state),
        hyperparameters=tuple(h for h in program.hyperparameters if h.name in used),
        body=tuple(kept),
    )


def _names(expr: Expr) -> set[str]:
    return {e.id for e in subexpressions(expr) if isinstance(e, Name)}
