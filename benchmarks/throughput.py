"""How fast the machine evaluates candidates, against compiling each one.

Both in one process, on the digits MLP proxy, with the same candidates: random descendants of AdamW
that pass the gates. Prints two settings, the machine's compile time and the versions.

    python benchmarks/throughput.py [--candidates N] [--compiled N]
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import time
from collections.abc import Callable

import jax
from evoptax.dsl.program import Program
from evoptax.evaluators.scoring import LEARNING_RATES
from evoptax.evaluators.tasks import get_task
from evoptax.evaluators.training import Trainer
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.gates import rejection
from evoptax.search.mutation import mutate


def candidates(count: int) -> list[Program]:
    """Descendants of AdamW, as a search would train them."""
    rng = random.Random(0)
    found: list[Program] = []
    while len(found) < count:
        program = get_known("adamw").program
        for _ in range(rng.randint(1, 4)):
            mutated = mutate(program, rng)
            program = mutated.program if mutated else program
        if rejection(program, max_size=60) is None:
            found.append(program)
    return found


def seconds_each(run: Callable[[Program], object], programs: list[Program]) -> list[float]:
    """Wall time of each call."""
    times = []
    for program in programs:
        start = time.perf_counter()
        run(program)
        times.append(time.perf_counter() - start)
    return times


def compare(trainer: Trainer, rates: tuple[float, ...], machine: int, compiled: int) -> float:
    """Times both paths at one fidelity, prints a line each, and returns the ratio of medians."""
    programs = candidates(machine)
    start = time.perf_counter()
    trainer.with_machine(programs[0], rates, (0,))
    first = time.perf_counter() - start
    by_machine = seconds_each(lambda p: trainer.with_machine(p, rates, (0,)), programs)
    by_compiler = seconds_each(lambda p: trainer.fused(p, rates, (0,)), programs[:compiled])
    print(f"\n{len(rates)} learning rate(s) x 1 seed x {trainer.task.steps} steps")
    print(f"  machine, compiled once:      {first:8.2f} s")
    for name, times in (
        ("machine, per candidate", by_machine),
        ("compiled, per candidate", by_compiler),
    ):
        middle, low, high = statistics.median(times), min(times), max(times)
        print(
            f"  {name + ':':28} {1e3 * middle:8.1f} ms  (median of {len(times)};"
            f" {1e3 * low:.1f} to {1e3 * high:.1f})"
        )
    ratio = statistics.median(by_compiler) / statistics.median(by_machine)
    print(f"  ratio:                       {ratio:8.0f} x")
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=100, help="by the machine")
    parser.add_argument("--compiled", type=int, default=10, help="compiled one by one")
    args = parser.parse_args()
    # A compilation read back from disk would not be one.
    jax.config.update("jax_enable_compilation_cache", False)
    print(
        f"digits_mlp; JAX {jax.__version__}, Python {platform.python_version()},"
        f" {os.cpu_count()} cores, {jax.default_backend()}"
    )
    trainer = Trainer(get_task("digits_mlp"))
    ratio = compare(trainer, (1e-2,), args.candidates, args.compiled)
    compare(trainer, LEARNING_RATES, args.candidates, args.compiled)
    print(
        f"\nOne training run: the machine is {ratio:.0f} times as fast as compiling each candidate."
    )


if __name__ == "__main__":
    main()
