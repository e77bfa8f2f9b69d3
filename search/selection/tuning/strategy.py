"""evosax's SNES behind ask and tell with NumPy arrays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np


class Strategy:
    """SNES (Wierstra et al. 2014): a normal distribution with a width for each coordinate.

    Its mean starts at 0. It repeats exactly: draws depend only on the seed and the generation, and
    everything is computed on the CPU, whatever JAX's configuration is.
    """

    def __init__(self, dimensions: int, population: int, spread: float, seed: int) -> None:
        """Compiles once per pair (dimensions, population), in half a second.

        Args:
          dimensions: D. population: P, points in a generation.
          spread: standard deviation of the first generation, the same in each coordinate.
          seed: of all draws.
        """
        # Leave the memory of a GPU to the workers.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        import jax
        import jax.numpy as jnp

        self._generation = 0
        self._cpu = jax.local_devices(backend="cpu")[0]
        with self._firmly():
            self._algorithm = _algorithm(dimensions, population)
            self._params = self._algorithm.default_params.replace(std_init=jnp.float32(spread))
            self._key = jax.random.key(seed)
            start = jnp.zeros(dimensions)
            self._state = _settled(self._algorithm.init(self._key, start, self._params))

    def ask(self) -> np.ndarray:
        """The points of the next generation, (P, D)."""
        import jax

        self._generation += 1
        with self._firmly():
            key = jax.random.fold_in(self._key, self._generation)
            places, state = self._algorithm.ask(key, self._state, self._params)
            self._state = _settled(state)
            return np.asarray(places)

    def tell(self, places: np.ndarray, values: np.ndarray) -> None:
        """Updates the distribution with the points' values, (P,); lower is better, inf is worst."""
        told = places.astype(np.float32), values.astype(np.float32)
        with self._firmly():
            state, _ = self._algorithm.tell(self._key, *told, self._state, self._params)
            self._state = _settled(state)

    @contextmanager
    def _firmly(self) -> Iterator[None]:
        import jax

        from ....evaluators.switches import firm_switches

        with jax.default_device(self._cpu), firm_switches():
            yield

    @property
    def mean(self) -> np.ndarray:
        """The middle of the distribution, (D,)."""
        return np.asarray(self._state.mean)


@cache
def _algorithm(dimensions: int, population: int) -> Any:
    # Cached, because every instance compiles anew.
    import jax.numpy as jnp
    from evosax.algorithms import SNES

    return SNES(population_size=population, solution=jnp.zeros(dimensions))


def _settled(state: Any) -> Any:
    """The state without JAX's weak types, in which evosax starts; they would compile twice."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    return jax.tree.map(lambda x: lax.convert_element_type(x, jnp.asarray(x).dtype), state)
