"""Lowering: a program as integer tables for the machine.

The machine has two banks of registers. Bank S holds one number per replicate: values that come
from t, T, loss, the learning rate and constants alone. Bank V holds one number per weight:
everything that touches a tensor, with reductions kept broadcast. What depends on t, T, the learning
rate and constants alone is the schedule, computed ahead of the steps.

    bank S: t T loss lr | scalar states | constants | temporaries
    bank V: temporaries of a block | w g | tensor states | saved
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ..algebra.canonical import meaning
from ..algebra.rewriting import Level
from ..algebra.terms import Term, call, symbol
from ..expressions import parse_expression
from ..inference import kinds_of
from ..inputs import Source, refusal
from ..kinds import Kind
from ..primitives import PRIMITIVES
from ..program import LEARNING_RATE, Call, Constant, Program, subexpressions
from . import operations as ops
from .constants import evaluate
from .registers import Scalars, Tensors, limit
from .selection import TooLarge, Values

__all__ = ["Bytecode", "TooLarge", "assemble"]


@dataclass(frozen=True)
class Bytecode:
    """A program as data; all arrays have fixed shapes, so every program fits one compiled machine.

    Attributes:
      schedule: int32 rows (operation, destination, three operands) of scalar code that depends on
        the step alone. s_code: of the rest. Both zero-padded.
      v_code: int32 rows (operation, destination, five operands), zero-padded.
      segments: int32 rows (start, middle, end): from start to middle v_code is elementwise, to the
        end wide.
      schedule_length, s_length, segments_length: number of rows in use.
      constants: float64, shape (MAX_CONSTANTS,), zero-padded. made_of: what each stands for: a
        number, or a term over hyperparameters.
      s_init: float64, start values of the scalar states; s_next: registers of their next values.
      v_init: float64, start values of the tensor states; v_from_w: 1 where the start is w.
      eval_w: V register of the point where the model is evaluated.
      form: the smallest form of the machine that runs it; see `operations`.
    """

    schedule: np.ndarray
    schedule_length: np.int32
    s_code: np.ndarray
    s_length: np.int32
    v_code: np.ndarray
    segments: np.ndarray
    segments_length: np.int32
    constants: np.ndarray
    made_of: tuple[Term, ...]
    s_init: np.ndarray
    s_next: np.ndarray
    v_init: np.ndarray
    v_from_w: np.ndarray
    eval_w: np.int32
    form: str

    def arrays(self) -> dict[str, np.ndarray]:
        """The tables by name, as the machine takes them."""
        return {k: value for k, value in vars(self).items() if k not in ("form", "made_of")}

    def constants_for(self, hyperparameters: Mapping[str, Any], replicates: int) -> np.ndarray:
        """The constants of several replicates, which share the rest.

        Args:
          hyperparameters: for each that `assemble` left unbound, R values or one for all.
          replicates: R.

        Returns:
          float64, shape (R, MAX_CONSTANTS).
        """
        return evaluate(self.made_of, hyperparameters, (replicates, ops.MAX_CONSTANTS))


def assemble(program: Program, *, bound_hyperparameters: bool = True) -> Bytecode:
    """Lowers a program.

    Args:
      program: the rule.
      bound_hyperparameters: whether hyperparameters have the values that they default to, once and
        for all, so that fewer constants are needed. If not, see `Bytecode.constants_for`.

    Raises:
      TooLarge: when it needs more than the machine has; the message says of what.
    """
    _check_inputs(program)
    meant = meaning(program, Level.EXACT, bound_hyperparameters=bound_hyperparameters)
    unbound = () if bound_hyperparameters else {*program.defaults} - {LEARNING_RATE}
    inits = {s.name: s.init for s in program.state}
    values = Values(meant, inits, kinds_of(program).state)
    s_states = [n for n in meant.state if n not in values.tensor_states]
    v_states = [n for n in meant.state if n in values.tensor_states]
    limit(s_states, ops.MAX_S_STATES, "scalar states")
    limit(v_states, ops.MAX_V_STATES, "tensor states")

    w = symbol("w")
    new_w = call("subtract", (w, meant.result))
    values.tensors |= {w, new_w}
    values.kinds |= {w: Kind.TENSOR, new_w: Kind.TENSOR}
    scalars = Scalars(s_states, unbound)
    nexts = {"w": new_w} | {n: meant.state[n] for n in v_states}
    registers = Tensors(values, nexts, meant.eval_w, scalars)
    rows, segments = registers.assign()

    s_next = [scalars.register(meant.state[n]) for n in s_states]
    unused = range(ops.S_STATE + len(s_next), ops.S_CONSTANT)  # they keep themselves
    v_init = [inits[n] for n in v_states]
    return Bytecode(
        schedule=_table(scalars.schedule, ops.MAX_S_CODE, 5),
        schedule_length=np.int32(len(scalars.schedule)),
        s_code=_table(scalars.code, ops.MAX_S_CODE, 5),
        s_length=np.int32(len(scalars.code)),
        v_code=_table(rows, ops.MAX_V_CODE, 2 + ops.MAX_OPERANDS),
        segments=_table(segments, ops.MAX_SEGMENTS, 3),
        segments_length=np.int32(len(segments)),
        constants=evaluate(tuple(scalars.constants), program.defaults, (1, ops.MAX_CONSTANTS))[0],
        made_of=tuple(scalars.constants),
        s_init=_padded([float(inits[n]) for n in s_states], ops.MAX_S_STATES),
        s_next=np.array([*s_next, *unused], dtype=np.int32),
        v_init=_padded([0.0 if isinstance(v, str) else v for v in v_init], ops.MAX_V_STATES),
        v_from_w=_padded([float(v == "w") for v in v_init], ops.MAX_V_STATES),
        eval_w=np.int32(registers.eval_w),
        form=registers.form,
    )


def check_fits(program: Program) -> None:
    """Refuses a program that the machine cannot run; most are accepted without lowering them.

    Raises:
      TooLarge: as `assemble` does.
    """
    _check_inputs(program)
    nodes = [e for root in program.expressions() for e in subexpressions(root)]
    calls = [e.primitive for e in nodes if isinstance(e, Call)]
    needs = [_needs(name) for name in calls]
    # Each value has a register, and so has each state that waits for its place. A program of so
    # few values meets no other limit but that of constants, of which derived primitives have some.
    values = sum(n for n, _ in needs) + len(program.state) + 1
    constants = sum(isinstance(e, Constant) for e in nodes) + len(program.defaults) + len(calls)
    small = (
        values <= (ops.MAX_SAVED if any(wide for _, wide in needs) else ops.MAX_TEMPORARIES)
        and constants <= ops.MAX_CONSTANTS
        and len(program.state) <= min(ops.MAX_S_STATES, ops.MAX_V_STATES)
    )
    if not (small and all(_has_every_kind(name) for name in calls)):
        assemble(program)


def fits_a_smaller_machine(program: Program, *, bound_hyperparameters: bool = True) -> bool:
    """Whether a machine smaller than the full one runs a program; that one and larger ones are
    slower than compiling the program is. `bound_hyperparameters`: see `assemble`.
    """
    try:
        form = assemble(program, bound_hyperparameters=bound_hyperparameters).form
        return form not in ops.HOLD_SQUARES
    except TooLarge:
        return False


def _check_inputs(program: Program) -> None:
    if refused := refusal(program, Source.MACHINE):
        raise TooLarge(f"the rule {refusal(program, Source.TRAINING) or refused}")


def _has_every_kind(primitive: str) -> bool:
    """Whether the machine runs a primitive for arguments of every kind that it takes."""
    return bool(PRIMITIVES[primitive].grammar) and primitive not in ops.MATRIX_PRIMITIVES


@cache
def _needs(primitive: str) -> tuple[int, bool]:
    """Most registers that a call of a primitive fills, and whether any of its work is wide."""
    row = PRIMITIVES[primitive]
    if not row.expansion:
        spread = row.arity if row.reduces else max(row.arity - 1, 0) * (row.arity > 2)
        return 1 + spread, row.reduces
    parts = [
        _needs(e.primitive)
        for e in subexpressions(parse_expression(row.expansion))
        if isinstance(e, Call)
    ]
    return sum(values for values, _ in parts), any(wide for _, wide in parts)


def _table(rows: Sequence[tuple[int, ...]], length: int, width: int) -> np.ndarray:
    table = np.zeros((length, width), dtype=np.int32)
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table


def _padded(values: list[float], length: int) -> np.ndarray:
    return np.array(values + [0.0] * (length - len(values)), dtype=np.float64)
