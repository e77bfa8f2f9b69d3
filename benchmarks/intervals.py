"""How honest `evaluate` is: how often its intervals hold the truth, and whether targets are fair.

    python benchmarks/intervals.py

No training: values are drawn from known distributions, so that the truth is known.
"""

from __future__ import annotations

import platform
from collections.abc import Callable

import numpy as np
import scipy
from evoptax.evaluators.scores.profiles import CHECKPOINTS, TARGET_AT, steps_to_target, targets
from evoptax.evaluators.scores.scoring import TaskScore
from evoptax.evaluators.scores.statistics import bootstrap_interval
from scipy import stats

RUNS = 400
Interval = tuple[float, float]


def percentile(values: np.ndarray, method: str = "percentile") -> Interval:
    """SciPy's bootstrap, seeds resampled within each task."""
    found = stats.bootstrap(
        tuple(values),
        lambda *rows, axis: np.mean([row.mean(axis=axis) for row in rows], axis=0),
        method=method,
        n_resamples=999,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


METHODS: dict[str, Callable[[np.ndarray], Interval]] = {
    "bootstrap-t": bootstrap_interval,
    "percentile": percentile,
    "BCa": lambda values: percentile(values, "BCa"),
}


def coverage(tasks: int, seeds: int, skewed: bool) -> dict[str, float]:
    """How often each interval holds the mean over tasks that differ in mean and spread."""
    rng = np.random.default_rng(0)
    held = dict.fromkeys(METHODS, 0)
    for _ in range(RUNS):
        truth, spread = rng.normal(size=(tasks, 1)), np.exp(rng.normal(size=(tasks, 1)))
        size = (tasks, seeds)
        noise = rng.exponential(size=size) - 1 if skewed else rng.normal(size=size)
        values = truth + spread * noise
        for name, method in METHODS.items():
            low, high = method(values)
            held[name] += low <= truth.mean() <= high
    return {name: count / RUNS for name, count in held.items()}


SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "still falling": lambda t: np.exp(-2 * t),
    "flat at the end": lambda t: 0.3 + np.exp(-10 * t),
    "rising again": lambda t: 0.3 + np.exp(-10 * t) + 0.15 * np.maximum(t - 0.4, 0),
}


def equal_runs(shape: Callable[[np.ndarray], np.ndarray], rng: np.random.Generator) -> TaskScore:
    """Curves of 4,000 seeds that differ by 3 % as a whole, and by 1 % from checkpoint to next."""
    seeds = 4000
    t = np.arange(1, CHECKPOINTS + 1) / CHECKPOINTS
    level = np.exp(0.03 * rng.normal(size=(seeds, 1)))
    curve = level * shape(t) * np.exp(0.01 * rng.normal(size=(seeds, len(t))))
    nested = tuple((tuple(map(float, seed)),) for seed in curve)
    ends = tuple((seed[0][-1],) for seed in nested)
    steps = tuple(range(5, 5 * len(t) + 1, 5))
    return TaskScore("simulated", (0.1,), tuple(range(seeds)), ends, nested, steps)


def advantage(baseline: TaskScore, equal: TaskScore, aims: tuple[float, ...]) -> str:
    """What an equally good rule seems to need, relative to the baseline that set the targets."""
    found = [np.array(steps_to_target(score, aims).steps) for score in (equal, baseline)]
    logs = [np.log(np.minimum(steps, baseline.curve_steps[-1])) for steps in found]
    reached = np.isfinite(found[0]).mean()
    return f"{np.exp(np.mean(logs[0] - logs[1])):.2f}x, reaches {reached:.0%}"


def main() -> None:
    """Prints both tables."""
    print(
        f"numpy {np.__version__}, scipy {scipy.__version__}, python {platform.python_version()}\n"
    )
    print(f"95 % intervals that hold the truth, {RUNS} evaluations each (100 %: unbounded)")
    print(f"{'tasks':>5} {'seeds':>5} {'noise':>7}", *(f"{name:>12}" for name in METHODS))
    for seeds in (3, 5, 10):
        for tasks in (1, 4, 12):
            for skewed in (False, True):
                held = coverage(tasks, seeds, skewed)
                noise = "skewed" if skewed else "normal"
                cells = (f"{value:>12.0%}" for value in held.values())
                print(f"{tasks:>5} {seeds:>5} {noise:>7}", *cells, flush=True)
    print("\nAn equally good rule's steps to target, by what the target is")
    last = int(TARGET_AT * CHECKPOINTS)
    for name, shape in SHAPES.items():
        rng = np.random.default_rng(0)
        baseline, equal = equal_runs(shape, rng), equal_runs(shape, rng)
        curve = np.array(baseline.curve)[:, 0]
        aims = targets(baseline)
        assert aims is not None
        choices = {
            "evaluate's": aims,
            "score at 75 %": tuple(curve[:, last - 1]),
            "best by 75 %": tuple(curve[:, :last].min(axis=1)),
            "best of the run": tuple(curve.min(axis=1)),
        }
        for choice, values in choices.items():
            print(f"{name:>16}  {choice:<16} {advantage(baseline, equal, values)}")


if __name__ == "__main__":
    main()
