"""Programs as NumPy calls over all traces at once, with their literals as parameters.

What does not depend on a state is computed for all steps together, the states step by step, and the
rest for all steps together again. A search scores hundreds of programs a second this way, and fits
the literals of one from many evaluations at once: values have shape (steps, settings, weights), any
of which may be 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ....dsl.errors import ProgramError
from ....dsl.inference import kinds_of
from ....dsl.inputs import INPUTS, Source, refusal
from ....dsl.interpreter import evaluate, interpret
from ....dsl.kinds import Kind
from ....dsl.primitives import PRIMITIVES
from ....dsl.program import LEARNING_RATE, Call, Constant, Expr, Name, Program, Statement
from .recorder import CannotBind, Recorder
from .table import Table
from .traces import Array

# Derived primitives may reduce as well.
_REDUCING = {row.name for row in PRIMITIVES.values() if row.reduces or row.expansion}


def literals(program: Program) -> list[float]:
    """Every literal of a program, in the order of the text, that a search may change."""
    return [e.value for root in program.expressions() for e in _constants(root)]


def with_literals(program: Program, values: Sequence[float]) -> Program:
    """The program with other literals, in the order of `literals`."""
    rest = iter(values)
    return _with_leaves(program, lambda _: Constant(float(next(rest))))


def _constants(expr: Expr) -> list[Constant]:
    if type(expr) is Constant:
        return [expr]
    return [c for a in expr.args for c in _constants(a)] if type(expr) is Call else []


def _with_leaves(program: Program, leaf: Callable[[Constant], Expr]) -> Program:
    def changed(expr: Expr) -> Expr:
        if type(expr) is Constant:
            return leaf(expr)
        if type(expr) is Call:
            return Call(expr.primitive, tuple([changed(a) for a in expr.args]))
        return expr

    body = tuple([Statement(s.target, changed(s.value)) for s in program.body])
    return Program(
        program.name,
        program.inputs,
        program.state,
        program.hyperparameters,
        body,
        changed(program.result),
        program.doc,
    )


class Bound:
    """A program bound to traces.

    Args:
      program: well formed.
      table: the traces.
      softness: how soft `sign` is, in units of its argument's size; 0 is as it is.

    Attributes:
      parameters: the program's literals, in the order of `literals`.
      has_signs: whether it takes a sign of something.

    Raises:
      CannotBind: see there.
    """

    def __init__(self, program: Program, table: Table, softness: float = 0.0) -> None:
        if refused := refusal(program, Source.TRACES):
            raise CannotBind(f"{program.name} {refused}")
        if program.evaluates_elsewhere:
            raise CannotBind("traces do not say where the model was evaluated")
        self._table = table
        recorder = Recorder(table, softness)
        self.parameters = np.array(literals(program))
        self._parameter_nodes = [recorder.leaf(Kind.SCALAR) for _ in self.parameters]
        names = iter([f"#{i}" for i in range(len(self.parameters))])
        named = _with_leaves(program, lambda _: Name(next(names)))
        env = {f"#{i}": node for i, node in enumerate(self._parameter_nodes)}
        used = _primitives(program)
        self.has_signs = "sign" in used
        reduces = not used.isdisjoint(_REDUCING)
        kinds = kinds_of(program).state if reduces else {}
        inputs = {"w": table.w, "g": table.g, "t": table.t, LEARNING_RATE: table.lr}
        inputs["T"] = np.full((1, 1, 1), float(table.total))
        for name in (*program.inputs, LEARNING_RATE):
            kind = INPUTS[name].kind if name in INPUTS else Kind.SCALAR
            env[name] = recorder.leaf(kind)
            default = INPUTS[name].default if name in INPUTS else None
            recorder.values[env[name]] = (
                inputs[name] if name in inputs else np.full((1, 1, 1), default)
            )
        self._states = []
        for s in program.state:
            node = recorder.leaf(kinds.get(s.name, Kind.TENSOR), moves=True)
            env[s.name] = node
            self._states.append((node, table.w[0] if isinstance(s.init, str) else s.init))
        try:
            outcome = interpret(named, recorder, env)
        except ProgramError as error:
            raise CannotBind(str(error)) from None
        self._recorder, self._env, self.result_with_names = recorder, outcome.env, named.result
        self._result = outcome.result
        self._next = [outcome.env[s.name] for s in program.state]
        self._nodes, self._fixed = recorder.nodes, recorder.values
        looping = self._ancestors(self._next)
        calls = [(i, n) for i, n in enumerate(self._nodes) if n.function is not None]
        self._before = [(i, n.function, n.args) for i, n in calls if not n.moves]
        self._within = [(i, n.function, n.args) for i, n in calls if n.moves and i in looping]
        self._after = [(i, n.function, n.args) for i, n in calls if n.moves and i not in looping]

    def _ancestors(self, roots: Sequence[int]) -> set[int]:
        found: set[int] = set()
        stack = [*roots]
        while stack:
            node = stack.pop()
            if node not in found:
                found.add(node)
                stack += self._nodes[node].args
        return found

    def run(self, parameters: Array | None = None) -> list[Array]:
        """The value of every node, each of shape (steps or 1, settings or 1, columns or 1).

        Args:
          parameters: (settings, literals); one setting, the program's own, without.
        """
        settings = self.parameters[None] if parameters is None else parameters
        values: list[Any] = [None] * len(self._nodes)
        for i, node in enumerate(self._parameter_nodes):
            values[node] = settings[None, :, i, None]
        for node, value in self._fixed.items():
            values[node] = value
        with np.errstate(all="ignore"):
            for i, function, args in self._before:
                values[i] = function(*[values[a] for a in args])  # type: ignore[misc]
            if self._states:
                self._step(values, len(settings))
            for i, function, args in self._after:
                values[i] = function(*[values[a] for a in args])  # type: ignore[misc]
        return values

    def _step(self, values: list[Any], settings: int) -> None:
        """Fills in the states, and what they need, at every step."""
        steps, columns = self._table.shape
        inner = {i for i, _, _ in self._within}
        read = {a for _, _, args in self._within for a in args} | {*self._next}
        # What is there already, step by step.
        outer = [a for a in read if a not in inner and values[a] is not None]
        rows: dict[int, Any] = {}
        moving = []
        for a in outer:
            if values[a].shape[0] > 1:
                moving.append((a, values[a]))
            else:
                rows[a] = values[a][0]
        history = []
        for (node, init), following in zip(self._states, self._next, strict=True):
            array = np.empty((steps + 1, settings, columns))
            array[0] = init
            history.append((node, array, following))
        kept = [(i, np.empty((steps, settings, columns))) for i in inner]
        for t in range(steps):
            for node, array, _ in history:
                rows[node] = array[t]
            for a, array in moving:
                rows[a] = array[t]
            for i, function, args in self._within:
                rows[i] = function(*[rows[a] for a in args])  # type: ignore[misc]
            for _, array, following in history:
                array[t + 1] = rows[following]
            for i, array in kept:
                array[t] = rows[i]
        for node, array, _ in history:
            values[node] = array[:-1]
        for i, array in kept:
            values[i] = array

    def node(self, part: Expr) -> int:
        """Which of the values of `run` is that of a part of `result_with_names`.

        That is the program's result, its literals being variables.
        """
        return evaluate(part, self._recorder, self._env)

    def predict(self, parameters: Array | None = None) -> Array:
        """The updates, (steps, settings, columns)."""
        settings = 1 if parameters is None else len(parameters)
        result = self.run(parameters)[self._result]
        steps, columns = self._table.shape
        return np.broadcast_to(result, (steps, settings, columns))


def _primitives(program: Program) -> set[str]:
    found: set[str] = set()
    stack = list(program.expressions())
    while stack:
        expr = stack.pop()
        if type(expr) is Call:
            found.add(expr.primitive)
            stack += expr.args
    return found
