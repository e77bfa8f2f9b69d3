"""NumPy, the machine and the fused path give the same numbers for random programs.

Two correct implementations differ by rounding, and some programs magnify that without bound. Where
the paths differ, noise of 1e-15 in every intermediate of the NumPy run must move the result as
well; such programs are called chaotic, need only end the same way, and must be few. Nothing else is
excused, and every program lands in exactly one count.
"""

from __future__ import annotations

import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evoptax.dsl.inputs import LABELS, labels_for
from evoptax.dsl.machine.bytecode import TooLarge, assemble, check_fits
from evoptax.dsl.machine.operations import NOISE, WITH_ORACLES
from evoptax.dsl.numpy.stepping import run_numpy
from evoptax.dsl.oracles import ORACLES, oracles_of
from evoptax.dsl.primitives import PRIMITIVES
from evoptax.dsl.program import Call, Program, subexpressions
from evoptax.dsl.syntax import format_program, parse
from noise import moved_by_noise
from paths import Machine, compare, end_of, fixed_problem, run_all_fused, run_reference
from programs import random_program

COUNT, STEPS = 300, 20
PROBLEM = replace(
    fixed_problem(((4, 3), (3,), (2, 5)), steps=STEPS),
    labels={name: labels_for(name, 3) for name in LABELS},
)
PROGRAMS = [random_program(Random(seed)) for seed in range(COUNT)]
# They ask about losses, read noise and labels, and normalize matrices.
ASKING = [random_program(Random(seed), asking=True) for seed in range(COUNT)]
# Exact rewriting turns their tensors into scalars, which the machine must reduce all the same.
LOWERED = [
    parse(f"def f(w, g, t, m=0, *, lr=0.1):\n    {body}\n")
    for body in (
        "return lr * sum(g**0) * g",
        "return lr * norm(where(1, 2, g)) * g",
        "return lr * dot(g, where(g < w, 1, 1)) * g",
        "return lr * global_dot(g**0, where(0, w, t)) * g",
        "eval_w = where(1, t, g)\n    return lr * g",
        "m = where(1, t + norm(g), w)\n    return lr * mean(m) * std(m + w)",
    )
]


# Each is run a few steps only: compiling takes longer than all else.
FAST_TO_COMPILE = {"xla_backend_optimization_level": 0}


def fused_runs(
    programs: list[Program], dtype: type, options: dict[str, int] | None = None
) -> list[np.ndarray]:
    """Some programs in each compilation, and two of these at a time; XLA compiles outside Python's
    lock.
    """

    def run(some: list[Program]) -> list[np.ndarray]:
        with jax.enable_x64(dtype is jnp.float64):  # the setting belongs to the thread
            return run_all_fused(some, PROBLEM, dtype, options)

    with ThreadPoolExecutor(2) as pool:
        found = pool.map(run, (programs[i : i + 10] for i in range(0, len(programs), 10)))
        return [*itertools.chain.from_iterable(found)]


def machine_runs(
    programs: list[Program], dtype: type, form: str = "lean"
) -> list[np.ndarray | None]:
    """None for a program that the machine has no room for.

    All run in one compiled function, those that ask in another.
    """
    asking = WITH_ORACLES[form]
    machines = {f: Machine(PROBLEM, dtype, form=f) for f in (form, asking)}
    found: list[np.ndarray | None] = []
    with jax.enable_x64(dtype is jnp.float64):
        for program in programs:
            try:
                asks = assemble(program).form in WITH_ORACLES.values()
                found.append(machines[asking if asks else form].run(program))
            except TooLarge:
                found.append(None)
    assert all(machine.traces <= 1 for machine in machines.values())
    return found


def test_the_programs_are_worth_comparing() -> None:
    used = {
        e.primitive
        for program in PROGRAMS
        for root in program.expressions()
        for e in subexpressions(root)
        if isinstance(e, Call)
    }
    # What the search does not draw is in test_primitives.py, with every kind of argument.
    assert used == {name for name, row in PRIMITIVES.items() if row.grammar == "core"}
    assert len(set(PROGRAMS)) == COUNT
    kinds = Counter(end_of(run_reference(program, PROBLEM)) for program in PROGRAMS)
    assert kinds[STEPS] >= 0.7 * COUNT  # most stay finite
    assert sum(kinds.values()) - kinds[STEPS] >= 0.05 * COUNT  # some do not
    assert sum(bool(program.state) for program in PROGRAMS) >= 0.6 * COUNT
    assert sum(program.evaluates_elsewhere for program in PROGRAMS) >= 0.1 * COUNT
    assert sum(program.size >= 20 for program in PROGRAMS) >= 0.3 * COUNT
    assert all(parse(format_program(program)) == program for program in PROGRAMS)


def judge(
    program: Program, runs: list[np.ndarray], tolerance: float, noise: float, dtype: type
) -> tuple[str, float]:
    """The count that a program belongs to, and the largest difference between its runs.

    Fails if the runs differ and rounding does not explain it.
    """
    expected = run_reference(program, PROBLEM)
    pairs = [compare(a, b, PROBLEM) for a, b in itertools.combinations([expected, *runs], 2)]
    worst = max(pair.gap for pair in pairs)
    if all(pair.within(tolerance) for pair in pairs):
        return ("agree, finite" if end_of(expected) == STEPS else "agree, not finite"), worst
    moved = moved_by_noise(program, expected, PROBLEM, noise, tolerance / 10, dtype)
    assert moved is not None, f"{pairs}\n{format_program(program)}"
    if moved.ends[0] == moved.ends[1]:  # then at least the outcome must be the same
        assert all(pair.ends[0] == pair.ends[1] for pair in pairs), format_program(program)
    return "chaotic", 0.0


def summary(title: str, judged: list[tuple[str, float]]) -> Counter[str]:
    """Counts, and prints, where the programs went."""
    counts = Counter(outcome for outcome, _ in judged)
    worst = max(gap for _, gap in judged)
    print(f"\n{title}: {dict(counts)}; agreeing ones differ by at most {worst:.1e}")
    assert sum(counts.values()) == COUNT
    return counts


def test_the_programs_that_ask_ask() -> None:
    read = Counter(name for program in ASKING for name in program.inputs)
    assert all(read[name] >= 0.2 * COUNT for name in (*NOISE, *LABELS))
    called = Counter(row.name for program in ASKING for row in oracles_of(program))
    assert all(called[row.name] >= 0.1 * COUNT for row in ORACLES)


@pytest.mark.parametrize("asking", [False, True], ids=["core", "asking"])
def test_float64_paths_agree(asking: bool) -> None:
    """All programs that ask by all paths, though without XLA's optimizations; the others, which use
    no more of the language, by the fused path as it trains, every fifth.
    """
    programs, form = (ASKING, "matrix") if asking else (PROGRAMS, "lean")
    machine = machine_runs(programs, jnp.float64, form)
    if asking:
        fused = dict(enumerate(fused_runs(programs, jnp.float64, FAST_TO_COMPILE)))
    else:
        found = fused_runs(programs[::5], jnp.float64)
        fused = dict(zip(range(0, COUNT, 5), found, strict=True))
    assert sum(run is None for run in machine) <= 0.05 * COUNT
    judged = []
    for index, (program, by_machine) in enumerate(zip(programs, machine, strict=True)):
        runs = [run for run in (by_machine, fused.get(index)) if run is not None]
        judged.append(judge(program, runs, 1e-8, 1e-15, np.float64))
    print(f"\ntoo large for the machine: {sum(run is None for run in machine)}")
    assert summary("float64", judged)["chaotic"] <= 0.1 * COUNT


def test_reductions_of_what_became_a_scalar() -> None:
    runs = zip(LOWERED, machine_runs(LOWERED, jnp.float64), strict=True)
    assert {judge(p, [run], 1e-12, 0.0, np.float64)[0] for p, run in runs} == {"agree, finite"}


def test_float32_paths_agree() -> None:
    """The machine for all programs, the fused path for every fifth.

    What the range of float32 cannot hold counts as rounding: the noisy runs have that range.
    """
    machine = machine_runs(PROGRAMS, jnp.float32)
    fused = dict(zip(range(0, COUNT, 5), fused_runs(PROGRAMS[::5], jnp.float32), strict=True))
    judged = []
    for index, (program, by_machine) in enumerate(zip(PROGRAMS, machine, strict=True)):
        runs = [run for run in (by_machine, fused.get(index)) if run is not None]
        judged.append(judge(program, runs, 1e-4, 6e-8, np.float32))
    assert summary("float32", judged)["chaotic"] <= 0.1 * COUNT


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_computes_in_the_dtype_asked_for(dtype: type) -> None:
    program = parse(
        "def f(w, g, t, m=0, *, lr=0.1):\n"
        "    m = where(g < m, m + (w != g), invert(m)) * get_pi() * (t > 3)\n"
        "    return lr * m * exp10(std(w)) * mean(g)\n"
    )
    for w, eval_w in run_numpy(program, PROBLEM.w, PROBLEM.g, dtype=dtype):
        assert {leaf.dtype for leaf in (*w, *eval_w)} == {np.dtype(dtype)}


def test_what_is_said_to_fit_fits() -> None:
    for program in PROGRAMS:
        try:
            check_fits(program)
        except TooLarge:
            continue
        assemble(program)
