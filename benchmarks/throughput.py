"""How fast the machine evaluates candidates: against compiling each one, and against the limit.

In one process, pinned to one core, on networks of three sizes and rules of three lengths:

- machine: a rule handed to the machine as data, lowering included;
- optax: what anyone would write: Optax's own rule in a jitted training loop, compiled anew for
  each candidate, with XLA's default options;
- fused: the rule compiled into evoptax's training loop, without the compilation: the limit.

Runs of the machine and of the limit alternate, so that a busy machine slows both. Prints medians
and ratios; --docs also writes the table into docs/performance.md.

    python benchmarks/throughput.py [--runs N] [--docs]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

# Before JAX starts its threads.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import jax
import jax.numpy as jnp
import numpy as np
import optax
from evoptax.dsl.program import Program
from evoptax.evaluators import data
from evoptax.evaluators.backends.base import open_backend
from evoptax.evaluators.backends.problems import Problems
from evoptax.evaluators.fidelity import Fidelity
from evoptax.evaluators.task import Task
from evoptax.evaluators.tasks.layers import cross_entropy, mlp
from evoptax.known_algorithms.catalogue import get_known
from jax import lax
from performance import environment, write_section

# Hidden layers and training steps; the sizes are about 2 k, 20 k and 200 k weights.
NETWORKS = (((32,), 300), ((128, 88), 300), ((384, 384), 100))
RULES = ("lion", "adamw", "adan")
OPTAX = {"lion": optax.lion, "adamw": optax.adamw, "adan": optax.adan}
RATES: dict[int, tuple[float, ...]] = {1: (1e-3,), 9: tuple(np.logspace(-5, -2, 9))}


def digits_network(hidden: tuple[int, ...], steps: int) -> Task:
    """A ReLU network on scikit-learn's digits, minibatches of 64."""
    train, validation = data.digits()
    images, labels = jnp.asarray(train.x), jnp.asarray(train.y)
    sizes = (64, *hidden, 10)

    def init(key: jax.Array, problem: Any) -> Any:
        layers = zip(jax.random.split(key, len(sizes) - 1), sizes[:-1], sizes[1:], strict=True)
        return [
            {"w": jax.random.normal(k, (m, n)) * np.sqrt(2 / m), "b": jnp.zeros(n)}
            for k, m, n in layers
        ]

    def batch(key: jax.Array, problem: Any) -> Any:
        rows = jax.random.randint(key, (64,), 0, len(images))
        return images[rows], labels[rows]

    def loss(params: Any, batch: Any) -> jax.Array:
        x, y = batch
        return cross_entropy(mlp(params, x, jax.nn.relu), y)

    return Task(
        "digits",
        "proxy",
        steps,
        draw=lambda key: (),
        init=init,
        batch=batch,
        loss=loss,
        score=lambda params, problem: loss(params, (validation.x, validation.y)),
    )


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@dataclass(frozen=True)
class Row:
    """Median seconds for one candidate."""

    weights: int
    replicates: int
    rule: str
    machine: float
    fused: float
    compiled: float  # with Optax, compilation included; nan where not measured


def with_optax(task: Task, rule: str, rates: tuple[float, ...]) -> Callable[[], object]:
    """A function that compiles and runs one training with Optax, anew at each call."""
    keys = jax.random.split(jax.random.key(0), 2)
    start = task.init(keys[0], ())
    batches = lax.map(lambda k: task.batch(k, ()), jax.random.split(keys[1], task.steps))

    def train(rate: jax.Array, start: Any, batches: Any) -> jax.Array:
        transformation = OPTAX[rule](rate)

        def step(carry: Any, batch: Any) -> tuple[Any, None]:
            params, state = carry
            gradient = jax.grad(task.loss)(params, batch)
            updates, state = transformation.update(gradient, state, params)
            return (optax.apply_updates(params, updates), state), None

        (params, _), _ = lax.scan(step, (start, transformation.init(start)), batches)
        return task.score(params, ())

    def fresh() -> object:
        # A new function each time, as a new candidate is.
        compiled = jax.jit(lambda *args: jax.vmap(train, in_axes=(0, None, None))(*args))
        return jax.block_until_ready(compiled(jnp.asarray(rates), start, batches))

    return fresh


def measure(hidden: tuple[int, ...], steps: int, runs: int) -> list[Row]:
    """Rows for one network."""
    task = digits_network(hidden, steps)
    problems = Problems(task)
    backends = [open_backend(name, problems) for name in ("machine", "fused")]
    rows = []
    for replicates, rates in RATES.items():
        for rule in RULES:
            program: Program = get_known(rule).program
            fidelity = Fidelity(tuple(rates), (0,))
            ways = [partial(backend.train, [program], fidelity) for backend in backends]
            for way in ways:
                way()  # compiles, or reads the schedule's shape, once
            times = [[seconds(way) for way in ways] for _ in range(runs)]
            machine, fused = (statistics.median(column) for column in zip(*times, strict=True))
            anew = with_optax(task, rule, rates)
            compiled = statistics.median(seconds(anew) for _ in range(runs))
            rows.append(Row(problems.layout.weights, replicates, rule, machine, fused, compiled))
            print(line(rows[-1]), flush=True)
    return rows


def line(row: Row) -> str:
    """A row of the table."""
    return (
        f"| {row.weights:,} | {row.replicates} | {row.rule} | {1 / row.machine:,.1f} "
        f"| {1 / row.fused:,.1f} | {1 / row.compiled:,.2f} "
        f"| {row.machine / row.fused:.2f} | {row.compiled / row.machine:,.0f}x |"
    )


HEADER = (
    "| weights | learning rates | rule | machine /s | limit /s | Optax, compiled /s "
    "| machine time / limit | machine against compiling |\n"
    "| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="of which the median is taken")
    parser.add_argument("--docs", action="store_true", help="write docs/performance.md's table")
    args = parser.parse_args()
    # A compilation read back from disk would not be one.
    jax.config.update("jax_enable_compilation_cache", False)
    print(environment(), HEADER, sep="\n\n")
    rows = [row for network in NETWORKS for row in measure(*network, args.runs)]
    print(f"\nworst machine time / limit: {max(r.machine / r.fused for r in rows):.2f}")
    if args.docs:
        table = "\n".join([HEADER, *map(line, rows)])
        write_section("throughput", f"{environment()}, one core\n\n{table}")


if __name__ == "__main__":
    main()
