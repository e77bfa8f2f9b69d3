"""The constants of a program: which of them can be tuned, and what they are in the machine.

Tuned are hyperparameters other than the learning rate, and literals. Some numbers are structure
instead: 0, 1 and −1, integer exponents, and integer periods, as the 5 in `t % 5`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from ..algebra.canonical import meaning
from ..algebra.rewriting import Level
from ..algebra.terms import CONSTANT, SYMBOL, Term, postorder
from ..expressions import format_expression
from ..inputs import INPUTS
from ..primitives import PRIMITIVES
from ..program import (
    LEARNING_RATE,
    Call,
    Constant,
    Expr,
    Hyperparameter,
    Name,
    Program,
    Statement,
    subexpressions,
    substitute,
)


@dataclass(frozen=True)
class Tunable:
    """A program whose constants have names.

    Attributes:
      original: the program as it was written.
      program: the same rule, in which each literal that can be tuned is a hyperparameter.
      names: the hyperparameters that can be tuned, in order; those without effect are left out.
      shares: those of them that are read as a share: as the third argument of `lerp`.
      literals: of the hyperparameters that stand for a literal, where it is, in words.
    """

    original: Program
    program: Program
    names: tuple[str, ...]
    shares: frozenset[str]
    literals: Mapping[str, str]

    @property
    def values(self) -> dict[str, float]:
        """What can be tuned, as it is."""
        return {name: self.program.defaults[name] for name in self.names}

    def with_values(self, values: Mapping[str, float]) -> Program:
        """The original with other constants, literals in the places of literals."""
        defaults = self.program.with_defaults(**values).defaults
        numbers: dict[str, Expr] = {name: Constant(defaults[name]) for name in self.literals}
        kept = {name: defaults[name] for name in self.original.defaults}
        body = tuple(Statement(s.target, substitute(s.value, numbers)) for s in self.program.body)
        result = substitute(self.program.result, numbers)
        return dataclasses.replace(self.original.with_defaults(**kept), body=body, result=result)


def tunable(program: Program) -> Tunable:
    """Gives every constant that can be tuned a name."""
    taken = {*INPUTS, *program.defaults, *(s.name for s in program.state)}
    taken |= {s.target for s in program.body}
    fresh = (name for i in count(1) if (name := f"c{i}") not in taken)
    added: list[Hyperparameter] = []
    literals: dict[str, str] = {}

    def opened(root: Expr, where: str) -> Expr:
        def visit(expr: Expr) -> Expr:
            if isinstance(expr, Constant) and expr.value not in (0.0, 1.0, -1.0):
                name = next(fresh)
                added.append(Hyperparameter(name, expr.value))
                literals[name] = f"{format_expression(expr)} in {where}{format_expression(root)}"
                return Name(name)
            if isinstance(expr, Call):
                args = zip(expr.args, _structural(expr, program.defaults), strict=True)
                return Call(expr.primitive, tuple(a if fixed else visit(a) for a, fixed in args))
            return expr

        return visit(root)

    body = tuple(Statement(s.target, opened(s.value, f"{s.target} = ")) for s in program.body)
    result = opened(program.result, "return ")
    hyperparameters = (*program.hyperparameters, *added)
    named = dataclasses.replace(program, hyperparameters=hyperparameters, body=body, result=result)
    fixed = {LEARNING_RATE, *_structural_names(named)}
    matters = {name for term in meaning(named, Level.EXACT).outputs() for name in term.symbols}
    names = [h.name for h in hyperparameters if h.name in matters - fixed]
    shares = frozenset(names).intersection(_shares(named))
    return Tunable(program, named, tuple(names), shares, literals)


def _structural(expr: Call, defaults: Mapping[str, float]) -> Iterator[bool]:
    """For each argument of a call, whether it is a number that is structure."""
    for place, arg in enumerate(expr.args):
        value = arg.value if isinstance(arg, Constant) else None
        if isinstance(arg, Name):
            value = defaults.get(arg.id)
        is_integer = value is not None and value.is_integer()
        yield is_integer and place == 1 and expr.primitive in ("power", "mod")


def _shares(program: Program) -> Iterator[str]:
    for expr in (e for root in program.expressions() for e in subexpressions(root)):
        if isinstance(expr, Call) and expr.primitive == "lerp" and isinstance(expr.args[2], Name):
            yield expr.args[2].id


def _structural_names(program: Program) -> Iterator[str]:
    """Hyperparameters that are structure."""
    for expr in (e for root in program.expressions() for e in subexpressions(root)):
        if isinstance(expr, Call):
            found = zip(expr.args, _structural(expr, program.defaults), strict=True)
            yield from (a.id for a, structural in found if structural and isinstance(a, Name))


def evaluate(
    terms: Sequence[Term], hyperparameters: Mapping[str, Any], shape: tuple[int, int]
) -> np.ndarray:
    """Terms over hyperparameters alone, as numbers.

    In float64, as rewriting folds constants, so that a rule is the same to the last bit whether
    its hyperparameters were bound before or after it was lowered.

    Args:
      terms: at most K.
      hyperparameters: R values of each, or one for all.
      shape: (R, K).

    Returns:
      float64, shape (R, K); zero in the columns that are left.
    """
    table = np.zeros(shape)
    known: dict[int, Any] = {}
    with np.errstate(all="ignore"):
        for term in postorder(terms):
            if term.head == CONSTANT:
                known[term.serial] = term.value
            elif term.head == SYMBOL:
                known[term.serial] = np.asarray(hyperparameters[term.name], np.float64)
            else:
                define = PRIMITIVES[term.head].define
                assert define is not None  # derived primitives were expanded
                args = [np.float64(known[arg.serial]) for arg in term.args]
                known[term.serial] = define(np, *args)
        for column, term in enumerate(terms):
            table[:, column] = known[term.serial]
    return table
