"""JAX's switches under which rules are trained, whatever the environment or a task's file says.

Scores are compared between runs and machines, and kept; and rules are trained in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import jax


@contextmanager
def firm_switches() -> Iterator[None]:
    """Sets them for what this thread does."""
    with ExitStack() as stack:
        for switch in (
            jax.enable_x64(False),
            # A candidate that goes non-finite is an outcome, not an error.
            jax.debug_nans(False),
            jax.debug_infs(False),
            jax.numpy_dtype_promotion("standard"),
            jax.numpy_rank_promotion("allow"),
            # Which numbers a seed gives.
            jax.default_prng_impl("threefry2x32"),
            jax.threefry_partitionable(True),
        ):
            stack.enter_context(switch)
        yield
