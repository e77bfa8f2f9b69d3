"""The small private functions of exported Optax files; a file gets those that it uses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..shapes import Kind

# By name, in the order in which a file holds them.
HELPERS = {
    "_at_least_float32": '''\
def _at_least_float32(tree: Any) -> Any:
    """Casts half precision to float32; float64 stays."""
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(x, jnp.float32)), tree)
''',
    "_map_leaves": '''\
def _map_leaves(function: Any, outputs: int, *trees: Any) -> list[Any]:
    """Maps a function over the leaves; returns one tree for each of its outputs."""
    results = jax.tree.map(function, *trees)
    return [jax.tree.map(lambda _, r, i=i: r[i], trees[0], results) for i in range(outputs)]
''',
    "_row_shape": '''\
def _row_shape(x: jax.Array) -> tuple[int, ...]:
    """One number for each row, with the last axis kept; a vector has one column."""
    return x.shape if x.ndim < 2 else (*x.shape[:-1], 1)
''',
    "_column_shape": '''\
def _column_shape(x: jax.Array) -> tuple[int, ...]:
    """One number for each column, with the second-to-last axis kept; a vector has one column."""
    return (1,) * x.ndim if x.ndim < 2 else (*x.shape[:-2], 1, x.shape[-1])
''',
    "_block_shape": '''\
def _block_shape(x: jax.Array) -> tuple[int, ...]:
    """One number for each matrix, with the last two axes kept."""
    return (*x.shape[:-2], *(1 for _ in x.shape[-2:]))
''',
    "_rows": '''\
def _rows(x: jax.Array) -> float:
    """The number of rows of the tensor as a matrix."""
    return float(_as_matrix(x).shape[0])
''',
    "_columns": '''\
def _columns(x: jax.Array) -> float:
    """The number of columns of the tensor as a matrix."""
    return float(_as_matrix(x).shape[1])
''',
    "_row_mean": '''\
def _row_mean(x: jax.Array) -> jax.Array:
    """The mean of each row, with the last axis kept; a vector has one column."""
    return x if x.ndim < 2 else jnp.mean(x, axis=-1, keepdims=True)
''',
    "_vector_shape": '''\
def _vector_shape(x: jax.Array) -> tuple[int, ...]:
    """All of a vector; of any other tensor one number, with all axes kept."""
    return x.shape if x.ndim < 2 else (1,) * x.ndim
''',
    "_matrix_mean": '''\
def _matrix_mean(x: jax.Array) -> jax.Array:
    """The mean of a tensor of two or more axes, which are kept; a vector stays as it is."""
    return x if x.ndim < 2 else jnp.mean(x, keepdims=True)
''',
    "_column_mean": '''\
def _column_mean(x: jax.Array) -> jax.Array:
    """The mean of each column, with the second-to-last axis kept; a vector has one column."""
    return x if x.ndim == 0 else jnp.mean(x, axis=-2 if x.ndim > 1 else 0, keepdims=True)
''',
    "_newton_schulz": '''\
def _newton_schulz(x: jax.Array) -> jax.Array:
    """Five quintic steps towards the nearest semi-orthogonal matrix (Jordan et al. 2024)."""
    matrix = _as_matrix(x)
    tall = matrix.shape[0] > matrix.shape[1]
    z = matrix.T if tall else matrix
    for _ in range(5):
        gram = z @ z.T
        z = 3.4445 * z + (-4.7750 * gram + 2.0315 * gram @ gram) @ z
    return (z.T if tall else z).reshape(x.shape)
''',
    "_matmul": '''\
def _matmul(x: jax.Array, y: jax.Array) -> jax.Array:
    """The matrix product, as a matrix."""
    return _as_matrix(x) @ _as_matrix(y)
''',
    "_diagonal": '''\
def _diagonal(x: jax.Array) -> jax.Array:
    """The square matrix without its off-diagonal part."""
    return x * jnp.eye(x.shape[0], dtype=x.dtype)
''',
    "_solve_lower": '''\
def _solve_lower(matrix: jax.Array, y: jax.Array) -> jax.Array:
    """Solves with the lower triangle of a square matrix."""
    solution = jax.scipy.linalg.solve_triangular(matrix, _as_matrix(y), lower=True)
    return solution.reshape(y.shape)
''',
    "_as_matrix": '''\
def _as_matrix(x: jax.Array) -> jax.Array:
    """A vector as one column, a tensor of more than two axes as (first axis, all the rest)."""
    return x.reshape(-1, 1) if x.ndim < 2 else x.reshape(x.shape[0], -1)
''',
}
STATE_TYPES = {
    Kind.SCALAR: "jax.Array  # shape=()",
    Kind.LAYER: "optax.Updates  # one number, shape=(), for each parameter",
    Kind.VECTOR: "optax.Updates  # all of a vector, one number for any other parameter",
    Kind.BLOCK: "optax.Updates  # one number for each matrix of each parameter",
    Kind.ROW: "optax.Updates  # one number for each row of each parameter",
    Kind.COLUMN: "optax.Updates  # one number for each column of each parameter",
    Kind.TENSOR: "optax.Updates  # like the parameters",
    Kind.TRANSPOSED: "optax.Updates  # the shape of each parameter, as a matrix, transposed",
    Kind.ROW_GRAM: "optax.Updates  # for each parameter a square matrix, rows by rows",
    Kind.COLUMN_GRAM: "optax.Updates  # for each parameter a square matrix, columns by columns",
}
_SHAPES = {
    Kind.LAYER: "()",
    Kind.VECTOR: "_vector_shape({0})",
    Kind.BLOCK: "_block_shape({0})",
    Kind.ROW: "_row_shape({0})",
    Kind.COLUMN: "_column_shape({0})",
    Kind.TENSOR: "{0}.shape",
    Kind.TRANSPOSED: "_as_matrix({0}).shape[::-1]",
    Kind.ROW_GRAM: "_as_matrix({0}).shape[:1] * 2",
    Kind.COLUMN_GRAM: "_as_matrix({0}).shape[1:] * 2",
}


def shape_text(kind: Kind, parameter: str) -> str:
    """The expression of the shape that a value of some kind has for a parameter."""
    return _SHAPES[kind].format(parameter)


def helpers_used(lines: list[str]) -> Iterator[str]:
    """The source lines of the helpers that these lines call, and of those that they call."""
    used: set[str] = set()
    waiting = ["\n".join(lines)]
    while waiting:
        called = set(re.findall(r"\b_[a-z0-9_]+(?=\()", waiting.pop())) & HELPERS.keys()
        waiting += [HELPERS[name] for name in called - used]
        used |= called
    for name, source in HELPERS.items():
        if name in used:
            yield from ["", "", *source.splitlines()]
