"""Semantic backpropagation: a part of a program is replaced by the value that fits best there.

The update of a program is inverted from the root of its result downwards, which says what a part of
it should be. Whichever value of the library explains that best, as a factor or as a summand, goes
there (Pawlak, Wieloch & Krawiec 2015, "Semantic Backpropagation for Designing Search Operators in
Genetic Programming").
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from ....dsl.errors import ProgramError
from ....dsl.numpy.recorder import CannotBind
from ....dsl.numpy.whole_runs import Bound
from ....dsl.program import Call, Constant, Expr, Program, replaced, subexpressions
from .drafts import Draft, graft
from .library import Library
from .shortening import cleaned
from .table import Table
from .traces import Array

# How a value may help: a power of it as a factor, or in place of a part; a multiple of it as a
# summand, or as a change of a factor that is a number.
_WAYS = ("factor", "instead", "summand", "change")
_WAY_WEIGHTS = (0.4, 0.55, 0.85, 1.0)
# Exponents that are taken as they are when a fitted one is near.
_EXPONENTS = (1.0, -1.0, 0.5, -0.5, 2.0, -2.0)


def backpropagated(
    program: Program,
    table: Table,
    shelf: Library,
    rng: random.Random,
    *,
    max_size: int,
    max_state: int,
) -> Program | None:
    """The program with something from the library where it is most wanted."""
    try:
        bound = Bound(program, table)
    except CannotBind:
        return None
    values = bound.run()
    shape = (table.shape[0], 1, table.shape[1])

    def value(part: Expr) -> Array:
        return np.broadcast_to(values[bound.node(part)], shape)

    # Walk down as far as the operations can be inverted, and stop somewhere on the way.
    part, index, wanted = bound.result_with_names, 0, table.u
    places = [(part, index, wanted)]
    while type(part) is Call:
        args = part.args
        place = rng.randrange(len(args))
        inverted = _inverted(part.primitive, place, wanted, [value(a) for a in args])
        if inverted is None:
            break
        index += 1 + sum(_size(a) for a in args[:place])
        part, wanted = args[place], inverted
        places.append((part, index, wanted))
    part, index, wanted = rng.choice(places)
    present = value(part)
    draft = Draft(program)
    position = len(draft.roots) - 1
    old = subexpressions(draft.roots[position])[index]
    how = rng.choices(_WAYS, cum_weights=_WAY_WEIGHTS)[0]
    base = 0.0
    if how == "factor":
        found = _factor(wanted / present, shelf, rng)
    elif how == "instead":
        found = _factor(wanted, shelf, rng)
    elif how == "summand":
        found = _summand(wanted - present, np.abs(wanted), shelf, rng)
    else:
        found, base = _change(wanted / present, shelf, rng)
    if found is None:
        return None
    chosen, coefficient = found
    donor = shelf.programs[chosen]
    grafted = graft(draft, donor, donor.result, position)
    if grafted is None:
        return None
    new, position = grafted
    multiple = Call("multiply", (Constant(coefficient), new))
    if how == "factor":
        joined = _powered(old, new, coefficient)
    elif how == "instead":
        joined = _powered(Constant(1.0), new, coefficient)
    elif how == "summand":
        joined = Call("add", (old, multiple))
    else:
        joined = Call("multiply", (old, Call("add", (Constant(base), multiple))))
    draft.roots[position] = replaced(draft.roots[position], index, joined)
    try:
        child = cleaned(draft.program())
    except ProgramError:
        return None
    return child if child.size <= max_size and len(child.state) <= max_state else None


def _size(expr: Expr) -> int:
    return 1 + sum(_size(a) for a in expr.args) if type(expr) is Call else 1


def _inverted(name: str, place: int, wanted: Array, args: Sequence[Array]) -> Array | None:
    """What an argument should be for a call to give what is wanted."""
    other = args[1 - place] if len(args) == 2 else args[0]
    match name, place:
        case "multiply", _:
            return wanted / other
        case "add", _:
            return wanted - other
        case "subtract", 0:
            return wanted + other
        case "subtract", 1:
            return other - wanted
        case "divide", 0:
            return wanted * other
        case "divide", 1:
            return other / wanted
        case "negative", _:
            return -wanted
        case "sqrt", _:
            return np.square(wanted)
        case "square", _:
            return np.sqrt(wanted)
        case "reciprocal", _:
            return 1.0 / wanted
        case "exp", _:
            return np.log(wanted)
        case "log", _:
            return np.exp(wanted)
    return None


def _factor(wanted: Array, shelf: Library, rng: random.Random) -> tuple[int, float] | None:
    """The value whose power explains the sizes of what is wanted, and the exponent."""
    flat = wanted.reshape(-1)
    usable = np.isfinite(flat) & (flat != 0)
    if usable.sum() < 10:
        return None
    log = np.zeros_like(flat)
    log[usable] = np.log(np.abs(flat[usable]))
    log[usable] -= log[usable].mean()
    log = _clipped(log, usable, rng)
    squares = shelf.spreads
    products = shelf.logarithms @ log
    chosen = _drawn(products**2 / (squares + 1e-12), rng)
    if squares[chosen] <= 1e-9:
        return None
    slope = products[chosen] / squares[chosen]
    if not 1e-3 < abs(slope) < 20:
        return None
    near = min(_EXPONENTS, key=lambda e: abs(e - slope))
    # A fit over a part that is not right yet is flat.
    return chosen, near if rng.random() < 0.9 else float(slope)


def _summand(
    wanted: Array, size: Array, shelf: Library, rng: random.Random
) -> tuple[int, float] | None:
    """The value a multiple of which explains what is wanted, and the multiple.

    `size` is what errors are relative to, together with its typical value for each weight.
    """
    flat = wanted.reshape(-1)
    typical = np.mean(np.where(np.isfinite(size), size, 0.0), axis=0, keepdims=True)
    scale = (size + 0.1 * typical + 1e-30).reshape(-1)
    usable = np.isfinite(flat) & np.isfinite(scale)
    if usable.sum() < 10:
        return None
    relative = np.where(usable, flat / scale, 0.0)
    relative = _clipped(relative, usable, rng)
    weight = np.where(usable, 1.0 / scale, 0.0)
    squares, products = shelf.squares @ (weight * weight), shelf.values @ (weight * relative)
    gains = np.where((squares > 0) & np.isfinite(squares), products**2 / (squares + 1e-300), 0.0)
    chosen = _drawn(gains, rng)
    coefficient = float(products[chosen] / squares[chosen]) if squares[chosen] > 0 else 0.0
    return (chosen, coefficient) if 1e-12 < abs(coefficient) < 1e12 else None


def _change(
    wanted: Array, shelf: Library, rng: random.Random
) -> tuple[tuple[int, float] | None, float]:
    """The value a multiple of which, plus a number, explains what is wanted; and the number."""
    flat = wanted.reshape(-1)
    usable = np.isfinite(flat)
    count = int(usable.sum())
    if count < 10:
        return None, 0.0
    middle = float(np.median(flat[usable]))
    off = _clipped(np.where(usable, flat - middle, 0.0), usable, rng)
    mean = float(off.sum()) / count
    means = shelf.values @ usable / count
    variances = shelf.squares @ usable / count - means**2
    products = shelf.values @ np.where(usable, off - mean, 0.0) / count
    varies = np.isfinite(variances) & (variances > 1e-9 * means**2)
    chosen = _drawn(np.where(varies, products**2 / np.where(varies, variances, 1.0), 0.0), rng)
    if not varies[chosen]:
        return None, 0.0
    coefficient = float(products[chosen] / variances[chosen])
    base = middle + mean - coefficient * float(means[chosen])
    return ((chosen, coefficient) if 1e-12 < abs(coefficient) < 1e12 else None), base


def _clipped(x: Array, usable: Array, rng: random.Random) -> Array:
    """Without outliers, which come where another part is wrong; but at times they are the point."""
    if rng.random() < 0.4:
        return x
    spread = 3 * float(np.median(np.abs(x[usable]))) + 1e-12
    return np.clip(x, -spread, spread)


def _drawn(gains: Array, rng: random.Random) -> int:
    """One of the largest, the largest most often."""
    rank = min(int(rng.expovariate(0.25)), len(gains) - 1)
    return int(np.argsort(-gains)[rank])


def _powered(old: Expr, new: Expr, exponent: float) -> Expr:
    """The old times a power of the new."""
    size = abs(exponent)
    if size == 1.0:
        power = new
    elif size == 0.5:
        power = Call("sqrt", (new,))
    elif size == 2.0:
        power = Call("square", (new,))
    else:
        power = Call("power", (Call("abs", (new,)), Constant(size)))
    return Call("multiply" if exponent > 0 else "divide", (old, power))
