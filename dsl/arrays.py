"""The domain of concrete arrays, and rules as init/step pairs over it.

The same code runs NumPy in float64 (the reference) and JAX (the fused path): only the array
namespace differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .errors import UserError
from .inference import kinds_of
from .inputs import INPUTS
from .interpreter import interpret
from .kinds import Kind, shape_of
from .leaves import Leaves as Leaves
from .leaves import flat, mapped
from .members import is_of_members
from .oracles import oracles_of
from .primitive import Primitive, Scope
from .program import EVAL_W, Program

# By name, what answers for the loss of a step; takes and gives one array for each tensor.
Oracles = Mapping[str, Callable[..., Any]]
_NO_ORACLES: Oracles = MappingProxyType({})
# By primitive of scope MEMBERS, what combines a member's value with those of all.
Network = Mapping[str, Callable[..., Any]]
_NO_NETWORK: Network = MappingProxyType({})


class ArrayDomain:
    """Concrete arrays of a namespace `xp` (numpy or jax.numpy) with one dtype.

    Args:
      xp: the array namespace.
      dtype: of all computation.
      shapes: the shapes of the parameter tensors, which matrix products need.
      oracles: by name, functions of one array for each tensor, all of which the program calls.
      network: by name, the primitives of scope MEMBERS that the program calls, as functions of
        this member's values.
    """

    def __init__(
        self,
        xp: Any,
        dtype: Any,
        shapes: Sequence[tuple[int, ...]] = (),
        oracles: Oracles = _NO_ORACLES,
        network: Network = _NO_NETWORK,
    ) -> None:
        self.xp = xp
        self.dtype = dtype
        self.shapes = shapes
        self.oracles = oracles
        self.network = network

    def constant(self, value: Any) -> Any:
        return self.xp.asarray(value, self.dtype)

    def apply(self, primitive: Primitive, args: Sequence[Any]) -> Any:
        if primitive.scope is Scope.LOSS:
            return self.answer(primitive, self.oracles[primitive.name](*args))
        if primitive.scope is Scope.MEMBERS:
            return self.network[primitive.name](*args)
        define = primitive.define
        assert define is not None, f"{primitive.name} is derived"
        if primitive.scope is Scope.MODEL:
            return define(self.xp, *(flat(self.xp, arg) for arg in args))
        kinds = [a.kind if isinstance(a, Leaves) else Kind.SCALAR for a in args]
        count = next((len(a) for a in args if isinstance(a, Leaves)), None)
        if count is None:
            value = define(self.xp, *args)
            return self.constant(value) if isinstance(value, float) else value
        results = (
            define(self.xp, *(a[i] if isinstance(a, Leaves) else a for a in args))
            for i in range(count)
        )
        kind = primitive.kind(kinds)
        if kind is Kind.TENSOR and primitive.scope is Scope.PER_TENSOR:
            # A matrix product of a vector or a kernel comes as a matrix.
            pairs = zip(results, self.shapes, strict=True)
            return Leaves((self.xp.reshape(x, shape) for x, shape in pairs), kind)
        return Leaves(results, kind)

    def answer(self, primitive: Primitive, found: Any) -> Any:
        """What an oracle answers, as a value."""
        if primitive.kind([Kind.TENSOR]) is Kind.SCALAR:
            return self.constant(found)
        return Leaves(self.constant(x) for x in found)

    def as_kind(self, value: Any, kind: Kind, like: Leaves) -> Any:
        """The value broadcast to a kind, for the tensors `like`."""
        if kind is Kind.SCALAR:
            return value
        leaves = value if isinstance(value, Leaves) else [value] * len(like)
        pairs = zip(leaves, like, strict=True)
        return Leaves(
            (self.xp.broadcast_to(x, shape_of(kind, self.xp.shape(w))) for x, w in pairs), kind
        )


class MembersDomain:
    """What all members hold: a value is a tuple of one of each member, which keeps its own domain.

    Args:
      each: the members' domains. Their oracles are not used.
      oracles: by name, functions of arrays whose first axis is that of members.
      mixing: the mixing matrix, (M, M); None if the program does not mix.
    """

    def __init__(
        self, each: Sequence[ArrayDomain], oracles: Oracles = _NO_ORACLES, mixing: Any = None
    ) -> None:
        self.each = each
        self.xp = each[0].xp
        self.oracles = oracles
        self.rows = [None] * len(each) if mixing is None else list(each[0].constant(mixing))

    def constant(self, value: Any) -> tuple[Any, ...]:
        return tuple(domain.constant(value) for domain in self.each)

    def apply(self, primitive: Primitive, args: Sequence[Any]) -> tuple[Any, ...]:
        members = zip(self.each, *args, strict=True)
        if primitive.scope is Scope.LOSS:
            found = self.oracles[primitive.name](*(self.stacked(arg) for arg in args))
            answers = unstacked(found, len(self.each))
            return tuple(d.answer(primitive, x) for d, x in zip(self.each, answers, strict=True))
        if primitive.scope is Scope.MEMBERS:
            return self.combined(primitive, *args)
        return tuple(domain.apply(primitive, own) for domain, *own in members)

    def combined(self, primitive: Primitive, values: Any, *more: Any) -> tuple[Any, ...]:
        """The value of a primitive of scope MEMBERS."""
        xp, define, weigh = self.xp, primitive.define, primitive.combination.weigh
        assert define is not None
        x = self.stacked(values)
        if weigh is None:
            return (mapped(lambda leaf: define(xp, leaf), x),) * len(self.each)
        every = xp.stack([flat(xp, value) for value in values])
        of = zip(every, self.rows, *more, strict=True)
        weights = [weigh(xp, own, every, row, *args) for own, row, *args in of]
        return tuple(mapped(lambda leaf, w=w: define(xp, leaf, w), x) for w in weights)

    def stacked(self, values: Sequence[Any]) -> Any:
        """One value of arrays with a first axis of members."""
        return mapped(lambda *leaves: self.xp.stack(leaves), *values)


def unstacked(value: Any, count: int) -> list[Any]:
    """The members' values in one of arrays with a first axis of members."""
    if isinstance(value, Leaves):
        return [Leaves((x[i] for x in value), value.kind) for i in range(count)]
    return [value[i] for i in range(count)]


@dataclass(frozen=True)
class Rule:
    """An update rule bound to an array namespace: pure functions.

    Of a program of members, all of this is of all members together: each array of `w`, `g`, the
    state, `eval_w`, what oracles take and give, and of inputs that are the members' own (see
    `Input.own`) has a first axis of members. `member` and `members` are not given, but `mixing` is
    where the program mixes: the mixing matrix (M, M).

    Attributes:
      init: `init(w) -> state`, with w a `Leaves` of arrays.
      update: `update(w, g, state, *, hyper, oracles, **inputs) -> (update, state, eval_w)`. `hyper`
        overrides hyperparameter defaults by name; `oracles` has, by name, those that the program
        calls, on this step's minibatch and (`hvp`) at w: `grad(x)` and `hvp(v)` take and give one
        array for each tensor, `loss_at(x)` gives a number; `inputs` are the others of
        `inputs.INPUTS` that the program reads, a sequence of one for each tensor where their kind
        is not SCALAR; `eval_w` is where the program wants the model evaluated, None for at the new
        w.
      step: the same, but gives the new w, w - update, and that for an `eval_w` of None.
    """

    program: Program
    init: Callable[[Leaves], dict[str, Any]]
    update: Callable[..., tuple[Leaves, dict[str, Any], Any]]
    step: Callable[..., tuple[Leaves, dict[str, Any], Leaves]]


def bind(program: Program, xp: Any, dtype: Any) -> Rule:
    """Binds a program to numpy or jax.numpy. With JAX, the functions can be traced."""
    bound = _Bound(program, xp, dtype)
    if is_of_members(program):
        return stepping(program, bound.init_all, bound.update_all)
    return stepping(program, bound.init, bound.update)


def bind_member(program: Program, xp: Any, dtype: Any) -> Rule:
    """The same for one member, whose `update` also takes `network`; see `ArrayDomain`."""
    bound = _Bound(program, xp, dtype)
    return stepping(program, bound.init, bound.update)


def stepping(program: Program, init: Any, update: Any) -> Rule:
    """A rule with a `step` made of its `update`."""

    def step(
        w: Leaves, g: Leaves, state: Mapping[str, Any], **inputs: Any
    ) -> tuple[Leaves, dict[str, Any], Leaves]:
        subtracted, new_state, eval_w = update(w, g, state, **inputs)
        new_w = Leaves(x - u for x, u in zip(w, subtracted, strict=True))
        return new_w, new_state, new_w if eval_w is None else eval_w

    return Rule(program, init, update, step)


class _Bound:
    """The functions of a rule."""

    def __init__(self, program: Program, xp: Any, dtype: Any) -> None:
        self.program, self.xp, self.dtype = program, xp, dtype
        self.kinds = kinds_of(program)
        self.read = [INPUTS[name] for name in program.inputs if name not in ("w", "g")]
        self.asked = oracles_of(program)

    def domain(self, w: Leaves, oracles: Oracles = _NO_ORACLES, network: Any = None) -> ArrayDomain:
        shapes = [self.xp.shape(x) for x in w]
        return ArrayDomain(self.xp, self.dtype, shapes, oracles, network or _NO_NETWORK)

    def init(self, w: Leaves) -> dict[str, Any]:
        domain = self.domain(w)
        state = {}
        for s in self.program.state:
            start = w if isinstance(s.init, str) else domain.constant(s.init)
            state[s.name] = domain.as_kind(start, self.kinds.state[s.name], w)
        return state

    def update(
        self,
        w: Leaves,
        g: Leaves,
        state: Mapping[str, Any],
        *,
        hyper: Mapping[str, Any] | None = None,
        oracles: Oracles = _NO_ORACLES,
        network: Network = _NO_NETWORK,
        **inputs: Any,
    ) -> tuple[Leaves, dict[str, Any], Any]:
        self.check(oracles)
        domain = self.domain(w, oracles, network)
        env = self.environment(domain, w, g, state, hyper or {}, inputs)
        outcome = interpret(self.program, domain, env)
        return self.results(domain, w, outcome.result, outcome.env)

    def check(self, oracles: Oracles) -> None:
        for oracle in self.asked:
            if oracle.name not in oracles:
                raise UserError(f"{self.program.name} {oracle.lack('nobody gave')}")

    def environment(
        self,
        domain: ArrayDomain,
        w: Leaves,
        g: Leaves,
        state: Mapping[str, Any],
        hyper: Mapping[str, Any],
        inputs: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The value of every input, state and given hyperparameter."""
        env = {name: domain.constant(value) for name, value in hyper.items()}
        env |= {"w": w, "g": g, **state}
        for row in self.read:
            value = inputs.get(row.name)
            if value is None and row.default is None:
                raise UserError(f"{self.program.name} {row.lack('nobody gave')}")
            if row.kind is Kind.SCALAR:
                env[row.name] = domain.constant(row.default if value is None else value)
            else:
                each = [row.default] * len(w) if value is None else value
                env[row.name] = Leaves((self.xp.asarray(x, self.dtype) for x in each), row.kind)
        return env

    def results(
        self, domain: ArrayDomain, w: Leaves, result: Any, env: Mapping[str, Any]
    ) -> tuple[Leaves, dict[str, Any], Any]:
        """The update, the next state, and where to evaluate."""
        new_state = {
            name: domain.as_kind(env[name], kind, w) for name, kind in self.kinds.state.items()
        }
        return domain.as_kind(result, Kind.TENSOR, w), new_state, env.get(EVAL_W)

    # --- the same for all members, without an axis that is named ---

    def init_all(self, w: Leaves) -> dict[str, Any]:
        return self.together([self.init(own) for own in unstacked(w, self.count(w))])

    def count(self, w: Leaves) -> int:
        """The number of members."""
        shapes = [self.xp.shape(x) for x in w]
        if len({shape[:1] for shape in shapes}) != 1 or not shapes[0]:
            raise UserError(
                f"{self.program.name} is run by members, so that each tensor must have a first axis"
                f" of them, as in (4, 3, 2) for four members' matrices, but the shapes are {shapes}"
            )
        return int(shapes[0][0])

    def update_all(
        self,
        w: Leaves,
        g: Leaves,
        state: Mapping[str, Any],
        *,
        hyper: Mapping[str, Any] | None = None,
        oracles: Oracles = _NO_ORACLES,
        mixing: Any = None,
        **inputs: Any,
    ) -> tuple[Leaves, dict[str, Any], Any]:
        self.check(oracles)
        members, count = range(self.count(w)), self.count(w)
        ws, gs = unstacked(w, count), unstacked(g, count)
        domains = [self.domain(own) for own in ws]
        envs = []
        for i in members:
            held = {name: unstacked(value, count)[i] for name, value in state.items()}
            own = {"member": i, "members": count, **own_inputs(inputs, i)}
            envs.append(self.environment(domains[i], ws[i], gs[i], held, hyper or {}, own))
        env = {name: tuple(each[name] for each in envs) for name in envs[0]}
        outcome = interpret(self.program, MembersDomain(domains, oracles, mixing), env)
        found = []
        for i in members:
            held = {name: value[i] for name, value in outcome.env.items()}
            found.append(self.results(domains[i], ws[i], outcome.result[i], held))
        updates, states, points = zip(*found, strict=True)
        eval_w = None if points[0] is None else self.stacked(points)
        return self.stacked(updates), self.together(states), eval_w

    def together(self, states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {name: self.stacked([s[name] for s in states]) for name in states[0]}

    def stacked(self, values: Sequence[Any]) -> Any:
        return mapped(lambda *leaves: self.xp.stack(leaves), *values)


def own_inputs(inputs: Mapping[str, Any], i: int) -> dict[str, Any]:
    """What a member is given of inputs that all members are given."""

    def own(name: str, value: Any) -> Any:
        if value is None or name not in INPUTS or not INPUTS[name].own:
            return value
        return value[i] if INPUTS[name].kind is Kind.SCALAR else [x[i] for x in value]

    return {name: own(name, value) for name, value in inputs.items()}
