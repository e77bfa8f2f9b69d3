"""Expressions as Python source over `jax.numpy`, and the names their values get."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ....expressions import format_number
from ....primitive import Scope
from ....primitives import PRIMITIVES
from ....program import Call, Constant, Expr, Name
from .naming import FreshNames
from .phases import Plan

# Python's precedence, loosest first.
_LEVEL = {"+": 1, "-": 1, "*": 2, "/": 2, "%": 2, "**": 4}
_UNARY_LEVEL = 3
_ATOM_LEVEL = 5
# Whole numbers that depend on a shape alone.
_EXTENTS = {"size": "{0}.size", "ndim": "{0}.ndim"}
# What is a Python number, or may be one: Optax's answers for a model without parameters.
_PLAIN = frozenset({"rows", "columns", "global_dot", "global_sum", "global_max"})
# Python refuses what arrays answer with inf or nan, such as 1 / 0 and (-1)**0.5.
_CAREFUL = {"/": "jnp.divide", "%": "jnp.mod", "**": "jnp.power"}


class Text(NamedTuple):
    """Source text.

    Attributes:
      text: the expression.
      level: the precedence at which it binds.
      plain: whether it may be a Python number rather than an array.
    """

    text: str
    level: int = _ATOM_LEVEL
    plain: bool = False

    def within(self, level: int) -> str:
        """In parentheses if it binds more loosely than `level`."""
        return self.text if self.level >= level else f"({self.text})"


def to_text(expr: Expr, names: Mapping[str, Text]) -> Text:
    """Writes an expression.

    Args:
      expr: over the ids of `names`; `cosine_sim` and its like are expanded before.
      names: what to write for each id.
    """
    if isinstance(expr, Name):
        return names[expr.id]
    if isinstance(expr, Constant):
        negative = math.copysign(1.0, expr.value) < 0
        level = _UNARY_LEVEL if negative else _ATOM_LEVEL
        return Text(format_number(expr.value), level, plain=True)
    row = PRIMITIVES[expr.primitive]
    if expr.primitive == "lerp":
        x, y, a = expr.args
        kept = Call("multiply", (Call("subtract", (Constant(1.0), a)), x))
        return to_text(Call("add", (kept, Call("multiply", (a, y)))), names)
    if expr.primitive == "reciprocal":
        return to_text(Call("divide", (Constant(1.0), expr.args[0])), names)
    if expr.primitive == "cube":
        return to_text(Call("power", (expr.args[0], Constant(3.0))), names)
    if expr.primitive == "where":
        return _where(expr.args, names)
    if (extent := extent_text(expr, names)) is not None:
        # Whole numbers could overflow.
        return Text(f"float({extent})", plain=True)
    if expr.primitive == "negative":
        inner = to_text(expr.args[0], names)
        return Text(f"-{inner.within(_UNARY_LEVEL)}", _UNARY_LEVEL, inner.plain)
    if row.infix in _LEVEL:
        return _arithmetic(row.infix, expr.args[0], expr.args[1], names)
    if row.infix:
        return Text(f"jnp.where({_condition(expr, names)}, 1.0, 0.0)")
    if row.scope is Scope.LOSS:
        x, number = expr.args  # see `phases.Value.expr`
        return Text(row.jax.format(to_text(x, names).text, to_text(number, names).text))
    if row.scope is Scope.MEMBERS:
        texts = [as_float(arg, names) for arg in expr.args]
        arrays = (f"jnp.asarray({t.text})" if t.plain else t.text for t in texts)
        return Text(row.jax.format(*arrays))
    args = [as_float(arg, names) for arg in expr.args]
    if not row.jax:
        return Text(f"jnp.{expr.primitive}({', '.join(a.text for a in args)})")
    infix_inside = expr.primitive in ("dot", "invert")
    filled = row.jax.format(*(a.within(2 if infix_inside else 0) for a in args))
    if len(args) > row.arity:  # see `phases.Value.expr`
        filled = f"{filled}.reshape({args[-1].text}.shape)"
    return Text(filled, plain=row.arity == 0 or expr.primitive in _PLAIN)


def extent_text(expr: Expr, names: Mapping[str, Text]) -> str | None:
    """The text of a number that depends on a shape alone, as a whole number; otherwise None."""
    if not isinstance(expr, Call) or expr.primitive not in _EXTENTS:
        return None
    return _EXTENTS[expr.primitive].format(to_text(expr.args[0], names).within(_ATOM_LEVEL))


def as_float(expr: Expr, names: Mapping[str, Text]) -> Text:
    """As `to_text`, with a constant written so that neither Python nor JAX takes it for an int."""
    text = to_text(expr, names)
    if isinstance(expr, Constant) and text.text.lstrip("-").isdigit():
        return text._replace(text=f"{text.text}.0")
    return text


def _arithmetic(symbol: str, left: Expr, right: Expr, names: Mapping[str, Text]) -> Text:
    # Two whole numbers would make a whole number.
    both = isinstance(left, Constant) and isinstance(right, Constant)
    a = as_float(left, names) if both else to_text(left, names)
    b = to_text(right, names)
    plain = a.plain and b.plain
    safe = symbol != "**" and isinstance(right, Constant) and right.value != 0
    if plain and symbol in _CAREFUL and not safe:
        args = f"{as_float(left, names).text}, {as_float(right, names).text}"
        return Text(f"{_CAREFUL[symbol]}({args})")
    level = _LEVEL[symbol]
    # ** binds to the right, and tighter than a minus on its left; the rest bind to the left.
    first = a.within(_ATOM_LEVEL if symbol == "**" else level)
    second = b.within(_UNARY_LEVEL if symbol == "**" else level + 1)
    space = "" if symbol == "**" else " "
    return Text(f"{first}{space}{symbol}{space}{second}", level, plain)


def _condition(expr: Expr, names: Mapping[str, Text]) -> str:
    """A comparison as a boolean; of any other number, whether it is not 0."""
    if isinstance(expr, Call):
        infix = PRIMITIVES[expr.primitive].infix
        if infix and infix not in _LEVEL:
            left, right = (to_text(arg, names) for arg in expr.args)
            if left.plain and right.plain:
                left, right = (_whole(arg, names) for arg in expr.args)
            return f"{left.within(1)} {infix} {right.within(1)}"
    return f"{to_text(expr, names).within(1)} != 0"


def _whole(expr: Expr, names: Mapping[str, Text]) -> Text:
    """As `to_text`, with an extent as a whole number."""
    extent = extent_text(expr, names)
    return to_text(expr, names) if extent is None else Text(extent, plain=True)


def _where(args: Sequence[Expr], names: Mapping[str, Text]) -> Text:
    chosen, otherwise = (as_float(arg, names).text for arg in args[1:])
    return Text(f"jnp.where({_condition(args[0], names)}, {chosen}, {otherwise})")


def name_values(
    plan: Plan, given: Mapping[str, str], bases: Mapping[str, str], fresh: FreshNames
) -> dict[str, str]:
    """Names for the values of a plan: the program's own wherever the order of work allows it.

    A value takes over the name of an earlier value of the same variable when nothing reads that
    one any more and both are of one sort (a tree over the parameters, or a number).

    Args:
      plan: the plan.
      given: texts for ids that are fixed and must not be assigned to.
      bases: a safe name for each variable of the program, taken in `fresh`.
      fresh: where further names come from.

    Returns:
      By id, an identifier or the fixed text.
    """
    position = {i: n for n, i in enumerate(plan.steps)}
    end_of_phase = {
        phase: max((position[v.id] for v in plan.leafwise(phase)), default=-1)
        for phase in range(plan.phases)
    }
    last_read = {i: len(plan.steps) if i in plan.kept else -1 for i in plan.values}
    for i in plan.steps:
        for read in plan.values[i].reads:
            last_read[read] = max(last_read[read], position[i])
    for phase, end in end_of_phase.items():
        for i in plan.outputs(phase):
            last_read[i] = max(last_read[i], end)

    names = dict(given)
    holder: dict[str, str] = {}  # the name's present value, by variable
    for i, value in plan.values.items():
        if i in names:
            continue
        before = holder.get(value.variable)
        if before is None:
            base = bases.get(value.variable)
            free = base is not None and base not in names.values()
            names[i] = base if base and free else fresh.numbered(base or value.variable)
        elif (
            last_read[before] <= position[i] and plan.values[before].has_leaves == value.has_leaves
        ):
            names[i] = names[before]
        else:
            names[i] = fresh.numbered(bases.get(value.variable, value.variable))
        holder[value.variable] = i
    return names
