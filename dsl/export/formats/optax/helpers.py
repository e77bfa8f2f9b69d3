"""The small private functions of exported Optax files; a file gets those that it uses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ....kinds import Kind

# By name, in the order in which a file holds them.
HELPERS = {
    "_refuse_complex": '''\
def _refuse_complex(params: Any) -> None:
    """Squares, signs and maxima are meant for real numbers."""
    if any(jnp.iscomplexobj(p) for p in jax.tree.leaves(params)):
        raise ValueError(
            "This rule is for real weights and some of these are complex; wrap it, as in"
            " `optax.contrib.split_real_and_imaginary(rule(learning_rate))`."
        )
''',
    "_unrounded": '''\
def _unrounded(given: Any, default: float) -> Any:
    """A hyperparameter as it was before `optax.inject_hyperparams` rounded it to half precision.

    In bfloat16 0.999 is 1, and 1e-8 is 0 in float16. What a default rounds to is taken for that
    default, any other number for itself, in float32.
    """
    dtype = getattr(given, "dtype", jnp.float32)
    if jnp.promote_types(dtype, jnp.float32) == dtype:
        return given
    return jnp.where(given == jnp.asarray(default, dtype), default, given.astype(jnp.float32))
''',
    "_in_state_dtype": '''\
def _in_state_dtype(params: Any, dtype: Any) -> Any:
    """The parameters in the dtype that the state is to have."""
    if dtype is None:
        return jax.tree.map(_at_least_float32, params)
    return jax.tree.map(lambda p: jnp.asarray(p, dtype), params)
''',
    "_per_leaf": '''\
def _per_leaf(function: Any, params: Any) -> Any:
    """A tuple: one array for each leaf that is not empty, in the order of `jax.tree.leaves`.

    Not a tree like the parameters, whose class may insist on their shapes. Without leaves it is an
    empty array, by which `optax.tree_map_params` sees that these are no parameters.
    """
    return tuple(function(p) for p in jax.tree.leaves(params) if jnp.size(p)) or jnp.zeros([0])
''',
    "_states_of": '''\
def _states_of(kind: Any, field: str, state: Any) -> list[Any]:
    """The states of one rule inside that of an optimizer; a weight may belong to one of them."""
    nodes = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, kind))
    found = [node for node in nodes if isinstance(node, kind)]
    if not found:
        raise ValueError(f"Expected at least one {kind.__name__} in the state, found 0.")
    held = set()
    for path, _ in (pair for s in found for pair in jax.tree.leaves_with_path(getattr(s, field))):
        name = f"params{jax.tree_util.keystr(path)}"
        if name in held:
            raise ValueError(f"Expected one {kind.__name__} for {name}, found two.")
        held.add(name)
    return found
''',
    "_map_held": '''\
def _map_held(function: Any, params: Any, *states: Any) -> Any:
    """Maps over the weights that the states hold, in float32 at least; masked ones stay."""

    def leaf(held: Any, w: Any, *further: Any) -> Any:
        if isinstance(held, optax.MaskedNode):
            return w
        leaves = (_at_least_float32(x) for x in (w, held, *further))
        return jnp.asarray(function(*leaves), jnp.result_type(w))

    def is_masked(node: Any) -> bool:
        return isinstance(node, optax.MaskedNode)

    return jax.tree.map(leaf, states[0], params, *states[1:], is_leaf=is_masked)
''',
    "_leaves": '''\
def _leaves(*trees: Any) -> list[list[jax.Array]]:
    """For each tree, all of one structure, the leaves but for empty ones, in float32 at least."""
    first, structure = jax.tree.flatten(trees[0])
    flat = [zip(structure.flatten_up_to(tree), first) for tree in trees]
    return [[_at_least_float32(x) for x, like in pairs if jnp.size(like)] for pairs in flat]
''',
    "_map_leaves": '''\
def _map_leaves(function: Any, outputs: int, *leaves: Any) -> list[Any]:
    """Maps a function over lists of leaves; returns one list for each of its outputs."""
    results = [function(*group) for group in zip(*leaves, strict=True)]
    return [[r[i] for r in results] for i in range(outputs)]
''',
    "_like": '''\
def _like(tree: Any, new: Any) -> Any:
    """The leaves of `new` in the structure and the dtypes of `tree`, whose empty leaves stay."""
    old, structure = jax.tree.flatten(tree)
    leaves = iter([x for x in jax.tree.leaves(new) if jnp.size(x)])
    found = [next(leaves) if jnp.size(x) else x for x in old]
    return structure.unflatten(map(jnp.asarray, found, map(jnp.result_type, old)))
''',
    "_as_key": '''\
def _as_key(key: Any) -> jax.Array:
    """A key of jax.random as an array of numbers, from one or from a seed."""
    if jnp.issubdtype(jnp.result_type(key), jax.dtypes.prng_key):
        return jax.random.key_data(key)
    return jnp.asarray(key) if jnp.ndim(key) else jax.random.PRNGKey(jnp.asarray(key, int))
''',
    "_noise": '''\
def _noise(sampler: Any, key: jax.Array, like: list[jax.Array]) -> list[jax.Array]:
    """An array of random numbers for each leaf."""
    keys = jax.random.split(key, max(1, len(like)))
    return [sampler(k, x.shape, x.dtype) for k, x in zip(keys, like)]
''',
    "_own_noise": '''\
def _own_noise(
    sampler: Any, key: jax.Array, axis_name: str, like: list[jax.Array]
) -> list[jax.Array]:
    """The same, of each member its own."""
    return _noise(sampler, jax.random.fold_in(key, jax.lax.axis_index(axis_name)), like)
''',
    "_mix_members": '''\
def _mix_members(x: jax.Array, mixing: Any, axis_name: str) -> jax.Array:
    """The sum over members, weighted by this member's row of the mixing matrix."""
    weights = jnp.asarray(mixing, x.dtype)[jax.lax.axis_index(axis_name)]
    return _weighted(jax.lax.all_gather(x, axis_name), weights)
''',
    "_nearest_mean": '''\
def _nearest_mean(x: list[jax.Array], k: Any, axis_name: str) -> list[jax.Array]:
    """The mean over the k members whose leaves are nearest to this member's, itself included."""
    every = [jax.lax.all_gather(leaf, axis_name) for leaf in x]
    squares = [jnp.square(all_of - leaf) for all_of, leaf in zip(every, x)]
    distance = sum(jnp.sum(s.reshape(len(s), -1), axis=1) for s in squares)
    rank = jnp.argsort(jnp.argsort(distance))
    chosen = jnp.where(rank < k, 1.0, 0.0)
    return [_weighted(all_of, chosen / jnp.sum(chosen)) for all_of in every]
''',
    "_weighted": '''\
def _weighted(x: jax.Array, weights: jax.Array) -> jax.Array:
    """The weighted sum along the first axis; what has weight 0 does not count, not even NaN."""
    weights = weights.reshape(-1, *(1 for _ in x.shape[1:]))
    return jnp.sum(jnp.where(weights == 0, 0.0, weights * x), axis=0)
''',
    "_gradient_at": '''\
def _gradient_at(obj_fn: Any, grad_fn: Any, params: Any, x: Any, call: int) -> list[jax.Array]:
    """The gradient of the loss at the weights whose leaves are x; as `_leaves`."""
    x = _like(params, x)
    found = jax.grad(obj_fn)(x) if grad_fn is None else grad_fn(x, call)
    return _leaves(params, found)[1]
''',
    "_value_at": '''\
def _value_at(obj_fn: Any, value_fn: Any, params: Any, x: Any) -> jax.Array:
    """The loss at the weights whose leaves are x."""
    return jnp.asarray((obj_fn if value_fn is None else value_fn)(_like(params, x)), float)
''',
    "_hessian_times": '''\
def _hessian_times(obj_fn: Any, grad_fn: Any, params: Any, v: Any, call: int) -> list[jax.Array]:
    """The Hessian of the loss at the parameters times v, both as lists of leaves."""
    gradient = jax.grad(obj_fn) if grad_fn is None else lambda x: grad_fn(x, call)
    return _leaves(params, jax.jvp(gradient, (params,), (_like(params, v),))[1])[1]
''',
    "_at_least_float32": '''\
def _at_least_float32(x: Any) -> jax.Array:
    """As an array, with half precision as float32; float64 stays."""
    return jnp.asarray(x, jnp.promote_types(jnp.asarray(x).dtype, jnp.float32))
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
    "_quantile": '''\
def _quantile(x: jax.Array, p: jax.typing.ArrayLike) -> jax.Array:
    """The p-quantile, linearly interpolated; NaN for p outside 0 to 1."""
    return jnp.where((p >= 0.0) & (p <= 1.0), jnp.quantile(x, p), jnp.nan)
''',
    "_row_max": '''\
def _row_max(x: jax.Array) -> jax.Array:
    """The largest of each row, with the last axis kept; a vector has one column."""
    return x if x.ndim < 2 else jnp.max(x, axis=-1, keepdims=True)
''',
    "_column_max": '''\
def _column_max(x: jax.Array) -> jax.Array:
    """The largest of each column, with the second-to-last axis kept; a vector has one column."""
    return x if x.ndim == 0 else jnp.max(x, axis=-2 if x.ndim > 1 else 0, keepdims=True)
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
    "_rescale": '''\
def _rescale(x: jax.Array, y: jax.Array) -> jax.Array:
    """The first with the norm of the second; zeros stay zeros."""
    return jnp.linalg.norm(y) * (x / jnp.maximum(jnp.linalg.norm(x), 1e-15))
''',
    "_orthogonalize": '''\
def _orthogonalize(x: jax.Array) -> jax.Array:
    """Near the nearest semi-orthogonal matrix, with a root mean square of 1; zeros stay zeros."""
    return _normalize(_newton_schulz(x / jnp.maximum(jnp.linalg.norm(x), 1e-15)))
''',
    "_normalize": '''\
def _normalize(x: jax.Array) -> jax.Array:
    """With a root mean square of 1; zeros stay zeros."""
    return x / jnp.sqrt(jnp.maximum(jnp.mean(jnp.square(x)), 1e-36))
''',
    "_normalize_rows": '''\
def _normalize_rows(x: jax.Array) -> jax.Array:
    """With a root mean square of 1 in each row; zeros stay zeros."""
    return x / jnp.sqrt(jnp.maximum(_row_mean(jnp.square(x)), 1e-36))
''',
    "_normalize_columns": '''\
def _normalize_columns(x: jax.Array) -> jax.Array:
    """With a root mean square of 1 in each column; zeros stay zeros."""
    return x / jnp.sqrt(jnp.maximum(_column_mean(jnp.square(x)), 1e-36))
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
    "_lead": '''\
def _lead(x: jax.Array, r: jax.typing.ArrayLike) -> jax.Array:
    """The first r columns of the matrix, with zeros in the place of the others."""
    matrix = _as_matrix(x)
    return jnp.where(jnp.arange(matrix.shape[1]) < r, matrix, 0.0)
''',
    "_eigenvectors": '''\
def _eigenvectors(x: jax.Array) -> jax.Array:
    """The eigenvectors of the symmetric part as columns, the largest eigenvalue first.

    A fixed matrix decides on their signs, and on the basis where the eigenvalue is zero but for
    rounding, which linear algebra leaves open.
    """
    n = x.shape[0]
    finite = jnp.all(jnp.isfinite(x))
    symmetric = jnp.where(finite, x / 2 + x.T / 2, 0.0)
    values, vectors = jnp.linalg.eigh(symmetric)
    values, vectors = values[::-1], vectors[:, ::-1]
    largest = jnp.max(jnp.sum(jnp.abs(symmetric), axis=1))
    null = jnp.abs(values) <= 4.0 * jnp.finfo(x.dtype).eps * largest
    i = jnp.arange(1, n + 1).astype(x.dtype)
    seen = vectors.T @ jnp.sin(i[:, None] * i * (i[:, None] + 2 * i))
    projected = seen[:, jnp.where(null, jnp.cumsum(null) - 1, 0)]
    signs = jnp.diag(jnp.where(seen[:, 0] < 0, -1.0, 1.0))
    turned = jnp.where(null[:, None] & null, projected, signs)
    return jnp.where(finite, _orthonormal(vectors @ turned), jnp.nan)
''',
    "_orthonormal": '''\
def _orthonormal(x: jax.Array) -> jax.Array:
    """The columns made orthonormal from left to right; one that depends on others is zero."""
    matrix = _as_matrix(x)
    size = jnp.max(jnp.abs(matrix), axis=0)
    matrix = matrix / jnp.where(size == 0, 1.0, size)
    smallest = 10 * max(matrix.shape) * jnp.finfo(matrix.dtype).eps

    def add_column(j: jax.Array, basis: jax.Array) -> jax.Array:
        rest = matrix[:, j]
        for _ in range(2):
            rest = rest - basis @ (basis.T @ rest)
        length = jnp.linalg.norm(rest)
        depends = length <= smallest * jnp.linalg.norm(matrix[:, j])
        return basis.at[:, j].set(jnp.where(depends, 0.0, rest / length))

    return jax.lax.fori_loop(0, matrix.shape[1], add_column, jnp.zeros_like(matrix))
''',
    "_as_matrix": '''\
def _as_matrix(x: jax.Array) -> jax.Array:
    """A vector as one column, a tensor of more than two axes as (first axis, all the rest)."""
    return x.reshape(-1, 1) if x.ndim < 2 else x.reshape(x.shape[0], -1)
''',
}
STATE_TYPES = {
    Kind.SCALAR: "jax.Array  # shape=()",
    Kind.LAYER: "tuple[jax.Array, ...]  # one number, shape=(), for each parameter",
    Kind.VECTOR: "tuple[jax.Array, ...]  # all of a vector, one number for any other parameter",
    Kind.BLOCK: "tuple[jax.Array, ...]  # one number for each matrix of each parameter",
    Kind.ROW: "tuple[jax.Array, ...]  # one number for each row of each parameter",
    Kind.COLUMN: "tuple[jax.Array, ...]  # one number for each column of each parameter",
    Kind.TENSOR: "optax.Updates  # like the parameters",
    Kind.TRANSPOSED: "tuple[jax.Array, ...]  # each as large as its parameter, transposed",
    Kind.ROW_GRAM: "tuple[jax.Array, ...]  # a (rows, rows) matrix for each parameter",
    Kind.COLUMN_GRAM: "tuple[jax.Array, ...]  # a (columns, columns) matrix for each",
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
        called = set(re.findall(r"\b_[a-z0-9_]+(?=[(,])", waiting.pop())) & HELPERS.keys()
        waiting += [HELPERS[name] for name in called - used]
        used |= called
    for name, source in HELPERS.items():
        if name in used:
            yield from ["", "", *source.splitlines()]
