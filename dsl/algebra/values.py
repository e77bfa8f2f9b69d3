"""What a program computes, as terms that nothing has rewritten."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..program import EVAL_W, Call, Constant, Expr, Name, Program
from .terms import Term, call, constant, postorder, symbol


@dataclass(frozen=True)
class Values:
    """The values of one step.

    Attributes:
      result: the update.
      state: the next value of every state variable that the update depends on.
      eval_w: the evaluation point, if the program sets one.
      statements: (target, value) of each statement, in order.
    """

    result: Term
    state: Mapping[str, Term]
    eval_w: Term | None
    statements: tuple[tuple[str, Term], ...] = ()

    @property
    def outputs(self) -> list[Term]:
        """Everything that a step must compute: result, states, evaluation point."""
        found = [self.result, *self.state.values()]
        return found if self.eval_w is None else [*found, self.eval_w]

    def mapped(self, function: Callable[[Sequence[Term]], Sequence[Term]]) -> Values:
        """Other values in the place of each, outputs and statements, which are mapped together."""
        names = [name for name, _ in self.statements]
        mapped = function([*self.outputs, *(value for _, value in self.statements)])
        count = len(mapped) - len(names)
        statements = tuple(zip(names, mapped[count:], strict=True))
        return replace(self.replaced(list(mapped[:count])), statements=statements)

    def replaced(self, outputs: list[Term]) -> Values:
        """The same outputs computed otherwise, in the order of `outputs`."""
        result, *rest = outputs
        state = dict(zip(self.state, rest, strict=False))
        eval_w = None if self.eval_w is None else rest[-1]
        return Values(result, state, eval_w, self.statements)


def values_of(program: Program) -> Values:
    """The values of a program; a derived primitive stays as it is."""
    known = [*program.inputs, *(s.name for s in program.state), *program.defaults]
    env = {name: symbol(name) for name in known}
    statements = []
    for statement in program.body:
        env[statement.target] = term_of(statement.value, env)
        statements.append((statement.target, env[statement.target]))
    result = term_of(program.result, env)
    eval_w = env[EVAL_W] if program.evaluates_elsewhere else None
    needed = result.symbols if eval_w is None else result.symbols | eval_w.symbols
    while True:
        further = needed.union(*(env[s.name].symbols for s in program.state if s.name in needed))
        if further == needed:
            break
        needed = further
    state = {s.name: env[s.name] for s in program.state if s.name in needed}
    return Values(result, state, eval_w, tuple(statements))


def term_of(expr: Expr, env: Mapping[str, Term]) -> Term:
    """The term of an expression, given what every variable holds."""
    if isinstance(expr, Constant):
        return constant(expr.value)
    if isinstance(expr, Name):
        return env[expr.id]
    assert isinstance(expr, Call)
    return call(expr.primitive, [term_of(arg, env) for arg in expr.args])


def substituted(terms: Sequence[Term], values: Mapping[str, Term]) -> list[Term]:
    """The terms with symbols replaced by terms."""
    done: dict[int, Term] = {}
    for part in postorder(terms, lambda x: x.symbols.isdisjoint(values)):
        if part.symbols.isdisjoint(values):
            done[part.serial] = part
        elif part.args:
            done[part.serial] = call(part.head, [done[arg.serial] for arg in part.args])
        else:
            done[part.serial] = values[part.name]
    return [done[term.serial] for term in terms]
