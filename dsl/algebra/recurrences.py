"""States that hold nothing of their own, or their value times a number.

A state may always be one number, or a multiple of another state; then it goes. And where a state
is multiplied by a number whenever it is written, and divided by it whenever it is read, the number
goes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np

from ..expressions import format_number
from ..program import Program, State
from .agreement import Probed, probed
from .saturation import saturate
from .terms import CONSTANT, Term, call, constant, symbol
from .values import Values, substituted, values_of
from .writing import write

# Of measured ratios between states.
_ROUNDING = 1e-11
# How many numbers are tried for each state.
_MOST_FACTORS = 8


def merged_states(
    program: Program, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[tuple[str, Program]]:
    """Programs with fewer states, each with what was done in words.

    Runs on probes suggest what a state may be; equality saturation then proves it by induction
    over the steps: it holds at the start, and if it holds before a step, it holds after it.

    Raises:
      Stopped: as soon as it should stop.
    """
    if not program.state:
        return
    values = values_of(program)
    live = [s for s in program.state if s.name in values.state]
    runs = list(probed(program))
    guesses = {s.name: guess for s in live for guess in _guesses(s, live, runs)}
    # A state may only stand for others if it stays; the first of several equals does.
    while guesses:
        replaced = {name: guess.term for name, guess in guesses.items()}
        failed = _unproven(values, replaced, should_stop)
        if not failed:
            break
        guesses = {name: guess for name, guess in guesses.items() if name not in failed}
    for name, guess in guesses.items():
        yield guess.words, _without(program, values, {name: guess.term})


@dataclasses.dataclass(frozen=True)
class _Guess:
    words: str
    term: Term


def _guesses(state: State, live: list[State], runs: list[list[Probed]]) -> Iterator[_Guess]:
    """At most one guess at what a state always is, in terms of states before it."""
    own = [[step.state[state.name] for step in run] for run in runs]
    if not isinstance(state.init, str) and all((x == state.init).all() for r in own for x in r):
        text = f"state {state.name} is always {format_number(state.init)}"
        yield _Guess(text, constant(state.init))
        return
    for other in live[: live.index(state)]:
        theirs = [[step.state[other.name] for step in run] for run in runs]
        ratio = _ratio(own, theirs)
        if ratio is None or not _starts_as(state, other, ratio):
            continue
        if ratio == 1:
            yield _Guess(f"state {state.name} is state {other.name}", symbol(other.name))
        else:
            text = f"state {state.name} is {format_number(ratio)} * state {other.name}"
            product = call("multiply", [constant(ratio), symbol(other.name)])
            yield _Guess(text, product)
        return


def _ratio(own: list[list[np.ndarray]], theirs: list[list[np.ndarray]]) -> float | None:
    """The constant by which two states always differ, or None."""
    pairs = [(a, b) for x, y in zip(own, theirs, strict=True) for a, b in zip(x, y, strict=True)]
    if any(a.shape != b.shape for a, b in pairs):
        return None
    mine, other = (np.concatenate(column) for column in zip(*pairs, strict=True))
    with np.errstate(all="ignore"):
        found = mine / other
    if not (np.isfinite(mine).all() and np.isfinite(other).all()):
        return None
    finite = found[np.isfinite(found) & (other != 0)]
    if not len(finite) or not finite.any():
        return None
    ratio = float(np.median(finite))
    if (np.abs(mine - ratio * other) > _ROUNDING * np.abs(mine)).any():
        return None
    for digits in range(1, 16):
        rounded = float(f"{ratio:.{digits}g}")
        if abs(rounded - ratio) <= _ROUNDING * abs(ratio):
            return rounded
    return ratio


def _starts_as(state: State, other: State, ratio: float) -> bool:
    if isinstance(state.init, str) or isinstance(other.init, str):
        return ratio == 1 and state.init == other.init
    return math.isclose(state.init, ratio * other.init, rel_tol=1e-12)


def _unproven(
    values: Values, replaced: Mapping[str, Term], should_stop: Callable[[], bool]
) -> set[str]:
    """The states that are not what they were taken for after one more step."""
    nexts = substituted([*values.state.values()], replaced)
    after = dict(zip(values.state, nexts, strict=True))
    guessed = substituted([*replaced.values()], after)
    claims = {name: (after[name], x) for name, x in zip(replaced, guessed, strict=True)}
    graph = saturate([x for pair in claims.values() for x in pair], should_stop=should_stop)
    if graph.contradicts:
        return set(replaced)
    return {name for name, (a, b) in claims.items() if graph.class_of[a] != graph.class_of[b]}


def rescaled_states(program: Program) -> Iterator[tuple[str, Program]]:
    """Programs in which some state holds its value divided by a number, with that in words.

    They are longer than the program, but may have a simpler form.
    """
    values = values_of(program)
    for state in program.state:
        if isinstance(state.init, str) or state.name not in values.state:
            continue
        for ratio in _factors(values):
            own = {state.name: call("multiply", [constant(ratio), symbol(state.name)])}
            new = values.mapped(partial(substituted, values=own))
            scaled = call("divide", [new.state[state.name], constant(ratio)])
            rescaled = dataclasses.replace(new, state={**new.state, state.name: scaled})
            renamed = dataclasses.replace(
                program,
                state=tuple(
                    State(s.name, state.init / ratio) if s is state else s for s in program.state
                ),
            )
            text = f"state {state.name} divided by {format_number(ratio)}"
            yield text, write(renamed, rescaled)


def _factors(values: Values) -> list[float]:
    """The numbers by which something is multiplied or divided, and their inverses."""
    found: dict[float, None] = {}
    seen: set[int] = set()
    stack = values.outputs
    while stack:
        term = stack.pop()
        if term.serial in seen:
            continue
        seen.add(term.serial)
        stack += term.args
        if term.head == "negative":
            found[-1.0] = None
        if term.head in ("multiply", "divide"):
            numbers = [arg.value for arg in term.args if arg.head == CONSTANT]
            for value in numbers:
                if value not in (0.0, 1.0):
                    found |= {value: None, 1 / value: None}
    return list(found)[:_MOST_FACTORS]


def _without(program: Program, values: Values, replaced: Mapping[str, Term]) -> Program:
    """The program in which some states are replaced by what they always are."""
    new = values.mapped(partial(substituted, values=replaced))
    kept = {name: term for name, term in new.state.items() if name not in replaced}
    shorter = dataclasses.replace(
        program, state=tuple(s for s in program.state if s.name not in replaced)
    )
    return write(shorter, dataclasses.replace(new, state=kept))
