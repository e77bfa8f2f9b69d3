"""The last steps to an answer: parts that nobody misses go, and literals become round."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ....dsl.literals import literals, with_literals
from ....dsl.numpy.whole_runs import Bound
from ....dsl.program import Program
from .fitting import Fitted, assess, fit, score
from .shortening import cleaned, smaller
from .table import Table


def cost(found: Fitted) -> float:
    """What evolution minimizes: the score, more for each call and state; a call must earn 3 %."""
    program = found.program
    return found.score * (1.0 + 0.03 * program.size + 0.02 * len(program.state))


def refined(found: Fitted, table: Table, iterations: int = 15) -> Fitted:
    """The program with fitted literals and without the parts whose loss costs less than they do."""
    found = refitted(found, table, iterations)
    shrinking = True
    while shrinking:
        shrinking = False
        for program in smaller(found.program):
            tried, _ = assess(program, table)
            if _is_smaller(tried, found) and tried.score < 1.5 * found.score:
                tried = refitted(tried, table, 4)
            as_good = tried.score <= max(table.rounding, 1.01 * found.score)
            if (as_good and _is_smaller(tried, found)) or cost(tried) < 0.999 * cost(found):
                found, shrinking = tried, True
                break
    return refitted(found, table, iterations)


def _is_smaller(one: Fitted, other: Fitted) -> bool:
    return _extent(one.program) < _extent(other.program)


def _extent(program: Program) -> tuple[int, int, int]:
    return program.size, len(literals(program)), len(program.state)


def refitted(found: Fitted, table: Table, iterations: int) -> Fitted:
    """The program with fitted literals."""
    program = cleaned(found.program)
    bound = Bound(program, table)
    return fit(Fitted(program, found.score), bound, table, iterations)


def rounded(found: Fitted, table: Table) -> Fitted:
    """The program with each literal as round as the traces allow, the others being fitted again."""
    for index in range(len(literals(found.program))):
        values = literals(found.program)
        if index >= len(values):
            break
        for value in _round(values[index], single=table.is_single):
            if value == values[index]:
                break
            changed = [*values[:index], value, *values[index + 1 :]]
            program = with_literals(found.program, changed)
            bound = Bound(program, table)
            tried = fit(_scored(program, table), bound, table, 4, fixed=index)
            if tried.score <= max(table.rounding, 1.001 * found.score):
                found = tried
                break
    program = cleaned(found.program)
    tried = _scored(program, table)
    return tried if tried.score <= max(table.rounding, 1.001 * found.score) else found


def _scored(program: Program, table: Table) -> Fitted:
    return Fitted(program, float(score(Bound(program, table).predict(), table)[0]))


def _round(value: float, *, single: bool = False) -> Iterator[float]:
    """Rounder values near a number, the roundest first.

    Where the traces are in single precision, the last is the shortest that is the same there.
    """
    if value == 0.0 or not np.isfinite(value):
        return
    for digits in (1, 2, 3, 4):
        near = [float(f"{value:.{digits}g}")]
        if abs(1.0 - value) < 0.5:
            near.append(float(f"{1.0 - float(f'{1.0 - value:.{digits}g}'):.12g}"))
        near.append(1.0 / float(f"{1.0 / value:.{digits}g}"))
        for candidate in sorted(near, key=lambda v: (len(repr(v)), abs(v - value))):
            if candidate == value:
                yield candidate
                return
            if abs(candidate - value) < 0.05 * abs(value):
                yield candidate
    if single:
        yield float(str(np.float32(value)))
