"""The domain of concrete arrays, and rules as init/step pairs over it.

The same code runs NumPy in float64 (the reference) and JAX (the fused path): only the array
namespace differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import UserError
from .inference import kinds_of
from .interpreter import interpret
from .kinds import Kind, shape_of
from .primitives import Primitive, Scope
from .program import EVAL_W, Program


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
    """

    def __init__(self, xp: Any, dtype: Any, shapes: Sequence[tuple[int, ...]] = ()) -> None:
        self.xp = xp
        self.dtype = dtype
        self.shapes = shapes

    def constant(self, value: float) -> Any:
        return self.xp.asarray(value, self.dtype)

    def apply(self, primitive: Primitive, args: Sequence[Any]) -> Any:
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
    """An update rule bound to an array namespace: a pair of pure functions.

    Attributes:
      init: `init(w) -> state`, with w a `Leaves` of arrays.
      step: `step(w, g, state, *, t, T, loss, role, A, hyper) -> (w, state, eval_w)`. `t` counts
        from 1; `role` has one sign, and `A` one matrix, per tensor (see `INPUTS`); `hyper`
        overrides hyperparameter defaults by name; `eval_w` is where the model is to be evaluated,
        which is the new w unless the program says otherwise.
    """

    program: Program
    init: Callable[[Leaves], dict[str, Any]]
    step: Callable[..., tuple[Leaves, dict[str, Any], Leaves]]


def bind(program: Program, xp: Any, dtype: Any) -> Rule:
    """Binds a program to numpy or jax.numpy. With JAX, the functions can be traced."""
    kinds = kinds_of(program)

    def domain_of(w: Leaves) -> ArrayDomain:
        return ArrayDomain(xp, dtype, [xp.shape(x) for x in w])

    def init(w: Leaves) -> dict[str, Any]:
        domain = domain_of(w)
        state = {}
        for s in program.state:
            start = w if isinstance(s.init, str) else domain.constant(s.init)
            state[s.name] = domain.as_kind(start, kinds.state[s.name], w)
        return state

    def step(
        w: Leaves,
        g: Leaves,
        state: Mapping[str, Any],
        *,
        t: Any,
        T: Any = 0.0,
        loss: Any = 0.0,
        role: Sequence[Any] | None = None,
        A: Sequence[Any] | None = None,
        hyper: Mapping[str, Any] | None = None,
    ) -> tuple[Leaves, dict[str, Any], Leaves]:
        domain = domain_of(w)
        scalars = {"t": t, "T": T, "loss": loss, **(hyper or {})}
        env: dict[str, Any] = {name: domain.constant(value) for name, value in scalars.items()}
        env["role"] = Leaves([domain.constant(r) for r in role or [1.0] * len(w)], Kind.LAYER)
        if A is not None:
            env["A"] = Leaves((xp.asarray(a, dtype) for a in A), Kind.ROW_GRAM)
        elif "A" in program.inputs:
            raise UserError(f"{program.name} solves linear systems and needs their matrices, A")
        outcome = interpret(program, domain, env | {"w": w, "g": g, **state})
        update = domain.as_kind(outcome.result, Kind.TENSOR, w)
        new_w = Leaves(x - u for x, u in zip(w, update, strict=True))
        new_state = {
            name: domain.as_kind(outcome.env[name], kind, w) for name, kind in kinds.state.items()
        }
        return new_w, new_state, outcome.env.get(EVAL_W, new_w)

    return Rule(program, init, step)


def run_numpy(
    program: Program,
    params: Sequence[np.ndarray],
    gradients: Sequence[Sequence[np.ndarray]],
    *,
    dtype: Any = np.float64,
    hyper: Mapping[str, float] | None = None,
    role: Sequence[float] | None = None,
    A: Sequence[np.ndarray] | None = None,
) -> list[tuple[Leaves, Leaves]]:
    """Runs a rule on a fixed sequence of gradients with NumPy.

    Args:
      program: the rule.
      params: the initial weights, one array per tensor.
      gradients: for each step, one array per tensor.
      dtype: of all computation.
      hyper: hyperparameters that differ from the program's defaults.
      role: of each tensor in a game, 1 or -1. A: of each tensor, the matrix of its system.

    Returns:
      For each step (w, eval_w) after it. Non-finite numbers pass through silently.
    """
    rule = bind(program, np, dtype)
    w = Leaves(np.asarray(p, dtype) for p in params)
    trajectory = []
    with np.errstate(all="ignore"):
        state = rule.init(w)
        for t, gradient in enumerate(gradients, start=1):
            g = Leaves(np.asarray(x, dtype) for x in gradient)
            w, state, eval_w = rule.step(
                w, g, state, t=t, T=len(gradients), hyper=hyper, role=role, A=A
            )
            trajectory.append((w, eval_w))
    return trajectory
