"""How fast the search breeds: children per second that are mutated, checked and hashed.

In one process on one core, in processor time, so that other processes disturb little. Parents are
the last hundred of a line of descendants of AdamW that pass the gates. Prints medians over several
repeats, each with children of its own, and the versions.

    python benchmarks/mutation.py [--children N] [--repeats N]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from evoptax.dsl.algebra.canonical import program_digest
from evoptax.dsl.machine.bytecode import TooLarge, assemble
from evoptax.dsl.program import Program
from evoptax.dsl.syntax import check
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.filters.gates import rejection
from evoptax.search.mutation.mutate import mutate

MAX_SIZE = 60
PARENTS = 100
# Accepted children until the population looks like that of a search: 13 to 18 calls on average.
BURN_IN = 1000

T = TypeVar("T")


def evolve(rng: random.Random) -> list[Program]:
    """Parents as a search has them after some generations."""
    population = [get_known("adamw").program]
    while len(population) < BURN_IN:
        child = mutate(rng.choice(population[-PARENTS:]), rng)
        if child is not None and rejection(child.program, max_size=MAX_SIZE) is None:
            population.append(child.program)
    return population[-PARENTS:]


def microseconds_each(run: Callable[[T], object], items: Sequence[T]) -> float:
    """Mean processor time of a call."""
    start = time.process_time()
    for item in items:
        run(item)
    return 1e6 * (time.process_time() - start) / len(items)


def repeat(parents: Sequence[Program], count: int, rng: random.Random) -> dict[str, float]:
    """Processor time per child of each step, in microseconds."""
    found: list[Program] = []

    def breed(parent: Program) -> None:
        mutated = mutate(parent, rng)
        if mutated is not None:
            found.append(mutated.program)

    chosen = rng.choices(parents, k=count)
    breeding = microseconds_each(breed, chosen) * count / len(found)
    hashing = microseconds_each(program_digest, found)
    return {
        "mutate, check and hash": breeding + hashing,
        "  mutate, which checks": breeding,
        "    of which one check": microseconds_each(check, found),
        "  hash": hashing,
        "gates": microseconds_each(partial(rejection, max_size=MAX_SIZE), found),
        "  of which lowering": microseconds_each(lower, found),
    }


def lower(program: Program) -> None:
    """Assembles a program, as the gates do to see whether the machine can run it."""
    with contextlib.suppress(TooLarge):
        assemble(program)


def line(name: str, times: Iterable[float], *, rate: bool = False) -> str:
    """The median of some times with their range."""
    ordered = sorted(times)
    middle = statistics.median(ordered)
    text = f"{name + ':':26}{middle:8.1f} us  ({ordered[0]:.1f} to {ordered[-1]:.1f})"
    return f"{text}   {1e6 / middle:,.0f} children per second" if rate else text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--children", type=int, default=2000, help="in each repeat")
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    parents = evolve(random.Random(0))
    size = statistics.mean(p.size for p in parents)
    print(
        f"Python {platform.python_version()}, NumPy {np.__version__}, {os.cpu_count()} cores;"
        f" one of them, processor time; parents of {size:.0f} calls on average"
    )
    times = [repeat(parents, args.children, random.Random(i)) for i in range(args.repeats)]
    print(f"median of {args.repeats} repeats of {args.children} children (fastest to slowest):")
    for index, name in enumerate(times[0]):
        print(line(name, (t[name] for t in times), rate=index == 0))


if __name__ == "__main__":
    main()
