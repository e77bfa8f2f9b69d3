"""The mutation protocol, and the pieces that mutations share.

Each module in `operators/` defines `MUTATIONS`. To add a mutation, add a file there: the search,
its configuration and the contract suite find it. How often each is drawn is configuration.
"""

from __future__ import annotations

import copy
import importlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate

from ...dsl.expressions import format_expression
from ...dsl.inputs import INPUTS, in_order
from ...dsl.kinds import Kind
from ...dsl.oracles import ORACLES
from ...dsl.plugins import names_in as modules_in
from ...dsl.primitive import CORE, Primitive
from ...dsl.primitives import PRIMITIVES
from ...dsl.program import (
    EVAL_W,
    LEARNING_RATE,
    Call,
    Constant,
    Expr,
    Hyperparameter,
    Name,
    Program,
    State,
    Statement,
    subexpressions,
)
from .weights import PRIMITIVE_WEIGHTS

_OPERATORS = "evoptax.search.mutation.operators"

# What mutations may read in some grammar, and what all read unless told otherwise.
READABLE = tuple(name for name, row in INPUTS.items() if row.grammar)
READ = tuple(name for name in READABLE if INPUTS[name].grammar == CORE)
# Numbers of the model whose values are known before training.
KNOWN_AHEAD = frozenset(
    name for name in READABLE if INPUTS[name].known_ahead and INPUTS[name].kind is Kind.SCALAR
)
# The gradient, state and intermediate variables are drawn this many times as often as the others:
# weights, hyperparameters, and inputs that are the same for all weights.
_OFTEN = 5
# Primitives that limit their first argument; the others are the limits.
_LIMITED = {"clip_by_global_norm": 1, "clip": 1, "quantile": 1}
# Oracles that take weights, and those that take a direction, for which noise is the usual choice.
_OF_WEIGHTS = frozenset(row.name for row in ORACLES if row.oracle.at_w)
_OF_DIRECTIONS = frozenset(row.name for row in ORACLES) - _OF_WEIGHTS
_NOISE = frozenset(name for name, row in INPUTS.items() if row.noise is not None)
# Initial decay rates of random interpolations.
SHARES = (0.1, 0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True)
class Mutation:
    """A small change of a program.

    Attributes:
      name: in the configuration.
      weight: the default relative frequency.
      apply: draws a child, or returns None. The child may be ill-formed or outside the space; then
        the caller draws again.
      of_constants: whether it changes nothing but constants.
    """

    name: str
    weight: float
    apply: Callable[[Program, random.Random, Space], Draft | None]
    of_constants: bool = False


def mutations() -> tuple[Mutation, ...]:
    """All mutations, in the order of their modules."""
    modules = (importlib.import_module(f"{_OPERATORS}.{name}") for name in modules_in(_OPERATORS))
    return tuple(mutation for module in modules for mutation in module.MUTATIONS)


def usual_weights() -> dict[str, float]:
    """The default relative frequency of each mutation."""
    weights = {mutation.name: mutation.weight for mutation in mutations()}
    return dict(sorted(weights.items()))


@dataclass(frozen=True)
class Space:
    """The programs that mutations may reach. With equal spaces, equal seeds give equal draws.

    Attributes:
      max_state: the largest number of state variables.
      inputs: inputs that may be read, besides those that the program reads already.
      weights: relative frequency of each mutation; missing ones are never drawn.
      primitives: relative frequency of each primitive; missing ones are never drawn.
      donors: rules whose parts may be grafted.
      mates: candidates whose parts may be crossed in.
    """

    max_state: int = 4
    inputs: tuple[str, ...] = READ
    weights: Mapping[str, float] = field(default_factory=usual_weights)
    primitives: Mapping[str, float] = field(default_factory=lambda: dict(PRIMITIVE_WEIGHTS))
    donors: tuple[Program, ...] = ()
    mates: tuple[Program, ...] = ()

    @cached_property
    def drawn_mutations(self) -> tuple[list[Mutation], list[float]]:
        """The mutations that are drawn, and their cumulative weights."""
        drawn = [m for m in mutations() if self.weights.get(m.name, 0) > 0]
        return drawn, [*accumulate(self.weights[m.name] for m in drawn)]

    @cached_property
    def drawn_primitives(self) -> tuple[list[Primitive], list[float]]:
        """The primitives that are drawn, and their cumulative weights."""
        return self._cumulative(
            [row for row in PRIMITIVES.values() if self.primitives.get(row.name, 0) > 0]
        )

    @cached_property
    def drawn_by_arity(self) -> dict[int, tuple[list[Primitive], list[float]]]:
        """The same for each number of arguments."""
        rows, _ = self.drawn_primitives
        return {
            arity: self._cumulative([row for row in rows if row.arity == arity])
            for arity in sorted({row.arity for row in rows})
        }

    def with_mates(self, mates: tuple[Program, ...]) -> Space:
        """The same space with other candidates to cross with; keeps what was computed for it."""
        found = copy.copy(self)
        object.__setattr__(found, "mates", mates)
        return found

    def only(self, *, of_constants: bool) -> Space:
        """The programs that differ only in constants, or those that differ in structure."""
        names = {m.name for m in mutations() if m.of_constants is of_constants}
        return replace(self, weights={n: x for n, x in self.weights.items() if n in names})

    def draws(self, expr: Expr) -> bool:
        """Whether all primitives of an expression are drawn, so that it could be written here."""
        return all(
            self.primitives.get(e.primitive, 0) > 0 for e in subexpressions(expr) if type(e) is Call
        )

    def draw(self, rng: random.Random, arity: int | None = None) -> Primitive:
        """A primitive by its frequency, of all or of those with a given number of arguments.

        Raises:
          KeyError: none has that many arguments; see `drawn_by_arity`.
        """
        rows, weights = self.drawn_primitives if arity is None else self.drawn_by_arity[arity]
        return rng.choices(rows, cum_weights=weights)[0]

    def _cumulative(self, rows: list[Primitive]) -> tuple[list[Primitive], list[float]]:
        return rows, [*accumulate(self.primitives[row.name] for row in rows)]


@dataclass(frozen=True, slots=True)
class Draft:
    """A child that may be ill-formed.

    Attributes:
      program: the child.
      describe: returns the change in words; called only if the child is kept.
      written: the new expression, if there is one.
    """

    program: Program
    describe: Callable[[], str]
    written: Expr | None = None


def random_call(names: list[str], rng: random.Random, space: Space) -> Call:
    """A random primitive with random arguments."""
    return call_of(space.draw(rng), names, rng)


def call_of(row: Primitive, names: list[str], rng: random.Random) -> Call:
    """A primitive with random arguments."""
    first = _LIMITED.get(row.name, row.arity)
    args = [
        random_leaf(names, rng) if place < first else random_constant(rng)
        for place in range(row.arity)
    ]
    if row.name == "lerp" and rng.random() < 0.7:
        args[2] = Constant(rng.choice(SHARES))
    noise = [name for name in names if name in _NOISE] if row.name in _OF_DIRECTIONS else []
    if noise and rng.random() < 0.5:
        args[0] = Name(rng.choice(noise))
    if row.name in _OF_WEIGHTS:
        args[0] = _near_weights(args[0], names, rng)
    return Call(row.name, tuple(args))


def around(node: Expr, call: Call, rng: random.Random) -> Call | None:
    """The call with the node as one of its arguments; None if it has none."""
    if not call.args:
        return None
    args = list(call.args)
    places = 2 if call.primitive == "lerp" else _LIMITED.get(call.primitive, len(args))
    place = rng.randrange(places)
    # Its names are in the call already.
    args[place] = _near_weights(node, [], rng) if call.primitive in _OF_WEIGHTS else node
    return Call(call.primitive, tuple(args))


def _near_weights(direction: Expr, names: list[str], rng: random.Random) -> Expr:
    """Weights a step away from those of the rule, along a direction or against it."""
    step = direction
    if LEARNING_RATE in names and rng.random() < 0.3:
        step = Call("multiply", (Name(LEARNING_RATE), step))
    elif rng.random() < 0.7:
        step = Call("multiply", (random_constant(rng), step))
    return Call(rng.choice(("add", "subtract")), (Name("w"), step))


def random_leaf(names: list[str], rng: random.Random) -> Expr:
    """One of some variables, or a constant."""
    return random_constant(rng) if rng.random() < 0.15 else Name(rng.choice(names))


def random_constant(rng: random.Random) -> Constant:
    """A number near 1, of either sign."""
    return Constant(float(f"{rng.choice((1, -1)) * 2 ** rng.gauss(0, 1):.3g}"))


def values_in(root: Expr, program: Program) -> list[tuple[int, Expr]]:
    """The parts of an expression, with their places, that training decides: what is computed from
    weights, gradients, losses, state or earlier statements. Parts that read the learning rate are
    left out, so that a rule keeps it as a factor.
    """
    known = {h.name for h in program.hyperparameters} | KNOWN_AHEAD
    nodes = subexpressions(root)
    found: list[tuple[int, Expr]] = []
    # From the last to the first: of each part whether it is decided by training, and whether it
    # reads the learning rate; those of a call's arguments are on top.
    stack: list[tuple[bool, bool]] = []
    for index in range(len(nodes) - 1, -1, -1):
        node = nodes[index]
        decided = reads_rate = False
        if type(node) is Name:
            decided, reads_rate = node.id not in known, node.id == LEARNING_RATE
        elif type(node) is Call:
            for _ in node.args:
                of_arg = stack.pop()
                decided, reads_rate = decided or of_arg[0], reads_rate or of_arg[1]
        stack.append((decided, reads_rate))
        if decided and not reads_rate:
            found.append((index, node))
    return found[::-1]


def names_before(program: Program, position: int, space: Space) -> list[str]:
    """Variables with a value before statement `position`, repeated by their relative frequency."""
    others = dict.fromkeys((*space.inputs, *program.inputs))
    others |= dict.fromkeys([h.name for h in program.hyperparameters])
    often = dict.fromkeys(["g"] if "g" in others else [])
    often |= dict.fromkeys([s.name for s in program.state])
    often |= dict.fromkeys([s.target for s in program.body[:position] if s.target != EVAL_W])
    return [*(name for name in others if name not in often), *_OFTEN * list(often)]


def changed(
    program: Program,
    written: Expr | None,
    *,
    state: tuple[State, ...] | None = None,
    hyperparameters: tuple[Hyperparameter, ...] | None = None,
    body: tuple[Statement, ...] | None = None,
    result: Expr | None = None,
) -> Program:
    """The program with some parts replaced; inputs that `written` reads join the signature."""
    inputs = program.inputs
    parts = [] if written is None else subexpressions(written)
    read = {e.id for e in parts if type(e) is Name and e.id in INPUTS and e.id not in inputs}
    if read:
        inputs = in_order({*inputs, *read})
    return Program(
        program.name,
        inputs,
        program.state if state is None else state,
        program.hyperparameters if hyperparameters is None else hyperparameters,
        program.body if body is None else body,
        program.result if result is None else result,
        program.doc,
    )


def with_value(program: Program, position: int, value: Expr) -> Draft:
    """The program with another right-hand side of one statement (or the result)."""
    if position == len(program.body):
        old = program.result
        child = changed(program, value, result=value)
        return Draft(child, lambda: f"return {short(old)} → {short(value)}", value)
    statement = program.body[position]
    body = (
        *program.body[:position],
        Statement(statement.target, value),
        *program.body[position + 1 :],
    )
    return Draft(
        changed(program, value, body=body),
        lambda: f"{statement.target} = {short(statement.value)} → {short(value)}",
        value,
    )


def fresh(program: Program, letter: str) -> str:
    """An unused variable name: the letter and a number."""
    taken = {s.target for s in program.body} | {s.name for s in program.state}
    taken |= set(program.defaults) | set(INPUTS)
    return next(name for i in range(1, 10_000) if (name := f"{letter}{i}") not in taken)


def text(statement: Statement) -> str:
    """A statement, for descriptions."""
    return f"{statement.target} = {short(statement.value)}"


def short(expr: Expr) -> str:
    """An expression, for descriptions."""
    written = format_expression(expr)
    return written if len(written) <= 70 else written[:67] + "..."
