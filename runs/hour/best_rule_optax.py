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
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Found by evoptax, starting from adamw.

    The updates have the dtype of the gradients; half precision is computed in float32.

    Args:
      learning_rate: a number, or a schedule called with the steps taken so far.
      b1, b2, eps: as in the program above; for schedules use
        `optax.inject_hyperparams(..., hyperparam_dtype=jnp.float32)`, because without a
        dtype it rounds them to that of the parameters.
      state_dtype: the dtype of tensors in the state, as in `state_dtype="bfloat16"`.
        None means that of their parameter, but float32 for half precision, where small
        changes of an average round away: such a tensor takes twice the memory of its
        parameter.
    """

    b1, b2, eps = map(_unrounded, (b1, b2, eps), (0.63316, 0.77723, 4.4384e-8))

    def init_fn(params: optax.Params) -> Evolved26065State:
        _refuse_complex(params)
        params = _in_state_dtype(params, state_dtype)
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
        g, m, v = _leaves(updates, state.m, state.v)

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
        return _like(updates, new_updates), _like(state, new_state)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _refuse_complex(params: Any) -> None:
    """Squares, signs and maxima are meant for real numbers."""
    if any(jnp.iscomplexobj(p) for p in jax.tree.leaves(params)):
        raise ValueError(
            "This rule is for real weights and some of these are complex; wrap it, as in"
            " `optax.contrib.split_real_and_imaginary(rule(learning_rate))`."
        )


def _unrounded(given: Any, default: float) -> Any:
    """A hyperparameter as it was before `optax.inject_hyperparams` rounded it to half precision.

    In bfloat16 0.999 is 1, and 1e-8 is 0 in float16. What a default rounds to is taken for that
    default, any other number for itself, in float32.
    """
    dtype = getattr(given, "dtype", jnp.float32)
    if jnp.promote_types(dtype, jnp.float32) == dtype:
        return given
    return jnp.where(given == jnp.asarray(default, dtype), default, given.astype(jnp.float32))


def _in_state_dtype(params: Any, dtype: Any) -> Any:
    """The parameters in the dtype that the state is to have."""
    if dtype is None:
        return jax.tree.map(_at_least_float32, params)
    return jax.tree.map(lambda p: jnp.asarray(p, dtype), params)


def _leaves(*trees: Any) -> list[list[jax.Array]]:
    """For each tree, all of one structure, the leaves but for empty ones, in float32 at least."""
    first, structure = jax.tree.flatten(trees[0])
    flat = [zip(structure.flatten_up_to(tree), first) for tree in trees]
    return [[_at_least_float32(x) for x, like in pairs if jnp.size(like)] for pairs in flat]


def _map_leaves(function: Any, outputs: int, *leaves: Any) -> list[Any]:
    """Maps a function over lists of leaves; returns one list for each of its outputs."""
    results = [function(*group) for group in zip(*leaves, strict=True)]
    return [[r[i] for r in results] for i in range(outputs)]


def _like(tree: Any, new: Any) -> Any:
    """The leaves of `new` in the structure and the dtypes of `tree`, whose empty leaves stay."""
    old, structure = jax.tree.flatten(tree)
    leaves = iter([x for x in jax.tree.leaves(new) if jnp.size(x)])
    found = [next(leaves) if jnp.size(x) else x for x in old]
    return structure.unflatten(map(jnp.asarray, found, map(jnp.result_type, old)))


def _at_least_float32(x: Any) -> jax.Array:
    """As an array, with half precision as float32; float64 stays."""
    return jnp.asarray(x, jnp.promote_types(jnp.asarray(x).dtype, jnp.float32))
