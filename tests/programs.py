"""Random well-kinded programs over every primitive.

`random_program(Random(seed))` gives independent programs in bulk; `programs()` is the same
generator as a hypothesis strategy, which shrinks what fails.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from evoptax.dsl.errors import ProgramError
from evoptax.dsl.inputs import INPUTS, KINDS
from evoptax.dsl.kinds import Kind
from evoptax.dsl.primitive import Scope
from evoptax.dsl.primitives import PRIMITIVES
from evoptax.dsl.program import (
    EVAL_W,
    Call,
    Constant,
    Expr,
    Hyperparameter,
    Name,
    Program,
    State,
    Statement,
)
from evoptax.dsl.syntax import check
from hypothesis import strategies as st

Env = dict[str, Kind]

# From fewest numbers to most; each broadcasts to those after it.
_KINDS = (Kind.SCALAR, Kind.LAYER, Kind.TENSOR)

_ROWS = [row for row in PRIMITIVES.values() if row.grammar == "core"]

# Derived rows have no scope of their own: what they take and give, from their expansions.
_WHOLE_MODEL = {"cosine_sim"}
_KEEPS_TENSOR = {"clip_by_global_norm"}
_REDUCING = {
    Kind.LAYER: [r.name for r in _ROWS if r.scope is Scope.PER_TENSOR],
    Kind.SCALAR: [r.name for r in _ROWS if r.scope is Scope.MODEL] + sorted(_WHOLE_MODEL),
}
_NULLARY = [r.name for r in PRIMITIVES.values() if r.arity == 0]
_POINTWISE = [
    r.name
    for r in _ROWS
    if r.arity and not r.reduces and r.name not in _WHOLE_MODEL | _KEEPS_TENSOR
]

# What programs that ask do, by the variable that gets it.
_OF_LOSS = ("grad", "hvp", "loss_at")
_ASKING = {
    "q": ("grad", Kind.TENSOR),
    "h": ("hvp", Kind.TENSOR),
    "f": ("loss_at", Kind.SCALAR),
    "n": ("normalize", Kind.TENSOR),
    "r": ("normalize_rows", Kind.TENSOR),
    "d": ("normalize_columns", Kind.TENSOR),
    "i": ("ndim", Kind.LAYER),
}
_ASKED_INPUTS = [name for name, row in INPUTS.items() if row.grammar == "oracle"]

_BOUNDED, _POSITIVE = ("tanh", "sin", "sigmoid"), ("abs", "square", "norm")
# Where an unguarded argument would be NaN or overflow at once, so that most random programs would
# say nothing; three times out of four the argument is drawn from here instead.
_GUARDS: dict[str, Callable[[Expr], Expr]] = {}


def _guard(*names: str) -> Callable[[Callable[[Expr], Expr]], Callable[[Expr], Expr]]:
    def register(function: Callable[[Expr], Expr]) -> Callable[[Expr], Expr]:
        _GUARDS.update(dict.fromkeys(names, function))
        return function

    return register


@_guard("sqrt", "log1p", "power")
def _absolute(x: Expr) -> Expr:
    return Call("abs", (x,))


@_guard("log", "log2", "log10", "reciprocal")
def _away_from_zero(x: Expr) -> Expr:
    return Call("add", (Call("abs", (x,)), Constant(0.125)))


@_guard("arcsin", "arccos", "arctanh", "exp", "exp2", "exp10", "expm1", "sinh", "cosh", "tan")
def _between_minus_one_and_one(x: Expr) -> Expr:
    return Call("multiply", (Constant(0.96875), Call("tanh", (x,))))


@_guard("arccosh")
def _above_one(x: Expr) -> Expr:
    return Call("add", (Call("square", (x,)), Constant(1.5)))


@_guard("cube", "square")
def _clipped(x: Expr) -> Expr:
    return Call("clip", (x, Constant(-4.0), Constant(4.0)))


_CONSTANTS = [0.0, 1.0, -1.0, 2.0, 0.5, 0.25, 0.1, 0.9, 0.999, 1e-3, 1e-8, 3.0, -0.7, 12.5]
_EXPONENTS = [2.0, 0.5, -1.0, 3.0, 1.0, 0.25, 1.5]


def constant(rng: Random) -> float:
    """A number that rules are made of, or now and then any other."""
    return rng.choice(_CONSTANTS) if rng.randrange(3) else rng.uniform(-100.0, 100.0)


def _names(env: Env, kind: Kind) -> list[str]:
    return [name for name, of in env.items() if of is kind]


def expression(rng: Random, kind: Kind, env: Env, depth: int) -> Expr:
    """An expression of exactly this kind; `env` must hold at least one tensor."""
    names = _names(env, kind)
    if depth == 0 or rng.randrange(6) == 0:
        return _leaf(rng, kind, env, names)
    if kind is Kind.TENSOR:
        if rng.randrange(26) == 0:
            limit = expression(rng, Kind.SCALAR, env, 0)
            return Call(
                "clip_by_global_norm", (expression(rng, Kind.TENSOR, env, depth - 1), limit)
            )
    elif rng.randrange(2):
        return _reduction(rng, kind, env, depth - 1)
    return _pointwise(rng, kind, env, depth)


def _leaf(rng: Random, kind: Kind, env: Env, names: list[str]) -> Expr:
    if kind is Kind.SCALAR and (not names or rng.randrange(2)):
        if rng.randrange(8) == 0:
            return Call(rng.choice(_NULLARY), ())
        return Constant(constant(rng))
    if names:
        return Name(rng.choice(names))
    return _reduction(rng, kind, env, 0)


def _reduction(rng: Random, kind: Kind, env: Env, depth: int) -> Expr:
    name = rng.choice(_REDUCING[kind])
    arity = PRIMITIVES[name].arity
    return Call(name, tuple(expression(rng, Kind.TENSOR, env, depth) for _ in range(arity)))


def _pointwise(rng: Random, kind: Kind, env: Env, depth: int) -> Expr:
    row = PRIMITIVES[rng.choice(_POINTWISE)]
    leading = rng.randrange(row.arity)
    args = []
    for position in range(row.arity):
        lower = rng.choice(_KINDS[: _KINDS.index(kind) + 1])
        args.append(expression(rng, kind if position == leading else lower, env, depth - 1))
    if row.name in _GUARDS and rng.randrange(4):
        args[0] = _GUARDS[row.name](args[0])
    if row.name == "power" and leading == 0 and rng.randrange(4):
        args[1] = Constant(rng.choice(_EXPONENTS))
    if row.name in ("divide", "mod") and rng.randrange(4):
        args[1] = _away_from_zero(args[1])
    return Call(row.name, tuple(args))


def random_program(rng: Random, *, asking: bool = False) -> Program:
    """A program with up to four states of all kinds, reassigned names and dead code.

    Args:
      asking: whether it may ask oracles, read noise and labels, and normalize matrices too.
    """
    while (program := _attempt(rng, asking=asking)) is None:
        pass
    return program


def small_program(rng: Random) -> Program:
    """A program of so few words that different ones often say the same."""
    env: Env = {"w": Kind.TENSOR, "g": Kind.TENSOR}
    body = (Statement("u", expression(rng, Kind.TENSOR, env, 1)),)
    result = expression(rng, Kind.TENSOR, {"g": Kind.TENSOR, "u": Kind.TENSOR}, 1)
    return Program("rule", ("w", "g"), (), (), body, result)


def programs(*, asking: bool = False) -> st.SearchStrategy[Program]:
    """`random_program` as a strategy."""
    randoms = st.randoms(use_true_random=False)
    return randoms.map(lambda rng: _attempt(rng, asking=asking)).filter(bool)


def _some(rng: Random, items: list[str]) -> list[str]:
    return rng.sample(items, rng.randrange(len(items) + 1))


def _attempt(
    rng: Random, max_statements: int = 9, depth: int = 3, *, asking: bool = False
) -> Program | None:
    """Fails now and then: a state that never meets a tensor is a scalar and cannot be reduced."""
    extra = _some(rng, ["t", "T", "loss"])
    extra += _some(rng, _ASKED_INPUTS) if asking else []
    inputs = ("w", "g", *extra)
    hyper = [Hyperparameter("lr", rng.choice([1e-3, 0.01, 0.1]))]
    hyper += [Hyperparameter(name, constant(rng)) for name in _some(rng, ["b1", "eps", "wd"])]
    env: Env = {name: KINDS[name] for name in inputs}
    env |= {h.name: Kind.SCALAR for h in hyper}
    states, goal = [], {}
    for name in _some(rng, ["m", "v", "z", "k"]):
        from_w = rng.randrange(4) == 0
        states.append(State(name, "w" if from_w else constant(rng)))
        goal[name] = Kind.TENSOR if from_w else rng.choice([*_KINDS, Kind.TENSOR])
    env |= goal
    todo = rng.sample(list(goal), len(goal))
    body = []
    for _ in range(rng.randint(1, max_statements)):
        target, kind = rng.choice(_targets(goal))
        value = expression(rng, kind, env, rng.randint(1, depth))
        body.append(Statement(target, value))
        env[target] = kind
        if asking and rng.randrange(3) == 0:
            name, (primitive, kind) = rng.choice([*_ASKING.items()])
            body.append(Statement(name, Call(primitive, (_asked_at(rng, primitive, env),))))
            env[name] = kind
    # Whatever happened on the way, each state ends as the kind that it was taken to be.
    for name in todo:
        if rng.randrange(5) or env[name] is not goal[name]:
            body.append(Statement(name, expression(rng, goal[name], env, 2)))
            env[name] = goal[name]
    if rng.randrange(4) == 0:
        body.append(Statement(EVAL_W, expression(rng, Kind.TENSOR, env, 2)))
        env[EVAL_W] = Kind.TENSOR
    update = expression(rng, rng.choice([*_KINDS, *[Kind.TENSOR] * 6]), env, 2)
    result = Call("multiply", (Name("lr"), update)) if env["lr"] is Kind.SCALAR else update
    program = Program("rule", inputs, tuple(states), tuple(hyper), tuple(body), result)
    try:
        check(program)
    except ProgramError:
        return None
    return program


def _asked_at(rng: Random, primitive: str, env: Env) -> Expr:
    """A point near the weights for what takes weights, a tensor for all else."""
    value = expression(rng, Kind.TENSOR, env, 2)
    if primitive not in _OF_LOSS:
        return value
    # A loss far away is as good as random: its phase is lost to rounding.
    direction = Call("clip", (value, Constant(-4.0), Constant(4.0)))
    return direction if primitive == "hvp" else Call("add", (Name("w"), direction))


def _targets(goal: dict[str, Kind]) -> list[tuple[str, Kind]]:
    fresh = [(name, kind) for name in ("a", "b", "c", "u") for kind in _KINDS]
    # w and g stay tensors, so that something to reduce is always left.
    again = [("g", Kind.TENSOR), ("w", Kind.TENSOR), ("lr", Kind.SCALAR), ("m2", Kind.TENSOR)]
    return fresh + again + [(name, kind) for name, kind in goal.items()] * 3
