"""What a row of the table of `primitives` says of an operation, and short ways to write a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from . import kinds
from .kinds import Kind

# What `Primitive.grammar` may be, besides an empty string.
CORE, MATRIX = "core", "matrix"


class Scope(Enum):
    """Over what a primitive acts.

    ELEMENTWISE: number by number, broadcasting. PER_TENSOR: each parameter tensor by itself, as a
    whole. MODEL: all tensors of the model together, reduced to one number.
    """

    ELEMENTWISE = "elementwise"
    PER_TENSOR = "per tensor"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Primitive:
    """One operation of the language.

    Attributes:
      name: what programs write, unless `infix` is set.
      arity: number of arguments.
      scope: see `Scope`.
      define: `define(xp, *args)`, over an array namespace (numpy or jax.numpy). With scope
        PER_TENSOR the arrays have the shape of their parameter tensor; with scope MODEL they are
        flat and hold all tensors.
      latex: a template with {0}, {1}, … for the arguments.
      infix: the operator that programs write instead of a call.
      commutative: whether the first two arguments can be exchanged.
      cost: floating-point operations per number, roughly (an `exp` counts as ten).
      lion: the function's name in Lion's search space, or an empty string.
      expansion: for a derived primitive, its definition as an expression over the argument names
        `x`, `y`, `z`; such a row has no `define` and is expanded before any analysis.
      grammar: in which grammar of the search it is drawn first: "core", or "matrix", which draws
        those of "core" too; empty if mutations never draw it.
      jax: how Python code over jax.numpy writes it, a template with {0}, {1}, …; empty where there
        is a function of its name, or where it is written as its expansion.
      kind: the result's kind from the arguments' kinds; elementwise rows broadcast (`join`).
    """

    name: str
    arity: int
    define: Callable[..., Any] | None = None
    latex: str = ""
    scope: Scope = Scope.ELEMENTWISE
    infix: str = ""
    commutative: bool = False
    cost: int = 1
    lion: str = ""
    expansion: str = ""
    grammar: str = CORE
    jax: str = ""
    kind: Callable[[Sequence[Kind]], Kind] = kinds.join

    @property
    def reduces(self) -> bool:
        """Whether it takes whole tensors rather than numbers one by one."""
        return self.scope is not Scope.ELEMENTWISE

    @property
    def arguments(self) -> tuple[str, ...]:
        """The argument names that a derived row's `expansion` uses."""
        return ("x", "y", "z")[: self.arity]


def fn(name: str) -> Callable[..., Any]:
    """The function of this name in the array namespace."""
    return lambda xp, *args: getattr(xp, name)(*args)


def function(name: str, cost: int, latex: str) -> Primitive:
    """A function of one argument that NumPy, JAX and Lion's space all call by the same name."""
    return Primitive(name, 1, fn(name), latex, cost=cost, lion=name)


def named(word: str) -> str:
    """LaTeX that writes a function of one argument by a word."""
    return rf"\operatorname{{{{{word}}}}}\left({{0}}\right)"


def derived(name: str, arity: int, expansion: str, latex: str, **more: Any) -> Primitive:
    """A primitive that is an expression over others; see `Primitive.expansion`."""
    return Primitive(name, arity, None, latex, expansion=expansion, **more)


def per_tensor(
    name: str, arity: int, define: Callable[..., Any], latex: str, **more: Any
) -> Primitive:
    """A primitive of whole tensors; without a `kind`, it gives one number for each."""
    more = {"kind": kinds.per_tensor} | more
    return Primitive(name, arity, define, latex, Scope.PER_TENSOR, **more)


def of_model(
    name: str, arity: int, define: Callable[..., Any], latex: str, **more: Any
) -> Primitive:
    """A reduction of all tensors together to one number."""
    return Primitive(name, arity, define, latex, Scope.MODEL, kind=kinds.of_model, **more)
