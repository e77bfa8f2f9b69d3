"""NumPy, the machine and the fused path give the same numbers for random programs.

Two correct implementations differ by rounding, and some programs magnify that without bound. A
program counts as chaotic when noise of 1e-15 in every intermediate of the NumPy run moves its
result by more than the tolerance; the paths need not agree on those, and they must be few. Nothing
else is excused, and every program lands in exactly one count.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evoptax.dsl.arrays import bind, run_numpy
from evoptax.dsl.bytecode import TooLarge
from evoptax.dsl.primitives import PRIMITIVES
from evoptax.dsl.program import Call, Program, subexpressions
from evoptax.dsl.syntax import format_program, parse
from noise import run_noisy
from paths import Machine, fixed_problem, flat, run_fused, run_reference, run_rule
from programs import random_program

COUNT = 300
PROBLEM = fixed_problem(((4, 3), (3,), (2, 5)), steps=20)
PROGRAMS = [random_program(Random(seed)) for seed in range(COUNT)]


@dataclass(frozen=True)
class Comparison:
    """Two runs: the step at which each first leaves the finite numbers (the number of steps where
    it never does), and how far apart they are before, relative to each weight's size so far."""

    ends: tuple[int, int]
    gap: float

    def within(self, tolerance: float) -> bool:
        return self.ends[0] == self.ends[1] and self.gap <= tolerance


def end_of(run: np.ndarray) -> int:
    finite = np.isfinite(run).all(axis=(1, 2))
    return len(finite) if finite.all() else int(finite.argmin())


def compare(a: np.ndarray, b: np.ndarray) -> Comparison:
    ends = end_of(a), end_of(b)
    a, b = a[: min(ends)], b[: min(ends)]
    if not len(a):
        return Comparison(ends, 0.0)
    with np.errstate(over="ignore"):
        size = np.maximum(np.maximum.accumulate(np.abs(a), axis=0), np.abs(flat(PROBLEM.w)))
        return Comparison(ends, float(np.max(np.abs(a - b) / size)))


def moved_by_noise(
    program: Program, expected: np.ndarray, size: float, tolerance: float, dtype: type
) -> bool:
    """Whether noise in every intermediate changes the result by more than the tolerance."""
    return not all(
        compare(expected, run_noisy(program, PROBLEM, size, seed, dtype)).within(tolerance)
        for seed in range(2)
    )


def fused_runs(programs: list[Program], dtype: type) -> list[np.ndarray]:
    """Two compilations at a time; XLA compiles outside Python's lock."""

    def run(program: Program) -> np.ndarray:
        with jax.enable_x64(dtype is jnp.float64):  # the setting belongs to the thread
            return run_fused(program, PROBLEM, dtype)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(run, programs))


def machine_runs(programs: list[Program], dtype: type) -> list[np.ndarray | None]:
    """None for a program that the machine has no room for. All run in one compiled function."""
    machine = Machine(PROBLEM, dtype)
    found: list[np.ndarray | None] = []
    with jax.enable_x64(dtype is jnp.float64):
        for program in programs:
            try:
                found.append(machine.run(program))
            except TooLarge:
                found.append(None)
    assert machine.traces == 1
    return found


def test_the_programs_are_worth_comparing() -> None:
    used = {
        e.primitive
        for program in PROGRAMS
        for root in program.expressions()
        for e in subexpressions(root)
        if isinstance(e, Call)
    }
    assert used == set(PRIMITIVES)
    assert len(set(PROGRAMS)) == COUNT
    kinds = Counter(end_of(run_reference(program, PROBLEM)) for program in PROGRAMS)
    assert kinds[20] >= 0.7 * COUNT  # most stay finite
    assert sum(kinds.values()) - kinds[20] >= 0.05 * COUNT  # some do not
    assert sum(bool(program.state) for program in PROGRAMS) >= 0.6 * COUNT
    assert sum(program.evaluates_elsewhere for program in PROGRAMS) >= 0.1 * COUNT
    assert sum(program.size >= 20 for program in PROGRAMS) >= 0.3 * COUNT
    assert all(parse(format_program(program)) == program for program in PROGRAMS)


def test_float64_paths_agree(record_property) -> None:
    tolerance = 1e-8
    counts: Counter[str] = Counter()
    worst = 0.0
    machine, fused = machine_runs(PROGRAMS, jnp.float64), fused_runs(PROGRAMS, jnp.float64)
    for program, by_machine, by_fused in zip(PROGRAMS, machine, fused, strict=True):
        expected = run_reference(program, PROBLEM)
        if moved_by_noise(program, expected, 1e-15, tolerance, np.float64):
            counts["chaotic"] += 1
            continue
        gaps = [compare(expected, by_fused)]
        if by_machine is None:
            counts["too large for the machine"] += 1
        else:
            gaps += [compare(expected, by_machine), compare(by_machine, by_fused)]
        assert all(gap.within(tolerance) for gap in gaps), f"{gaps}\n{format_program(program)}"
        worst = max(worst, *(gap.gap for gap in gaps))
        counts["agree, finite" if gaps[0].ends[0] == 20 else "agree, not finite"] += 1
    print(f"\nfloat64: {dict(counts)}, largest relative difference {worst:.1e}")
    assert counts["chaotic"] <= 0.1 * COUNT
    assert counts["too large for the machine"] <= 0.05 * COUNT
    assert counts["agree, finite"] + counts["agree, not finite"] + counts["chaotic"] == COUNT


def test_float32_paths_agree() -> None:
    """The machine for all programs, the fused path for every fifth.

    What float32 cannot represent ends a run early; NumPy in float32 says where.
    """
    counts: Counter[str] = Counter()
    worst = 0.0
    machine = machine_runs(PROGRAMS, jnp.float32)
    fused = dict(zip(range(0, COUNT, 5), fused_runs(PROGRAMS[::5], jnp.float32), strict=True))
    for index, (program, by_machine) in enumerate(zip(PROGRAMS, machine, strict=True)):
        expected = run_reference(program, PROBLEM)
        runs = [run for run in (by_machine, fused.get(index)) if run is not None]
        if moved_by_noise(program, expected, 6e-8, 1e-5, np.float32):
            counts["ill-conditioned"] += 1
        elif end_of(run_rule(bind(program, np, np.float32), PROBLEM)) != end_of(expected):
            counts["beyond float32's range"] += 1
        else:
            gaps = [compare(expected, run) for run in runs]
            assert all(gap.within(1e-4) for gap in gaps), f"{gaps}\n{format_program(program)}"
            worst = max(worst, *(gap.gap for gap in gaps))
            counts["agree"] += 1
    print(f"\nfloat32: {dict(counts)}, largest relative difference {worst:.1e}")
    assert counts["agree"] >= 0.85 * COUNT
    assert sum(counts.values()) == COUNT


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_computes_in_the_dtype_asked_for(dtype: type) -> None:
    program = parse(
        "def f(w, g, t, m=0, *, lr=0.1):\n"
        "    m = where(g < m, m + (w != g), invert(m)) * get_pi() * (t > 3)\n"
        "    return lr * m * exp10(std(w)) * mean(g)\n"
    )
    for w, eval_w in run_numpy(program, PROBLEM.w, PROBLEM.g, dtype=dtype):
        assert {leaf.dtype for leaf in (*w, *eval_w)} == {np.dtype(dtype)}
