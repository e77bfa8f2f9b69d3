"""Programs as NumPy calls over all steps of recorded runs, with their literals as parameters.

What does not depend on a state is computed for all steps together, the states step by step, and the
rest for all steps together again. A search scores hundreds of programs a second this way, and fits
the literals of one from many evaluations at once: values have shape (steps, settings, weights), any
of which may be 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ProgramError
from ..inference import kinds_of
from ..inputs import INPUTS, KINDS, missing
from ..interpreter import evaluate, interpret
from ..kinds import Kind
from ..literals import literals, with_leaves
from ..primitives import PRIMITIVES
from ..program import LEARNING_RATE, Call, Expr, Name, Program
from .functions import Array, Columns, Function
from .recorder import CannotBind, Recorder

# Derived primitives may reduce as well.
_REDUCING = {row.name for row in PRIMITIVES.values() if row.reduces or row.expansion}


@dataclass(frozen=True)
class Runs:
    """Recorded runs side by side: every weight of every run is a column.

    Attributes:
      inputs: by name, of shape (steps or 1, 1, columns or 1), the learning rate among them.
      columns: which weights they are.
      shape: steps and columns.
    """

    inputs: Mapping[str, Array]
    columns: Columns
    shape: tuple[int, int]


class Bound:
    """A program bound to recorded runs.

    Args:
      program: well formed.
      runs: what it sees.
      instead: functions that take the place of elementwise primitives, by name.

    Attributes:
      parameters: the program's literals, in the order of `literals`.
      has_signs: whether it takes a sign of something.

    Raises:
      CannotBind: see there.
    """

    def __init__(
        self, program: Program, runs: Runs, instead: Mapping[str, Function] | None = None
    ) -> None:
        if refused := missing(program, runs.inputs, "the runs do not have"):
            raise CannotBind(f"{program.name} {refused}")
        if program.evaluates_elsewhere:
            raise CannotBind("recorded runs do not say where the model was evaluated")
        self._shape = runs.shape
        recorder = Recorder(runs.columns, instead or {})
        self.parameters = np.array(literals(program))
        self._parameter_nodes = [recorder.leaf(Kind.SCALAR) for _ in self.parameters]
        names = iter([f"#{i}" for i in range(len(self.parameters))])
        named = with_leaves(program, lambda: Name(next(names)))
        env = {f"#{i}": node for i, node in enumerate(self._parameter_nodes)}
        used = _primitives(program)
        self.has_signs = "sign" in used
        reduces = not used.isdisjoint(_REDUCING)
        kinds = kinds_of(program).state if reduces else {}
        for name in (*program.inputs, LEARNING_RATE):
            node = env[name] = recorder.leaf(KINDS.get(name, Kind.SCALAR))
            value = runs.inputs.get(name)
            if value is None:
                value = np.full((1, 1, 1), INPUTS[name].default)
            recorder.values[node] = value
        self._states = []
        for s in program.state:
            node = recorder.leaf(kinds.get(s.name, Kind.TENSOR), moves=True)
            env[s.name] = node
            self._states.append((node, runs.inputs["w"][0] if isinstance(s.init, str) else s.init))
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
        steps, columns = self._shape
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
        steps, columns = self._shape
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
