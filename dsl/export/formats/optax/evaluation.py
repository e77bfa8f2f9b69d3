"""The point of evaluation in an exported file: kept in the state, or recovered from it.

A rule such as Schedule-Free trains at y, keeps z, and is evaluated at x, which follows from both.
When a program ends by saying how (`eval_w` from the new weights, state and hyperparameters alone),
the file computes x when it is asked for, and holds no copy of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from ....algebra.rewriting import Level, TermDomain
from ....algebra.terms import symbol
from ....inference import kinds_of
from ....interpreter import interpret
from ....kinds import Kind
from ....primitive import Scope
from ....primitives import PRIMITIVES
from ....program import EVAL_W, LEARNING_RATE, Call, Expr, Name, Program, subexpressions
from .jax_text import Text, to_text
from .names import Names
from .naming import FreshNames, bracketed, paragraph, wrapped

_RESERVED = ("state", "params", "evaluated", "jax", "jnp", "optax", "s")


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


def evaluation_lines(names: Names, how: Recovered | None) -> Iterator[str]:
    """The function `rule_eval_params(state, params)`, which returns where to evaluate the model.

    Args:
      names: of the file.
      how: how the point is recovered, or None if the state holds it, in `eval_field`.
    """
    states = [names.eval_field] if how is None else [names.bases[name] for name in how.states]
    signature = "state: optax.OptState, params: optax.Params"
    yield from bracketed(f"def {names.rule}_eval_params(", signature, ") -> optax.Params:", "")
    yield '    """Where to evaluate the model.'
    yield ""
    yield from paragraph(
        f"`state` holds one {names.state_class} or several, at any depth; `params` are the weights"
        " in training. Those that belong to none, as under `optax.masked`, stay as they are."
    )
    yield '    """'
    found = f'_states_of({names.state_class}, "{states[0]}", state)'
    yield f"    for s in {found}:"
    if how is None:
        function = "lambda _, point: point"
    else:
        fresh = FreshNames(_RESERVED)
        leaves = {name: fresh.safe(name) for name in (how.weights, *how.states)}
        texts = {name: Text(text) for name, text in leaves.items()}
        texts |= {name: Text(f"s.{names.bases[name]}") for name in how.hyperparameters}
        function = f"lambda {', '.join(leaves.values())}: {to_text(how.point, texts).text}"
    yield from wrapped("evaluated = ", function, "        ")
    fields = [f"s.{field}" for field in states]
    yield f"        params = _map_held(evaluated, {', '.join(['params', *fields])})"
    yield "    return params"


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
    # The states tell which weights are held.
    if len(weights) != 1 or not states:
        return None
    rest = dataclasses.replace(program, body=program.body[:-1])
    return Recovered(rest, point, weights[0], tuple(states), tuple(hyperparameters))
