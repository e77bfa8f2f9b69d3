"""What tuning constants costs and gains.

- cost: seconds for one point (values for a rule's constants, at three learning rates) as
  replicates of the machine, and when each point is compiled; in one process.
- gain: the constants found for known rules on some proxies, and how the rule with them compares
  with itself before: on those tasks with seeds that tuning has not seen, and on other tasks.

    python benchmarks/tuning.py [--rules adamw lion] [--seeds N] [--workers N]
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
from evoptax.dsl.machine.constants import tunable
from evoptax.dsl.program import Program
from evoptax.evaluators.backends.base import open_backend
from evoptax.evaluators.backends.problems import Problems
from evoptax.evaluators.cache import enable_compilation_cache
from evoptax.evaluators.fidelity import LEARNING_RATES, Fidelity
from evoptax.evaluators.scores.evaluate import score_from_json
from evoptax.evaluators.scores.scoring import log_ratios
from evoptax.evaluators.scores.statistics import Estimate, estimate
from evoptax.evaluators.tasks import get_task
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.execution.executors.processes.workers import Workers
from evoptax.search.execution.jobs import Job, Memory, Trials, submit
from evoptax.search.selection.tuning.coordinates import coordinates_of
from evoptax.search.selection.tuning.tune import tune
from performance import environment

COST_TASKS = ("digits_mlp", "digits_conv")
TUNED_ON = ("deep_linear", "digits_mlp", "digits_conv")
HELD_OUT = ("teacher_student", "cancer_mlp", "text_gru")
# Seeds of the held-out tasks.
FIRST_SEED = 80_000


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def cost(task: str, program: Program, runs: int) -> str:
    """A row: seconds per point as replicates, and compiled."""
    problems = Problems(get_task(task))
    machine, fused = (open_backend(name, problems) for name in ("machine", "fused"))
    rule, rng = tunable(program), np.random.default_rng(0)

    def values() -> dict[str, list[float]]:
        """Three points, each at three rates."""
        places = np.repeat(rng.normal(0, 0.5, 3), 3)
        return {c.name: [c.value(x) for x in places] for c in coordinates_of(rule)}

    def as_replicates() -> object:
        fidelity = Fidelity(LEARNING_RATES[2:5] * 3)
        return machine.train([rule.program], fidelity, hyperparameters=values())

    def compiled() -> object:
        point = {name: found[0] for name, found in values().items()}
        return fused.train([rule.with_values(point)], Fidelity(LEARNING_RATES[2:5]))

    as_replicates()  # compiles, once for all points of all programs
    cheap = statistics.median(seconds(as_replicates) for _ in range(runs)) / 3
    dear = statistics.median(seconds(compiled) for _ in range(max(runs // 2, 2)))
    return (
        f"| {task} | {problems.layout.weights:,} | {1e3 * cheap:.1f} ms | {1e3 * dear:,.0f} ms "
        f"| {dear / cheap:.0f} |"
    )


def gain(name: str, workers: Workers, seeds: int) -> str:
    """A row: what was tuned, and by how much the validation loss changes."""
    program, baseline = get_known(name).program, get_known("adamw").program
    trials = Trials(workers, Memory(), lambda: False, baseline)
    start = time.perf_counter()
    found = tune(program, dict.fromkeys(TUNED_ON), trials, seeds=seeds)
    took = time.perf_counter() - start
    constants = ", ".join(f"{c.name} {c.before:g} → {c.after:g}" for c in found.changes)
    elsewhere = estimate(held_out(found.program, program, workers, seeds))
    return (
        f"| {name} | {constants or 'nothing better found'} | {words(found.effect)} "
        f"| {words(elsewhere)} | {found.runs} | {took:.0f} s |"
    )


def held_out(after: Program, before: Program, workers: Workers, seeds: int) -> np.ndarray:
    """Log-ratios on tasks that tuning has not seen, (T, S)."""
    fidelity = Fidelity(seeds=tuple(range(FIRST_SEED, FIRST_SEED + seeds)), schedule="cosine")
    answers = [
        [submit(workers, Job(rule, task, fidelity, "machine")) for rule in (after, before)]
        for task in HELD_OUT
    ]
    scores = [[score_from_json(answer.result()) for answer in pair] for pair in answers]
    return np.stack([log_ratios(*pair) for pair in scores])


def words(found: Estimate) -> str:
    """A change of the validation loss in percent, with its interval."""
    if not math.isfinite(found.mean):
        return "—"
    low, mean, high = (100 * math.expm1(x) for x in (found.low, found.mean, found.high))
    return f"{mean:+.1f} % [{low:+.1f}, {high:+.1f}]"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", nargs="+", default=["adamw", "lion"])
    parser.add_argument("--runs", type=int, default=9, help="of which the median is taken")
    parser.add_argument("--seeds", type=int, default=8, help="of every comparison")
    parser.add_argument("--workers", type=int, default=0)
    args = parser.parse_args(arguments)
    print(environment(), end="\n\n")
    print("| task | weights | a point | compiled | ratio |\n| --- | ---: | ---: | ---: | ---: |")
    for task in COST_TASKS:
        print(cost(task, get_known("adamw").program, args.runs), flush=True)
    # Workers read compilations back; what is measured above must not.
    enable_compilation_cache()
    print(f"\ntuned on {', '.join(TUNED_ON)}; held out: {', '.join(HELD_OUT)}\n")
    print(
        "| rule | constants | same tasks, unseen seeds | held-out tasks | runs | seconds |\n"
        "| --- | --- | --- | --- | ---: | ---: |"
    )
    with Workers((*TUNED_ON, *HELD_OUT), count=args.workers) as workers:
        workers.versions()
        for name in args.rules:
            print(gain(name, workers, args.seeds), flush=True)


if __name__ == "__main__":
    main()
