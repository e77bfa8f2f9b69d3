"""How the first training run, which compiles, grows with the number of a model's tensors.

A deep network with three tensors a layer (weights, biases, scales) is trained for a few steps, each
time in a process of its own. Seconds are processor time, so that a busy machine changes little:

- model: with gradient descent compiled into the loop; what the model itself costs;
- compiled: with AdamW compiled into the loop;
- lean: AdamW handed to the lean machine;
- matrix: an orthogonalized momentum handed to the matrix machine;
- full: Muon handed to the full machine.

    python benchmarks/leaves.py [--leaves N ...] [--widths N] [--docs]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

from performance import environment, write_section

ORTHOGONAL = """\
def orthogonal(w, g, m=0, *, lr=1e-3):
    m = lerp(g, m, 0.9)
    return lr * orthogonalize(m)
"""
WAYS = {
    "model": "sgd",
    "compiled": "adamw",
    "lean": "adamw",
    "matrix": ORTHOGONAL,
    "full": "muon",
}
HEADER = (
    "| tensors | shapes | weights | model | compiled | lean | matrix | full |\n"
    "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def deep_network(leaves: int, widths: int) -> Any:
    """A task: a network of about `leaves` tensors; its layers have `widths` different widths."""
    import jax
    import jax.numpy as jnp
    from evoptax.evaluators.task import Task

    layers = max(leaves // 3, 1)
    sizes = [8, *(8 + i % widths for i in range(layers - 1)), 4]

    def init(key: jax.Array, problem: Any) -> Any:
        numbers = jax.random.normal(key, (layers, max(sizes) ** 2))
        return [
            {"w": x[: m * n].reshape(m, n) / m**0.5, "b": jnp.zeros(n), "s": jnp.ones(n)}
            for x, (m, n) in zip(numbers, pairwise(sizes), strict=True)
        ]

    def batch(key: jax.Array, problem: Any) -> Any:
        x = jax.random.normal(key, (16, 8))
        return x, jnp.sin(x[:, :4])

    def loss(params: Any, batch: Any) -> jax.Array:
        x, y = batch
        for layer in params:
            x = jnp.tanh(x @ layer["w"] + layer["b"]) * layer["s"]
        return jnp.mean(jnp.square(x - y))

    def score(params: Any, problem: Any) -> jax.Array:
        return loss(params, batch(jax.random.key(1), problem))

    return Task("deep", "proxy", 20, lambda key: (), init, batch, loss, score)


def first_call(way: str, leaves: int, widths: int) -> None:
    """Prints the number of tensors, of shapes, of weights, and the seconds of the first call."""
    import evoptax
    import jax
    from evoptax.dsl.machine.operations import FORMS
    from evoptax.evaluators.backends.base import open_backend
    from evoptax.evaluators.backends.problems import Problems
    from evoptax.evaluators.fidelity import Fidelity

    jax.config.update("jax_enable_compilation_cache", False)
    problems = Problems(deep_network(leaves, widths))
    shapes = problems.layout.shapes
    backend = open_backend("machine" if way in FORMS else "fused", problems)
    start = time.process_time()
    backend.train([evoptax.rule(WAYS[way]).program], Fidelity((1e-3, 1e-2, 1e-1)))
    print(len(shapes), len(set(shapes)), problems.layout.weights, time.process_time() - start)


def row(leaves: int, widths: int) -> str:
    """A row of the table."""
    seconds = []
    for way in WAYS:
        command = [sys.executable, __file__, "--only", way, "--leaves", str(leaves)]
        command += ["--widths", str(widths)]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        seconds.append(float(found[3]))
    cells = [*found[:2], f"{int(found[2]):,}", *(f"{x:.1f}" for x in seconds)]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leaves", type=int, nargs="+", default=[10, 50, 100, 200])
    parser.add_argument("--widths", type=int, default=3, help="of how many widths the layers are")
    parser.add_argument("--docs", action="store_true", help="write docs/performance.md's table")
    parser.add_argument("--only", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        return first_call(args.only, args.leaves[0], args.widths)
    print(environment(), HEADER, sep="\n\n")
    rows = []
    for leaves in args.leaves:
        rows.append(row(leaves, args.widths))
        print(rows[-1], flush=True)
    if args.docs:
        write_section("leaves", "\n".join([environment(), "", HEADER, *rows]))


if __name__ == "__main__":
    main()
