"""What a row of the table of `primitives` says of an operation, and short ways to write a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Any

from . import kinds
from .kinds import Kind
from .sources import Source

# What `Primitive.grammar` may be, besides an empty string.
CORE, MATRIX, ORACLE = "core", "matrix", "oracle"


class Scope(Enum):
    """Over what a primitive acts.

    ELEMENTWISE: number by number, broadcasting. PER_TENSOR: each parameter tensor by itself, as a
    whole. MODEL: all tensors of the model together, reduced to one number. LOSS: all tensors of the
    model together, of which the loss of this step's minibatch is a function; see `Oracle`. MEMBERS:
    what all members hold; see `Combination`.
    """

    ELEMENTWISE = "elementwise"
    PER_TENSOR = "per tensor"
    MODEL = "model"
    LOSS = "loss"
    MEMBERS = "members"


@dataclass(frozen=True, slots=True)
class Oracle:
    """What a primitive of scope LOSS asks of whoever has the loss: it has no definition of its own.

    Within a step it is a function of its argument, so that equal calls are one.

    Attributes:
      meaning: a noun phrase.
      given_by: the sources that answer it.
      gradients: what a call costs, in evaluations of the gradient.
      at_w: the input that it equals at w; empty if there is none.
      instead: the argument of an exported Optax rule that may be given instead of the loss.
    """

    meaning: str
    given_by: frozenset[Source]
    gradients: Fraction
    at_w: str = ""
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Combination:
    """How a primitive of scope MEMBERS combines what M members hold; see `members`.

    Attributes:
      meaning: a noun phrase.
      given_by: the sources that have members.
      collective: the function of jax.lax that does it over a named axis; empty where each member
        weighs all others.
      weigh: `weigh(xp, own, every, row, *args) -> (M,)`, a member's weights of all, from its own
        numbers (N,), those of all (M, N), its row of the mixing matrix, and further arguments.
      whole: whether the weights depend on all tensors of the model together.
    """

    meaning: str
    given_by: frozenset[Source]
    collective: str = ""
    weigh: Callable[..., Any] | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Primitive:
    """One operation of the language.

    Attributes:
      name: what programs write, unless `infix` is set.
      arity: number of arguments.
      scope: see `Scope`.
      define: `define(xp, *args)`, over an array namespace (numpy or jax.numpy). With scope
        PER_TENSOR the arrays have the shape of their parameter tensor; with scope MODEL they are
        flat and hold all tensors. With scope MEMBERS it is `define(xp, x)`, with what members hold
        along the first axis, or `define(xp, x, weights)` where they are weighted.
      latex: a template with {0}, {1}, … for the arguments.
      infix: the operator that programs write instead of a call.
      commutative: whether the first two arguments can be exchanged.
      cost: floating-point operations per number, roughly (an `exp` counts as ten).
      lion: the function's name in Lion's search space, or an empty string.
      expansion: for a derived primitive, its definition as an expression over the argument names
        `x`, `y`, `z`; such a row has no `define` and is expanded before any analysis.
      grammar: in which grammar of the search it is drawn first: "core", or "matrix" and "oracle",
        which draw those of "core" too; empty if mutations never draw it.
      jax: how Python code over jax.numpy writes it, a template with {0}, {1}, …; empty where there
        is a function of its name, or where it is written as its expansion.
      kind: the result's kind from the arguments' kinds; elementwise rows broadcast (`join`).
      asks: of scope LOSS, what it asks the loss; such a row has no `define` either.
      combines: of scope MEMBERS, how.
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
    asks: Oracle | None = None
    combines: Combination | None = None

    @property
    def reduces(self) -> bool:
        """Whether it takes whole tensors rather than numbers one by one."""
        return self.scope is not Scope.ELEMENTWISE

    @property
    def oracle(self) -> Oracle:
        """What a primitive of scope LOSS asks."""
        assert self.asks is not None
        return self.asks

    @property
    def combination(self) -> Combination:
        """How a primitive of scope MEMBERS combines what members hold."""
        assert self.combines is not None
        return self.combines

    @property
    def whole(self) -> bool:
        """Whether each number that it gives may depend on all tensors of the model."""
        return self.scope is Scope.LOSS or (self.combines is not None and self.combines.whole)

    def lack(self, which: str) -> str:
        """What is said of a rule that calls it where nobody answers: a sentence but its subject."""
        needs = self.asks or self.combination
        return f"calls {self.name}, {needs.meaning}, which {which}"

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


def of_loss(
    name: str,
    kind: Callable[[Sequence[Kind]], Kind],
    latex: str,
    *,
    asks: Oracle,
    cost: int,
    jax: str,
) -> Primitive:
    """A primitive that asks the loss of this step's minibatch about weights or a direction."""
    more: dict[str, Any] = {"grammar": ORACLE, "cost": cost, "jax": jax}
    return Primitive(name, 1, None, latex, Scope.LOSS, kind=kind, asks=asks, **more)


def of_members(
    name: str,
    define: Callable[..., Any],
    latex: str,
    *,
    combines: Combination,
    jax: str,
    arity: int = 1,
    kind: Callable[[Sequence[Kind]], Kind] = kinds.unchanged,
    cost: int = 2,
) -> Primitive:
    """A primitive that combines what all members hold; never drawn by mutations."""
    more: dict[str, Any] = {"grammar": "", "cost": cost, "jax": jax}
    return Primitive(
        name, arity, define, latex, Scope.MEMBERS, kind=kind, combines=combines, **more
    )
