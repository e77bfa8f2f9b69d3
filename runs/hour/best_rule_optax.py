"""Found by evoptax, starting from adamw.

To train with it:

    optimizer = evolved_26065(learning_rate=0.1)
    state = optimizer.init(params)
    updates, state = optimizer.update(grads, state)
    params = optax.apply_updates(params, updates)
"""

# Written by evoptax from this program, whose result is subtracted from w:
#
# def evolved_26065(w, g, t, m=0, v=0, *, lr=0.1, b1=0.63316, b2=0.77723, eps=4.4384e-8):
#     """Found by evoptax, starting from adamw."""
#     m = lerp(g, m, b1)
#     v = lerp(square(g), v, b2)
#     v_hat = v / (0.85 - b2**t)
#     return lr * (m / (sqrt(v_hat) + eps))

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class Evolved26065State(NamedTuple):
    """State of evolved_26065."""

    count: jax.Array  # shape=(), dtype=int32; the steps taken
    m: optax.Updates  # like the parameters
    v: optax.Updates  # like the parameters


def evolved_26065(
    learning_rate: optax.ScalarOrSchedule = 0.1,
    *,
    b1: jax.typing.ArrayLike = 0.63316,
    b2: jax.typing.ArrayLike = 0.77723,
    eps: jax.typing.ArrayLike = 4.4384e-8,
) -> optax.GradientTransformationExtraArgs:
    """Found by evoptax, starting from adamw.

    The updates have the dtype of the gradients, tensors in the state that of their
    parameter; half precision is computed in float32.

    Args:
      learning_rate: a number, or a schedule called with the steps taken so far.
      b1, b2, eps: as in the program above; for schedules use
        `optax.inject_hyperparams`.
    """

    def init_fn(params: optax.Params) -> Evolved26065State:
        return Evolved26065State(
            count=jnp.zeros([], jnp.int32),
            m=optax.tree.zeros_like(params),
            v=optax.tree.zeros_like(params),
        )

    def update_fn(
        updates: optax.Updates,
        state: Evolved26065State,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Evolved26065State]:
        del extra_args
        count = optax.safe_increment(state.count)
        t = jnp.asarray(count, float)
        lr = learning_rate(state.count) if callable(learning_rate) else learning_rate
        g, m, v = _at_least_float32((updates, state.m, state.v))

        def update_leaf(g, m, v):
            m = (1 - b1) * g + b1 * m
            v = (1 - b2) * jnp.square(g) + b2 * v
            v_hat = v / (0.85 - b2**t)
            update = lr * (m / (jnp.sqrt(v_hat) + eps))
            return update, m, v

        update, m, v = _map_leaves(update_leaf, 3, g, m, v)
        # The program's result is subtracted; Optax adds updates.
        new_updates = optax.tree.scale(-1, update)
        new_state = Evolved26065State(count=count, m=m, v=v)
        new_updates = optax.tree.cast_like(new_updates, updates)
        return new_updates, optax.tree.cast_like(new_state, state)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _at_least_float32(tree: Any) -> Any:
    """Casts half precision to float32; float64 stays."""
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(x, jnp.float32)), tree)


def _map_leaves(function: Any, outputs: int, *trees: Any) -> list[Any]:
    """Maps a function over the leaves; returns one tree for each of its outputs."""
    results = jax.tree.map(function, *trees)
    return [jax.tree.map(lambda _, r, i=i: r[i], trees[0], results) for i in range(outputs)]
