"""XLA options with which training loops compile and run fastest."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

# Most of the machine's compilation time on a CPU is spent in LLVM passes without measurable gain:
# 10.8 s with them, 3.7 s without, at the same speed (digits_mlp, two cores).
_CPU_OPTIONS: dict[str, str | bool] = {"xla_llvm_disable_expensive_passes": True}
# Batched products of small matrices (nine models) are faster without this library: 58 ms instead of
# 78 for a run of 2,410 weights, 175 instead of 189 for 20,562. Experimental, so XLA may drop it.
_SMALL_PRODUCTS: dict[str, str | bool] = {"xla_cpu_experimental_ynn_fusion_type": ""}


def jit(function: Callable[..., Any], **options: Any) -> Any:
    """`jax.jit` with these options."""
    return jax.jit(function, compiler_options=_compiler_options(), **options)


@cache
def _compiler_options() -> dict[str, str | bool] | None:
    if jax.default_backend() != "cpu":
        return None
    both = {**_CPU_OPTIONS, **_SMALL_PRODUCTS}
    try:
        jax.jit(jnp.negative, compiler_options=both).lower(1.0).compile()
    except jax.errors.JaxRuntimeError:
        return _CPU_OPTIONS
    return both
