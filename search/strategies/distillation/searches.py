"""The independent searches of a distillation, as a process that trains runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ....dsl.syntax import format_program
from .distill import advance, finish, init, pose
from .state import DistillState, Problem
from .traces import read_traces, relative_error


class Searches:
    """States of searches. One that a dead process had is repeated from its start."""

    def __init__(self, progress: Callable[[], None] = lambda: None) -> None:
        """Knows none yet. `progress` is called after each candidate."""
        self._progress = progress
        self._problems: dict[str, Problem] = {}
        self._states: dict[tuple[str, int], DistillState] = {}

    def turn(self, traces: str, seed: int, until: int, finish: bool) -> dict[str, Any]:
        """A search as it is after so many candidates, or when it has found the rule.

        Args:
          traces: path of the file. seed: of the search. until: candidates in all.
          finish: whether to round and simplify the answer.

        Returns:
          "candidates", "solved", the best "program" and its relative "error" on held-out traces.

        Raises:
          UserError: the traces cannot be read.
        """
        if traces not in self._problems:
            self._problems[traces] = pose(read_traces(traces))
        problem, key = self._problems[traces], (traces, seed)
        state = self._states.get(key)
        if state is None or state.candidates > until:
            state = init(seed, problem)
        if not state.solved:
            state = advance(state, problem, until - state.candidates, self._progress)
        self._states[key] = state
        return {
            "candidates": state.candidates,
            "solved": state.solved,
            **_answer(state, problem, simplified=finish),
        }


def _answer(state: DistillState, problem: Problem, *, simplified: bool) -> dict[str, Any]:
    program = finish(state, problem) if simplified else state.best_ever.program
    with np.errstate(all="ignore"):
        error = relative_error(program, problem.held_out)
    return {"program": format_program(program), "error": min(float(error), 1e9)}
