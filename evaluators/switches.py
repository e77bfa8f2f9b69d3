"""Fixes JAX's configuration for training, whatever the environment or a task's file sets.

Rules are trained in float32, and stored scores must be comparable between runs and machines.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import jax


@contextmanager
def firm_switches() -> Iterator[None]:
    """Sets the switches for this thread, until the context ends."""
    with ExitStack() as stack:
        for switch in (
            jax.enable_x64(False),
            # A candidate that goes non-finite is an outcome, not an error.
            jax.debug_nans(False),
            jax.debug_infs(False),
            jax.numpy_dtype_promotion("standard"),
            jax.numpy_rank_promotion("allow"),
            # These two decide the random numbers of a seed.
            jax.default_prng_impl("threefry2x32"),
            jax.threefry_partitionable(True),
        ):
            stack.enter_context(switch)
        yield
