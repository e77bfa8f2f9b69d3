"""A library of values that parts of programs can have."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....dsl.errors import ProgramError
from ....dsl.numpy.recorder import CannotBind
from ....dsl.numpy.whole_runs import Bound
from ....dsl.program import Call, Constant, Expr, Name, Program
from .drafts import Draft, grown
from .shortening import cleaned
from .table import Table
from .traces import Array

SIZE = 400
# How many of the values become signs, which tell apart what sizes do not.
_SIGNS = 0.2
# What every library has.
_SIMPLEST: tuple[Expr, ...] = (Constant(1.0), *(Name(name) for name in ("g", "w", "t", "lr")))


@dataclass(frozen=True)
class Library:
    """Values that parts of programs can have.

    Attributes:
      programs: each gives one value as its result.
      values: (programs, steps * columns).
      logarithms: of their sizes, each centred; not finite becomes the mean.
      squares: of the values. spreads: the sum of the squared logarithms of each.
    """

    programs: tuple[Program, ...]
    values: Array
    logarithms: Array
    squares: Array
    spreads: Array


def library(
    table: Table, roots: Sequence[Program], rng: random.Random, size: int = SIZE
) -> Library:
    """Random values, no two of which are the same up to a factor.

    Args:
      table: the traces. roots: programs whose states the values may read; the first of them
        yields half of all values. rng: consumed. size: how many to draw.
    """
    programs: list[Program] = []
    rows, logs = [], []
    seen = set()
    for number in range(size):
        drawn = rng.random()
        if number < len(_SIMPLEST):
            draft = Draft(roots[0])
            draft.roots[-1] = _SIMPLEST[number]
        elif drawn < 0.35:
            # Around a value that is here already.
            draft = Draft(rng.choice(programs))
            inside, position = draft.roots[-1], len(draft.roots) - 1
            draft.roots[-1], _ = grown(draft, position, rng.choice((1, 1, 2)), rng, inside)
        else:
            draft = Draft(roots[0] if drawn < 0.7 else rng.choice(roots))
            position = len(draft.roots) - 1
            draft.roots[-1], _ = grown(draft, position, rng.choice((1, 2, 2, 3, 3)), rng)
        if number >= len(_SIMPLEST) and rng.random() < _SIGNS:
            draft.roots[-1] = Call("sign", (draft.roots[-1],))
        try:
            program = cleaned(draft.program())
            value = Bound(program, table).predict()[:, 0].reshape(-1)
        except (ProgramError, CannotBind):
            continue
        usable = np.isfinite(value) & (np.abs(value) < 1e30) & (value != 0)
        if usable.mean() < 0.5:
            continue
        log = np.zeros_like(value)
        log[usable] = np.log(np.abs(value[usable]))
        log[usable] -= log[usable].mean()
        key = float(f"{np.vdot(log, log):.8g}"), int(np.sum(value > 0))
        if key in seen:
            continue
        seen.add(key)
        programs.append(program)
        rows.append(np.where(np.isfinite(value), np.clip(value, -1e30, 1e30), 0.0))
        logs.append(log)
    values, logarithms = np.stack(rows), np.stack(logs)
    spreads = np.einsum("ij,ij->i", logarithms, logarithms)
    return Library(tuple(programs), values, logarithms, values * values, spreads)
