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
from paths import Problem, run_rule

# Operations that give the same bits everywhere.
_EXACT = {
    *(np.absolute, np.negative, np.sign, np.maximum, np.minimum),
    *(np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal),
    *(np.isfinite, np.isnan, np.logical_and, np.logical_or),
}


class Noisy(np.ndarray[Any, Any]):
    """An array whose every rounded result is off by a random relative error."""

    size_of_noise = 0.0
    rng = np.random.default_rng(0)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [np.asarray(x) for x in inputs]
        if out := options.get("out"):
            options["out"] = tuple(np.asarray(x) for x in out)
        result = np.asarray(getattr(ufunc, method)(*plain, **options))
        if ufunc not in _EXACT and result.dtype.kind == "f":
            noise = Noisy.rng.uniform(-1.0, 1.0, result.shape)
            result = result * (1.0 + Noisy.size_of_noise * noise)
        return result.view(Noisy)


class NoisyNumpy:
    """The array namespace NumPy, noisy; constants are first rounded to a dtype."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def asarray(self, value: Any, _: Any) -> Noisy:
        return np.asarray(value, self.dtype).astype(np.float64).view(Noisy)

    def __getattr__(self, name: str) -> Any:
        function = getattr(np, name)

        def noisy(*args: Any) -> Any:
            value = function(*args)
            if isinstance(value, np.ndarray | np.floating):
                return np.asarray(value).view(Noisy)
            return value

        return noisy


def run_noisy(
    program: Program, problem: Problem, size: float, seed: int, dtype: Any = np.float64
) -> np.ndarray:
    """One run in float64 with relative noise up to `size` in every operation that rounds."""
    Noisy.size_of_noise, Noisy.rng = size, np.random.default_rng(seed)
    return run_rule(bind(program, NoisyNumpy(dtype), np.float64), problem)
