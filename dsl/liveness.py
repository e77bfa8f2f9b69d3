"""Dead code: statements and state that no output depends on."""

from __future__ import annotations

import dataclasses

from .errors import ProgramError
from .inputs import ALWAYS
from .program import EVAL_W, Program, names_in
from .syntax import check


def without_dead_code(program: Program, keep: int = 0) -> Program:
    """The program without dead statements, and without the state that nothing reads then.

    Args:
      program: a well-formed rule.
      keep: leave at most this many dead statements, the first ones: they read none of the others.
        None is left where one of them needs the kind that a state has from the others.
    """
    dead = dead_statements(program)
    if keep and len(dead) <= keep:
        return program
    if not keep:
        return _without(program, set(dead))
    smaller = _without(program, set(dead[keep:]))
    try:
        check(smaller)
    except ProgramError:
        return _without(program, set(dead))
    return smaller


def _without(program: Program, dropped: set[int]) -> Program:
    """The program without some statements, and without what nothing uses then."""
    body = tuple(s for i, s in enumerate(program.body) if i not in dropped)
    smaller = dataclasses.replace(program, body=body)
    used = {name for value in smaller.expressions() for name in names_in(value)}
    used |= {s.target for s in body}
    state = tuple(s for s in program.state if s.name in used)
    used |= {*ALWAYS, *(str(s.init) for s in state)}
    inputs = tuple(name for name in program.inputs if name in used)
    return dataclasses.replace(smaller, state=state, inputs=inputs)


def dead_statements(program: Program) -> list[int]:
    """The positions of statements that change neither the update nor any later one."""
    states = {s.name for s in program.state}
    needed: set[str] = set()  # states whose value at the end of a step matters
    while True:
        live = {EVAL_W, *needed, *names_in(program.result)}
        dead: list[int] = []
        for position in range(len(program.body) - 1, -1, -1):
            statement = program.body[position]
            if statement.target in live:
                live.discard(statement.target)
                live.update(names_in(statement.value))
            else:
                dead.append(position)
        read = live & states
        if read <= needed:
            return dead[::-1]
        needed |= read
