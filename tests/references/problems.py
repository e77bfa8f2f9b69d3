"""The fixed problem that every rule is compared on: initial weights and a gradient sequence.

The gradients are drawn once and do not depend on the weights, so that a wrong first step cannot
hide behind a corrected second one. They are made awkward on purpose: per-coordinate scales span
four decades, some steps are ten times larger than others, they drift (so that momentum matters),
and one coordinate of each tensor of one or more axes has an exactly zero gradient for three steps.
"""

from __future__ import annotations

import zlib

import numpy as np

from .trajectories import Params

STEPS = 25
SHAPES: dict[str, tuple[int, ...]] = {
    "tall": (7, 3),
    "wide": (3, 7),
    "vector": (5,),
    "kernel": (3, 3, 2, 4),
    "scalar": (),
    "square": (4, 4),
}
# What rules are compared on unless they say otherwise.
ALL = ("tall", "wide", "vector", "kernel", "scalar")
# The same tensors of several members, along a first axis: who start as one, or apart.
MEMBERS = 4
TEAM = tuple(f"team_{name}" for name in ALL)
APART = tuple(f"apart_{name}" for name in ALL)
SHAPES |= {f"{how}_{name}": (MEMBERS, *SHAPES[name]) for how in ("team", "apart") for name in ALL}
MATRICES = ("tall", "wide")
QUIET_STEPS = 3


def _rng(name: str, purpose: int, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, purpose, zlib.crc32(name.encode())])


def initial_params(names: tuple[str, ...] = ALL, seed: int = 0) -> Params:
    """Initial weights, float64, shapes ``SHAPES[name]``, standard normal."""
    found = {name: np.asarray(_rng(name, 0, seed).standard_normal(SHAPES[name])) for name in names}
    return {n: np.repeat(x[:1], MEMBERS, axis=0) if n in TEAM else x for n, x in found.items()}


def _gradients_of(name: str, steps: int, seed: int) -> list[np.ndarray]:
    rng = _rng(name, 1, seed)
    shape = SHAPES[name]
    coordinate_scale = 10.0 ** rng.uniform(-3.0, 1.0, shape)
    drift = rng.standard_normal(shape)
    out = []
    for step in range(steps):
        noise = rng.standard_normal(shape)
        step_scale = 10.0 if step % 7 == 4 else 10.0 ** rng.uniform(-0.5, 0.3)
        g = np.asarray(coordinate_scale * (0.5 * drift + noise) * step_scale)
        if shape and step < QUIET_STEPS:
            g.flat[1] = 0.0
        out.append(g)
    return out


def gradient_sequence(
    names: tuple[str, ...] = ALL, steps: int = STEPS, seed: int = 0
) -> list[Params]:
    """One dict of float64 gradients per step; a tensor's sequence does not depend on ``names``."""
    columns = {name: _gradients_of(name, steps, seed) for name in names}
    return [{name: columns[name][step] for name in names} for step in range(steps)]


def problem(
    names: tuple[str, ...] = ALL, steps: int = STEPS, seed: int = 0
) -> tuple[Params, list[Params]]:
    """``(initial weights, gradients)`` for the named tensors."""
    return initial_params(names, seed), gradient_sequence(names, steps, seed)


def losses(steps: int = STEPS) -> list[float]:
    """A loss for each step, which falls but for noise: what a fixed gradient sequence lacks."""
    noise = _rng("loss", 3, 0).standard_normal(steps)
    return [float(2.5 * 0.97**step + 0.3 * abs(noise[step])) for step in range(steps)]


def linear_system(size: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A symmetric positive definite A (size, size) and right-hand side b (size,), for SOR."""
    rng = _rng("linear system", 2, seed)
    factor = rng.standard_normal((size, size))
    return factor @ factor.T + size * np.eye(size), rng.standard_normal(size)
