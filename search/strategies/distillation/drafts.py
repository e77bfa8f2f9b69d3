"""Programs under construction: random parts, memories, and parts of other programs."""

from __future__ import annotations

import random
from itertools import accumulate

from ....dsl.inputs import ALWAYS, in_order
from ....dsl.liveness import without_dead_code
from ....dsl.primitive import CORE, Primitive, Scope
from ....dsl.primitives import PRIMITIVES
from ....dsl.program import (
    LEARNING_RATE,
    Call,
    Constant,
    Expr,
    Name,
    Program,
    State,
    Statement,
    names_in,
    substitute,
)
from ....dsl.syntax import check

# What traces have.
_INPUTS = ("g", "w", "t", LEARNING_RATE)
_INPUT_WEIGHTS = (4.0, 1.0, 0.7, 0.7)
_STATE_WEIGHT = 2.0
_LITERAL = 0.15
_DECAYS = (0.5, 0.9, 0.99, 0.999)
# How often a new part is a memory rather than a primitive.
_MEMORY = 0.2
# Six variants of one thing.
CONDITIONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "invert")


def _weight(row: Primitive) -> float:
    if row.name in CONDITIONS:
        return 0.1
    if row.scope is not Scope.ELEMENTWISE or row.expansion:
        return 0.1
    return float(row.cost**-0.5)


_DRAWN = tuple(row for row in PRIMITIVES.values() if row.grammar == CORE and row.arity)
_CUMULATIVE = tuple(accumulate(_weight(row) for row in _DRAWN))
SAME_ARITY = {
    arity: [row for row in _DRAWN if row.arity == arity] for arity in {row.arity for row in _DRAWN}
}
SAME_ARITY_WEIGHTS = {
    arity: tuple(accumulate(_weight(row) for row in rows)) for arity, rows in SAME_ARITY.items()
}


class Draft:
    """A program that is being edited.

    Attributes:
      roots: the right-hand sides, the result last. targets: what they are assigned to, but for the
        result. state: by name, its start value.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self.targets = [s.target for s in program.body]
        self.roots = list(program.expressions())
        self.state: dict[str, float | str] = {s.name: s.init for s in program.state}

    def program(self) -> Program:
        """The edited program, without what nothing depends on. Raises ProgramError."""
        pairs = zip(self.targets, self.roots[:-1], strict=True)
        body = tuple([Statement(target, root) for target, root in pairs])
        used = {name for root in self.roots for name in names_in(root)}
        old = self._program
        edited = Program(
            old.name,
            in_order({*used, *ALWAYS}),
            tuple(State(name, init) for name, init in self.state.items()),
            old.hyperparameters,
            body,
            self.roots[-1],
            old.doc,
        )
        check(edited)
        return without_dead_code(edited)

    def insert(self, position: int, target: str, root: Expr) -> None:
        """A statement before another one."""
        self.targets.insert(position, target)
        self.roots.insert(position, root)

    def fresh(self) -> str:
        """A name for a state."""
        taken = {*self.state, *self.targets}
        return next(name for i in range(1, 1000) if (name := f"s{i}") not in taken)

    def names(self, position: int) -> tuple[list[str], list[float]]:
        """The variables that have a value before a root, and how often each is drawn."""
        others = [*self.state, *(t for t in self.targets[:position] if t not in self.state)]
        return [*_INPUTS, *others], [*_INPUT_WEIGHTS, *[_STATE_WEIGHT] * len(others)]

    def remember(self, position: int, value: Expr, rng: random.Random) -> tuple[Expr, int]:
        """A state that follows a value.

        Returns:
          What to read in the value's place, and where the root at `position` is now.
        """
        name = self.fresh()
        self.state[name] = 0.0
        memory, decay = Name(name), Constant(rng.choice(_DECAYS))
        drawn = rng.random()
        if drawn < 0.55:
            following: Expr = Call("lerp", (value, memory, decay))
        elif drawn < 0.72:
            following = Call("add", (Call("multiply", (decay, memory)), value))
        elif drawn < 0.85:
            following = Call("add", (memory, value))
        elif drawn < 0.92:
            following = Call("maximum", (value, Call("multiply", (decay, memory))))
        else:
            following = value
        if following is value or rng.random() < 0.15:
            # Read before it is written: what it held after the last step.
            self.insert(len(self.targets), name, following)
            return memory, position + (position == len(self.roots) - 2)
        self.insert(position, name, following)
        return memory, position + 1


def literal(rng: random.Random) -> Constant:
    """A number: about one, a decay, or tiny."""
    drawn = rng.random()
    if drawn < 0.5:
        return Constant(float(f"{rng.choice((1, 1, -1)) * 2 ** rng.gauss(0, 1):.3g}"))
    if drawn < 0.75:
        return Constant(rng.choice(_DECAYS))
    return Constant(10.0 ** -rng.randint(1, 10))


def _leaf(draft: Draft, position: int, rng: random.Random) -> Expr:
    if rng.random() < _LITERAL:
        return literal(rng)
    names, weights = draft.names(position)
    return Name(rng.choices(names, weights)[0])


def grown(
    draft: Draft, position: int, depth: int, rng: random.Random, inside: Expr | None = None
) -> tuple[Expr, int]:
    """A random expression of some depth, around another if one is given, and its root's place."""
    if depth == 0:
        return (_leaf(draft, position, rng) if inside is None else inside), position
    if rng.random() < _MEMORY:
        value, position = grown(draft, position, depth - 1, rng, inside)
        return draft.remember(position, value, rng)
    row = rng.choices(_DRAWN, cum_weights=_CUMULATIVE)[0]
    args: list[Expr] = []
    within = rng.randrange(row.arity)
    for place in range(row.arity):
        deep = depth - 1 if place == within or rng.random() < 0.3 else 0
        given = inside if place == within else None
        arg, position = grown(draft, position, deep, rng, given)
        args.append(arg)
    return Call(row.name, tuple(args)), position


def graft(draft: Draft, donor: Program, scion: Expr, position: int) -> tuple[Expr, int] | None:
    """Brings a part of another program, with the states that it reads, into a draft.

    Args:
      draft: gets the states that it lacks. donor: the other program. scion: a part of it.
      position: of the root that will read it.

    Returns:
      The part with the states' names here, and where the root is now. None for a donor whose
      statements are more than one for each state.
    """
    states = {s.name: s.init for s in donor.state}
    following = {s.target: s.value for s in donor.body}
    needed: set[str] = set()  # everything that it reads, and what that reads
    stack = [scion]
    while stack:
        new = (names_in(stack.pop()) & following.keys()) - needed
        needed |= new
        stack += [following[name] for name in new]
    if not needed <= states.keys() or len(following) < len(donor.body):
        return None
    mine = dict(zip(draft.targets, draft.roots[:-1], strict=True))
    names: dict[str, Expr] = {}
    missing = []
    for name in following:
        if name not in needed:
            continue
        if draft.state.get(name) == states[name] and mine.get(name) == following[name]:
            names[name] = Name(name)
            continue
        fresh = draft.fresh()
        draft.state[fresh] = states[name]
        names[name] = Name(fresh)
        missing.append((name, fresh))
    for name, fresh in missing:
        draft.insert(position, fresh, substitute(following[name], names))
        position += 1
    return substitute(scion, names), position
