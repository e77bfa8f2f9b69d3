"""A program: an update rule as immutable data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from .errors import UserError, did_you_mean

# A name that, when assigned, says at which point the model is to be evaluated instead of w.
EVAL_W = "eval_w"
# The hyperparameter that every comparison tunes.
LEARNING_RATE = "lr"


@final
@dataclass(frozen=True, slots=True)
class Constant:
    """A finite number."""

    value: float


@final
@dataclass(frozen=True, slots=True)
class Name:
    """The value that a variable holds at this point."""

    id: str


@final
@dataclass(frozen=True, slots=True)
class Call:
    """A primitive applied to arguments."""

    primitive: str
    args: tuple[Expr, ...]


Expr = Constant | Name | Call


@dataclass(frozen=True, slots=True)
class Statement:
    """`target = value`."""

    target: str
    value: Expr


@dataclass(frozen=True, slots=True)
class State:
    """What a rule carries between steps.

    Attributes:
      name: the variable; the value it holds at the end of a step is its next value.
      init: the start value: a number, or the name of a tensor input that is copied.
    """

    name: str
    init: float | str


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """A tunable constant with a name."""

    name: str
    default: float


@dataclass(frozen=True, slots=True)
class Program:
    """An update rule. `result` is what is subtracted from w.

    Attributes:
      name: a Python identifier.
      inputs: names out of `inputs.INPUTS`, in the order of the signature.
      state: the state variables.
      hyperparameters: keyword-only tunable constants.
      body: the statements, in order.
      result: the returned expression.
      doc: the docstring, without indentation at its start.
    """

    name: str
    inputs: tuple[str, ...]
    state: tuple[State, ...]
    hyperparameters: tuple[Hyperparameter, ...]
    body: tuple[Statement, ...]
    result: Expr
    doc: str = ""

    @property
    def defaults(self) -> dict[str, float]:
        """Hyperparameter defaults by name."""
        return {h.name: h.default for h in self.hyperparameters}

    @property
    def evaluates_elsewhere(self) -> bool:
        """Whether the program assigns `eval_w`."""
        return any(s.target == EVAL_W for s in self.body)

    @property
    def is_schedule(self) -> bool:
        """Whether it reads neither weights nor gradients: its result multiplies learning rates."""
        return not {"w", "g"} & {*self.inputs} and not self.state

    @property
    def size(self) -> int:
        """Number of primitive calls, the usual measure of complexity."""
        return sum(type(e) is Call for root in self.expressions() for e in subexpressions(root))

    def expressions(self) -> list[Expr]:
        """The right-hand sides in order, the result last."""
        return [*(statement.value for statement in self.body), self.result]

    def with_defaults(self, **values: float) -> Program:
        """The same program with other hyperparameter defaults.

        Raises:
          UserError: for a name that is no hyperparameter of this program.
        """
        for name in values:
            if name not in self.defaults:
                raise UserError(
                    f"{self.name} has no hyperparameter '{name}'"
                    f"{did_you_mean(name, self.defaults)}; it has: {', '.join(self.defaults)}"
                )
        return dataclasses.replace(
            self,
            hyperparameters=tuple(
                Hyperparameter(h.name, float(values.get(h.name, h.default)))
                for h in self.hyperparameters
            ),
        )


def subexpressions(expr: Expr) -> list[Expr]:
    """The expression and everything inside it, outermost and leftmost first."""
    found = []
    stack = [expr]
    while stack:
        expr = stack.pop()
        found.append(expr)
        if type(expr) is Call:
            stack += expr.args[::-1]
    return found


def replaced(expr: Expr, index: int, replacement: Expr) -> Expr:
    """The expression with its index-th subexpression (outermost first) replaced."""
    if index == 0:
        return replacement
    assert isinstance(expr, Call)
    index -= 1
    for position, arg in enumerate(expr.args):
        size = len(subexpressions(arg))
        if index < size:
            changed = replaced(arg, index, replacement)
            args = (*expr.args[:position], changed, *expr.args[position + 1 :])
            return Call(expr.primitive, args)
        index -= size
    raise IndexError("the expression has fewer subexpressions")


def names_in(expr: Expr) -> set[str]:
    """The variables in an expression."""
    return {e.id for e in subexpressions(expr) if type(e) is Name}


def substitute(expr: Expr, values: Mapping[str, Expr]) -> Expr:
    """The expression with names replaced by expressions."""
    match expr:
        case Name(id=name):
            return values.get(name, expr)
        case Call(primitive=primitive, args=args):
            return Call(primitive, tuple(substitute(a, values) for a in args))
    return expr
