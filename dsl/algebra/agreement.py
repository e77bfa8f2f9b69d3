"""Do two programs compute the same? Runs of both in float64 on fixed probes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ..arrays import Leaves, bind
from ..errors import ProgramError
from ..inputs import INPUTS, LABELS, Noise, labels_for, noise_of
from ..members import is_of_members
from ..oracles import oracles_of
from ..program import LEARNING_RATE, Program
from ..synthetic_loss import oracles_around

# Of an update, relative to the largest so far of the same weight.
TOLERANCE = 1e-10
# Rounding of the weights, from which updates are read.
_ROUNDING = 4e-16

_SHAPES = ((3, 4), (4,), (2, 5))
_STEPS = 12
_BATCH = 48.0
_PROBES = 3
_MEMBERS = 3


@dataclass(frozen=True)
class _Probe:
    """Initial weights, gradients and losses of some steps; never zero, of changing scale.

    In probes of members all but `role` and `A` have a first axis of members, as has `own`: what
    members are given at each step.
    """

    w: Leaves
    g: tuple[Leaves, ...]
    loss: tuple[Any, ...]
    labels: Mapping[str, tuple[float, ...]]
    A: tuple[np.ndarray, ...]
    own: tuple[Mapping[str, Any], ...]
    mixing: np.ndarray


def agree(a: Program, b: Program) -> bool:
    """Whether the updates of two programs are the same, and end at the same step if they do.

    Every probe has its own hyperparameters: the defaults in the first, others in the rest.
    """
    try:
        return all(_agree(a, b, number) for number in range(_PROBES))
    except ProgramError:
        return False


def _agree(a: Program, b: Program, number: int) -> bool:
    hyper = hyperparameters(a, number)
    size: np.ndarray | float = 0.0
    for one, other in zip(_steps(a, number, hyper), _steps(b, number, hyper), strict=True):
        finite = np.isfinite(one.update).all()
        if finite != np.isfinite(other.update).all():
            return False
        if not finite:
            return True
        size = np.maximum(size, np.abs(one.update))
        allowed = TOLERANCE * size + _ROUNDING * one.size
        if (np.abs(one.update - other.update) > allowed).any():
            return False
    return True


@dataclass(frozen=True)
class Probed:
    """One step of a probe.

    Attributes:
      update: what was subtracted from the weights, and the evaluation point's distance from them,
        flat.
      size: of the weights, flat twice.
      state: of every state variable, the value before the step, flat; a number as one number.
    """

    update: np.ndarray
    size: np.ndarray
    state: Mapping[str, np.ndarray]


def probed(program: Program) -> Iterator[list[Probed]]:
    """The steps of every probe."""
    for number in range(_PROBES):
        yield list(_steps(program, number, hyperparameters(program, number)))


def _steps(program: Program, number: int, hyper: Mapping[str, float]) -> Iterator[Probed]:
    of_members = is_of_members(program)
    probe = _probe(number, _MEMBERS if of_members else 1)
    rule = bind(program, np, np.float64)
    asks, drawn = bool(oracles_of(program)), noise_of(program)
    known = {name: value for name, value in hyper.items() if name in program.defaults}
    w = probe.w
    with np.errstate(all="ignore"):
        state = rule.init(w)
        for t, (g, loss) in enumerate(zip(probe.g, probe.loss, strict=True), start=1):
            oracles = oracles_around(w, g, loss) if asks else {}
            given = {"t": t, "T": _STEPS, "loss": loss, "B": _BATCH, "A": probe.A, **probe.labels}
            given |= {**probe.own[t - 1], **({"mixing": probe.mixing} if of_members else {})}
            given |= {name: _drawn(name, noise, number, t) for name, noise in drawn.items()}
            new_w, new_state, eval_w = rule.step(w, g, state, hyper=known, oracles=oracles, **given)
            before, after = _flat(w), _flat(new_w)
            update = np.concatenate([before - after, _flat(eval_w) - before])
            size = np.tile(np.maximum(np.abs(before), np.abs(after)), 2)
            yield Probed(update, size, {name: _flat(value) for name, value in state.items()})
            w, state = new_w, new_state


def _drawn(name: str, noise: Noise, number: int, t: int) -> list[np.ndarray]:
    own = (_MEMBERS,) if INPUTS[name].own else ()
    rng = np.random.default_rng([13, number, t, *own])
    return [noise.numpy(rng, (*own, *shape)) for shape in _SHAPES]


def _flat(value: object) -> np.ndarray:
    leaves = value if isinstance(value, Leaves) else (value,)
    return np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in leaves])


def hyperparameters(program: Program, number: int) -> dict[str, float]:
    """Values for a probe: the defaults in the first, all others in the rest.

    The learning rate is large, so that updates are not lost in the rounding of the weights.
    """
    rng = np.random.default_rng([7, number])
    found = {}
    for h in program.hyperparameters:
        draw, value = float(rng.uniform(0.4, 1.6)), h.default
        if h.name == LEARNING_RATE:
            value = (1.0, 0.07, 0.6)[number]
        elif number and 0 < value < 1:
            value = value**draw
        elif number:
            value = value * draw if value else 0.1 * draw
        found[h.name] = value
    return found


@cache
def _probe(number: int, members: int) -> _Probe:
    runs = (members,) if members > 1 else ()
    rng = np.random.default_rng([11, number, *runs])

    def draw(scale: float) -> Leaves:
        return Leaves(
            scale * rng.choice([-1.0, 1.0], shape) * 10.0 ** rng.uniform(-1.0, 0.5, shape)
            for shape in ((*runs, *shape) for shape in _SHAPES)
        )

    def system(rows: int) -> np.ndarray:
        square = rng.normal(size=(rows, rows))
        return square @ square.T + rows * np.eye(rows)

    scales = 10.0 ** rng.uniform(-3.0, (1.0, 0.0, -0.5)[number], _STEPS)
    return _Probe(
        draw(1.0),
        tuple(draw(float(scale)) for scale in scales),
        tuple(rng.uniform(0.1, 3.0, (_STEPS, *runs))),
        {name: labels_for(name, len(_SHAPES)) for name in LABELS},
        tuple(system(shape[0]) for shape in _SHAPES),
        tuple(
            {
                "share": rng.dirichlet(np.ones(members)),
                "arrived": rng.choice([0.0, 1.0], members),
                "feedback": rng.normal(size=members),
                "fisher": draw(1.0),
            }
            for _ in range(_STEPS)
        ),
        rng.dirichlet(np.ones(members), members),
    )
