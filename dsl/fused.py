"""The fused path: a program traced by JAX into the code around it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .arrays import Leaves, Rule, bind
from .program import Program

jax.tree_util.register_pytree_node(
    Leaves,
    lambda leaves: (tuple(leaves), leaves.kind),
    lambda kind, children: Leaves(children, kind),
)


def bind_jax(program: Program, dtype: Any = jnp.float32) -> Rule:
    """Binds a program to jax.numpy; its `init` and `step` can be traced and differentiated."""
    return bind(program, jnp, dtype)
