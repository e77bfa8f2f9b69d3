"""The point of evaluation in an exported file: kept in the state, or recovered from it.

A rule such as Schedule-Free trains at y, keeps z, and is evaluated at x, which follows from both.
When a program ends by saying how (`eval_w` from the new weights, state and hyperparameters alone),
the file computes x when it is asked for, and holds no copy of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from ..expressions import format_number
from ..interpreter import interpret
from ..kinds import kinds_of
from ..primitives import PRIMITIVES, Scope
from ..program import EVAL_W, LEARNING_RATE, Call, Expr, Name, Program, subexpressions
from ..rewriting import Level, TermDomain
from ..shapes import Kind
from ..terms import symbol
from .jax_text import Text, to_text
from .naming import FreshNames

_RESERVED = ("state", "params", "found", "is_ours", "jax", "jnp", "optax", "node", "s")


@dataclass(frozen=True)
class Recovered:
    """How the evaluation point follows from what is there after a step.

    Attributes:
      rest: the program without the statement that says so.
      point: the expression.
      weights: the variable in it that holds the new weights.
      states, hyperparameters: the others in it.
    """

    rest: Program
    point: Expr
    weights: str
    states: tuple[str, ...]
    hyperparameters: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """A function over trees, from `params` and the state `found[0]`."""
        fresh = FreshNames(_RESERVED)
        names = (self.weights, *self.states, *self.hyperparameters)
        texts = {name: Text(fresh.safe(name)) for name in names}
        leaves = [texts[name].text for name in (self.weights, *self.states)]
        yield f"def evaluation_leaf({', '.join(leaves)}):"
        yield f"    return {to_text(self.point, texts).text}"
        yield ""
        fields = [f"found[0].{name}" for name in leaves[1:]]
        yield f"point = jax.tree.map(evaluation_leaf, {', '.join(['params', *fields])})"
        yield "return optax.tree.cast_like(point, params)"

    def arguments(self) -> Iterator[str]:
        """What the function needs to be told besides: hyperparameters, as the rule was."""
        for name in self.hyperparameters:
            default = format_number(self.rest.defaults[name])
            yield f"{FreshNames(_RESERVED).safe(name)}: jax.typing.ArrayLike = {default}"


def recovered(program: Program) -> Recovered | None:
    """How the evaluation point can be recovered, or None if it must be kept."""
    if not program.body or program.body[-1].target != EVAL_W:
        return None
    point = program.body[-1].value
    parts = list(subexpressions(point))
    calls = [PRIMITIVES[e.primitive] for e in parts if isinstance(e, Call)]
    if any(row.scope is not Scope.ELEMENTWISE or row.expansion for row in calls):
        return None
    inputs = [*program.inputs, *(s.name for s in program.state), *program.defaults]
    domain = TermDomain(Level.NONE)
    outcome = interpret(program, domain, {name: symbol(name) for name in inputs})
    kinds = kinds_of(program).state
    weights, states, hyperparameters = [], [], []
    for name in dict.fromkeys(e.id for e in parts if isinstance(e, Name)):
        held = outcome.env[name]
        if outcome.result == domain.build("subtract", symbol("w"), held):
            weights.append(name)
        elif kinds.get(name) is Kind.TENSOR:
            states.append(name)
        elif name in program.defaults and held == symbol(name) and name != LEARNING_RATE:
            hyperparameters.append(name)
        else:
            return None
    if len(weights) != 1:
        return None
    rest = dataclasses.replace(program, body=program.body[:-1])
    return Recovered(rest, point, weights[0], tuple(states), tuple(hyperparameters))
