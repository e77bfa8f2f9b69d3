"""The domain of concrete arrays, and rules as init/step pairs over it.

The same code runs NumPy in float64 (the reference) and JAX (the fused path): only the array
namespace differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .errors import UserError
from .inference import kinds_of
from .inputs import INPUTS
from .interpreter import interpret
from .kinds import Kind, shape_of
from .oracles import oracles_of
from .primitive import Primitive, Scope
from .program import EVAL_W, Program

# By name, what answers for the loss of a step; takes and gives one array for each tensor.
Oracles = Mapping[str, Callable[..., Any]]
_NO_ORACLES: Oracles = MappingProxyType({})


class Leaves(tuple[Any, ...]):
    """One array per parameter tensor. A value that is not `Leaves` is a scalar of the model.

    Attributes:
      kind: of all the arrays; see `Kind`.
    """

    kind: Kind

    def __new__(cls, arrays: Iterable[Any] = (), kind: Kind = Kind.TENSOR) -> Leaves:
        leaves = super().__new__(cls, arrays)
        leaves.kind = kind
        return leaves


class ArrayDomain:
    """Concrete arrays of a namespace `xp` (numpy or jax.numpy) with one dtype.

    Args:
      xp: the array namespace.
      dtype: of all computation.
      shapes: the shapes of the parameter tensors, which matrix products need.
      oracles: by name, functions of one array for each tensor, all of which the program calls.
    """

    def __init__(
        self,
        xp: Any,
        dtype: Any,
        shapes: Sequence[tuple[int, ...]] = (),
        oracles: Oracles = _NO_ORACLES,
    ) -> None:
        self.xp = xp
        self.dtype = dtype
        self.shapes = shapes
        self.oracles = oracles

    def constant(self, value: Any) -> Any:
        return self.xp.asarray(value, self.dtype)

    def apply(self, primitive: Primitive, args: Sequence[Any]) -> Any:
        if primitive.scope is Scope.LOSS:
            found = self.oracles[primitive.name](*args)
            if primitive.kind([Kind.TENSOR]) is Kind.SCALAR:
                return self.constant(found)
            return Leaves(self.constant(x) for x in found)
        define = primitive.define
        assert define is not None, f"{primitive.name} is derived"
        if primitive.scope is Scope.MODEL:
            flat = [self.xp.concatenate([self.xp.ravel(leaf) for leaf in arg]) for arg in args]
            return define(self.xp, *flat)
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

    def as_kind(self, value: Any, kind: Kind, like: Leaves) -> Any:
        """The value broadcast to a kind, for the tensors `like`."""
        if kind is Kind.SCALAR:
            return value
        leaves = value if isinstance(value, Leaves) else [value] * len(like)
        pairs = zip(leaves, like, strict=True)
        return Leaves(
            (self.xp.broadcast_to(x, shape_of(kind, self.xp.shape(w))) for x, w in pairs), kind
        )


@dataclass(frozen=True)
class Rule:
    """An update rule bound to an array namespace: pure functions.

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
    kinds = kinds_of(program)
    read = [INPUTS[name] for name in program.inputs if name not in ("w", "g")]
    asked = oracles_of(program)

    def domain_of(w: Leaves, oracles: Oracles = _NO_ORACLES) -> ArrayDomain:
        return ArrayDomain(xp, dtype, [xp.shape(x) for x in w], oracles)

    def init(w: Leaves) -> dict[str, Any]:
        domain = domain_of(w)
        state = {}
        for s in program.state:
            start = w if isinstance(s.init, str) else domain.constant(s.init)
            state[s.name] = domain.as_kind(start, kinds.state[s.name], w)
        return state

    def update(
        w: Leaves,
        g: Leaves,
        state: Mapping[str, Any],
        *,
        hyper: Mapping[str, Any] | None = None,
        oracles: Oracles = _NO_ORACLES,
        **inputs: Any,
    ) -> tuple[Leaves, dict[str, Any], Any]:
        for oracle in asked:
            if oracle.name not in oracles:
                raise UserError(f"{program.name} {oracle.lack('nobody gave')}")
        domain = domain_of(w, oracles)
        env = {name: domain.constant(value) for name, value in (hyper or {}).items()}
        env |= {"w": w, "g": g, **state}
        for row in read:
            value = inputs.get(row.name)
            if value is None and row.default is None:
                raise UserError(f"{program.name} {row.lack('nobody gave')}")
            if row.kind is Kind.SCALAR:
                env[row.name] = domain.constant(row.default if value is None else value)
            else:
                each = [row.default] * len(w) if value is None else value
                env[row.name] = Leaves((xp.asarray(x, dtype) for x in each), row.kind)
        outcome = interpret(program, domain, env)
        new_state = {
            name: domain.as_kind(outcome.env[name], kind, w) for name, kind in kinds.state.items()
        }
        subtracted = domain.as_kind(outcome.result, Kind.TENSOR, w)
        return subtracted, new_state, outcome.env.get(EVAL_W)

    def step(
        w: Leaves, g: Leaves, state: Mapping[str, Any], **inputs: Any
    ) -> tuple[Leaves, dict[str, Any], Leaves]:
        subtracted, new_state, eval_w = update(w, g, state, **inputs)
        new_w = Leaves(x - u for x, u in zip(w, subtracted, strict=True))
        return new_w, new_state, new_w if eval_w is None else eval_w

    return Rule(program, init, update, step)
