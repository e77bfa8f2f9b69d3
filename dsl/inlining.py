"""Calling a rule from a rule: the call is written out and the callee's names are renamed.

`u = adamw(w, g, t)` runs one step of AdamW, whose state m becomes `adamw_m`, and gives its update.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .errors import ProgramError
from .program import Constant, Expr, Hyperparameter, Name, Program, State, Statement, substitute


@dataclass(frozen=True)
class Inlined:
    """A call written out.

    Attributes:
      body: statements, the last of which assigns the callee's update to the target.
      state: the callee's state under its new names.
      hyperparameters: those of the callee that the caller does not have already. One that it has
        (such as `lr`) is shared.
    """

    body: tuple[Statement, ...]
    state: tuple[State, ...]
    hyperparameters: tuple[Hyperparameter, ...]


def inline(
    callee: Program,
    args: Sequence[Expr],
    target: str,
    taken: Collection[str],
    hyperparameters: Collection[str],
) -> Inlined:
    """Writes a call out.

    Args:
      callee: the rule that is called.
      args: one expression for each of its inputs, in the order of its signature.
      target: the variable that gets its update.
      taken: names that the caller uses.
      hyperparameters: those among them that are hyperparameters, which the callee shares.

    Raises:
      ProgramError: for a wrong number of arguments, or a callee that is evaluated elsewhere.
    """
    if len(args) != len(callee.inputs):
        raise ProgramError(
            f"{callee.name} takes {len(callee.inputs)} arguments"
            f" ({', '.join(callee.inputs)}), {len(args)} given"
        )
    if callee.evaluates_elsewhere:
        raise ProgramError(f"{callee.name} sets eval_w and cannot be called by another rule")
    assigned = {s.target for s in callee.body}
    new = _renamed(
        callee.name, [*(s.name for s in callee.state), *sorted(assigned), *callee.inputs], taken
    )
    names: dict[str, Expr] = {s.name: Name(new[s.name]) for s in callee.state}
    body: list[Statement] = []
    for name, arg in zip(callee.inputs, args, strict=True):
        if name in assigned or not isinstance(arg, Name | Constant):
            body.append(Statement(new[name], arg))
            names[name] = Name(new[name])
        else:
            names[name] = arg
    for statement in callee.body:
        value = substitute(statement.value, names)
        names[statement.target] = Name(new[statement.target])
        body.append(Statement(new[statement.target], value))
    body.append(Statement(target, substitute(callee.result, names)))
    return Inlined(
        tuple(body),
        tuple(State(new[s.name], s.init) for s in callee.state),
        tuple(h for h in callee.hyperparameters if h.name not in hyperparameters),
    )


def _renamed(rule: str, names: Sequence[str], taken: Collection[str]) -> dict[str, str]:
    """New names for the callee's, prefixed by the rule's name; a second call gets a number."""
    for number in range(1, 1000):
        prefix = rule if number == 1 else f"{rule}{number}"
        new = {name: f"{prefix}_{name}" for name in names}
        if not set(new.values()) & set(taken):
            return new
    raise ProgramError(f"{rule} is called too often")
