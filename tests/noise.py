"""How far rounding can move a program's results: NumPy runs with noise in every intermediate.

Two correct implementations differ by rounding alone, and some programs make much of that (the sign
of a difference that is zero but for rounding, a state that grows chaotically). Noise of a known
size in every operation that rounds shows how much a program makes of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from evoptax.dsl.arrays import bind
from evoptax.dsl.program import Program
from paths import Comparison, Problem, compare, run_rule

# Operations that give the same bits everywhere.
_EXACT = {
    *(np.absolute, np.negative, np.sign, np.maximum, np.minimum),
    *(np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal),
    *(np.isfinite, np.isnan, np.logical_and, np.logical_or),
}


class Noisy(np.ndarray[Any, Any]):
    """A float64 array whose every rounded result is off by a random relative error.

    Results beyond the range of `limits` become infinite, or zero, as XLA flushes denormals.
    """

    size_of_noise = 0.0
    limits = np.finfo(np.float64)
    rng = np.random.default_rng(0)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [np.asarray(x) for x in inputs]
        if out := options.get("out"):
            options["out"] = tuple(np.asarray(x) for x in out)
        result = np.asarray(getattr(ufunc, method)(*plain, **options))
        if ufunc not in _EXACT and result.dtype.kind == "f":
            noise = Noisy.rng.uniform(-1.0, 1.0, result.shape)
            result = result * (1.0 + Noisy.size_of_noise * noise)
            size = np.abs(result)
            result = np.where(size < float(Noisy.limits.tiny), 0.0, result)
            result = np.where(size > float(Noisy.limits.max), result * np.inf, result)
        return result.view(Noisy)


class NoisyNumpy:
    """The array namespace NumPy, noisy; constants are first rounded to the dtype."""

    def asarray(self, value: Any, _: Any = None) -> Noisy:
        return np.asarray(value, Noisy.limits.dtype).astype(np.float64).view(Noisy)

    def __getattr__(self, name: str) -> Any:
        function = getattr(np, name)

        def noisy(*args: Any, **options: Any) -> Any:
            value = function(*args, **options)
            if isinstance(value, np.ndarray | np.floating):
                return np.asarray(value).view(Noisy)
            return value

        return noisy


def run_noisy(
    program: Program, problem: Problem, size: float, seed: int, dtype: Any = np.float64
) -> np.ndarray:
    """One run in float64 with relative noise up to `size` in every operation that rounds."""
    Noisy.size_of_noise, Noisy.limits = size, np.finfo(dtype)
    Noisy.rng = np.random.default_rng(seed)
    return run_rule(bind(program, NoisyNumpy(), np.float64), problem)


def moved_by_noise(
    program: Program,
    expected: np.ndarray,
    problem: Problem,
    size: float,
    tolerance: float,
    dtype: Any = np.float64,
) -> Comparison | None:
    """How noise moves the result, if by more than the tolerance; a changed end comes first."""
    noisy = (run_noisy(program, problem, size, seed, dtype) for seed in range(4))
    moved = [compare(expected, run, problem) for run in noisy]
    return max(
        (one for one in moved if not one.within(tolerance)),
        key=lambda one: one.ends[0] != one.ends[1],
        default=None,
    )
