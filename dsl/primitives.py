"""The primitives: one row each.

A row holds everything the rest of evoptax knows about an operation: its name, number of
arguments, where it acts, its definition over an array namespace `xp` (so that NumPy in float64
and JAX run the same row), how LaTeX writes it, and whether its arguments commute. A new primitive
is one row here and nothing else anywhere.

The 45 functions of Lion's public search space (Chen et al. 2023; google/automl, `hero/fn_lib.py`)
are the rows with `lion=` set, which names the function as written there. Where evoptax differs,
the row says so. Two differences hold throughout: `sqrt` and the logarithms follow plain IEEE
semantics (`sqrt(-1)` is NaN, where hero takes the absolute value first), and conditions are the
numbers 0 and 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from . import kinds, matrices, members
from .primitive import (
    MATRIX,
    Combination,
    Oracle,
    Primitive,
    derived,
    fn,
    function,
    named,
    of_loss,
    of_members,
    of_model,
    per_tensor,
)
from .sources import EVERYWHERE, Source


def _one_if(xp: Any, condition: Any, like: Any) -> Any:
    """1 or 0 in the dtype of what was compared, so that float32 stays float32 in NumPy too.

    Not `condition.astype`: XLA turns a product with a converted condition into a selection, which
    hides that NaN * 0 is NaN.
    """
    return xp.where(condition, xp.asarray(1.0, like.dtype), xp.asarray(0.0, like.dtype))


def _norm(xp: Any, x: Any) -> Any:
    return xp.sqrt(xp.sum(x * x))


def _dot(xp: Any, x: Any, y: Any) -> Any:
    return xp.sum(x * y)


def of_shape(name: str, **more: Any) -> Primitive:
    """A primitive that sees a tensor's shape alone."""
    more = {"kind": kinds.of_shape} | more
    return per_tensor(name, 1, getattr(matrices, name), named(name), **more)


# The machine runs these in larger forms, compiled on demand: what the matrix grammar draws, and
# what no search draws.
_MATRIX: dict[str, Any] = {"grammar": MATRIX}
_REST: dict[str, Any] = {"grammar": ""}
_HAVE_LOSS = EVERYWHERE - {Source.TRACES}
_HAVE_MEMBERS = EVERYWHERE - {Source.TRACES, Source.MACHINE}

_ROWS: tuple[Primitive, ...] = (
    # Arithmetic.
    Primitive("add", 2, fn("add"), "{0} + {1}", infix="+", commutative=True, lion="add"),
    Primitive("subtract", 2, fn("subtract"), "{0} - {1}", infix="-", lion="sub"),
    Primitive(
        "multiply", 2, fn("multiply"), r"{0} \, {1}", infix="*", commutative=True, lion="mult"
    ),
    Primitive("divide", 2, fn("divide"), r"\frac{{{0}}}{{{1}}}", infix="/", lion="div"),
    Primitive("power", 2, fn("power"), "{0}^{{{1}}}", infix="**", cost=20, lion="power"),
    Primitive("mod", 2, fn("mod"), r"{0} \bmod {1}", infix="%", cost=5),
    Primitive("negative", 1, fn("negative"), "-{0}", infix="-", lion="negative"),
    Primitive(
        "maximum", 2, fn("maximum"), r"\max\left({0}, {1}\right)", commutative=True, lion="maximum"
    ),
    Primitive(
        "minimum", 2, fn("minimum"), r"\min\left({0}, {1}\right)", commutative=True, lion="minimum"
    ),
    # Conditions are 0 or 1.
    Primitive("less", 2, lambda xp, x, y: _one_if(xp, x < y, x), "[{0} < {1}]", infix="<"),
    Primitive(
        "less_equal", 2, lambda xp, x, y: _one_if(xp, x <= y, x), r"[{0} \le {1}]", infix="<="
    ),
    Primitive("greater", 2, lambda xp, x, y: _one_if(xp, x > y, x), "[{0} > {1}]", infix=">"),
    Primitive(
        "greater_equal", 2, lambda xp, x, y: _one_if(xp, x >= y, x), r"[{0} \ge {1}]", infix=">="
    ),
    Primitive(
        "equal",
        2,
        lambda xp, x, y: _one_if(xp, x == y, x),
        "[{0} = {1}]",
        infix="==",
        commutative=True,
    ),
    Primitive(
        "not_equal",
        2,
        lambda xp, x, y: _one_if(xp, x != y, x),
        r"[{0} \ne {1}]",
        infix="!=",
        commutative=True,
    ),
    Primitive(
        "where",
        3,
        lambda xp, c, x, y: xp.where(c != 0, x, y),
        r"\begin{{cases}} {1} & {0} \\ {2} & \text{{otherwise}} \end{{cases}}",
    ),
    # hero's `invert` is NumPy's bitwise one, which floats refuse; here it is the logical not of a
    # condition, which is what it does to hero's booleans.
    Primitive(
        "invert",
        1,
        lambda xp, x: _one_if(xp, x == 0, x),
        r"\lnot {0}",
        lion="invert",
        jax="jnp.where({0} == 0, 1.0, 0.0)",
    ),
    # Elementwise functions.
    Primitive("abs", 1, fn("abs"), r"\left|{0}\right|", lion="abs"),
    Primitive("sign", 1, fn("sign"), named("sign"), lion="sign"),
    Primitive("square", 1, lambda xp, x: x * x, "{0}^{{2}}", lion="square"),
    Primitive("cube", 1, lambda xp, x: x * x * x, "{0}^{{3}}", cost=2, lion="cube"),
    Primitive("sqrt", 1, fn("sqrt"), r"\sqrt{{{0}}}", cost=5, lion="sqrt"),
    Primitive("cbrt", 1, fn("cbrt"), r"\sqrt[3]{{{0}}}", cost=20, lion="cbrt"),
    Primitive(
        "reciprocal", 1, lambda xp, x: 1.0 / x, r"\frac{{1}}{{{0}}}", cost=2, lion="reciprocal"
    ),
    function("exp", 10, "e^{{{0}}}"),
    function("exp2", 10, "2^{{{0}}}"),
    Primitive(
        "exp10",
        1,
        lambda xp, x: xp.power(10.0, x),
        "10^{{{0}}}",
        cost=20,
        lion="exp10",
        jax="jnp.power(10.0, {0})",
    ),
    function("expm1", 10, r"\left(e^{{{0}}} - 1\right)"),
    function("log", 10, r"\ln\left({0}\right)"),
    function("log10", 10, r"\log_{{10}}\left({0}\right)"),
    function("log2", 10, r"\log_{{2}}\left({0}\right)"),
    function("log1p", 10, r"\ln\left(1 + {0}\right)"),
    function("sin", 10, r"\sin\left({0}\right)"),
    function("cos", 10, r"\cos\left({0}\right)"),
    function("tan", 15, r"\tan\left({0}\right)"),
    function("arcsin", 15, r"\arcsin\left({0}\right)"),
    function("arccos", 15, r"\arccos\left({0}\right)"),
    function("arctan", 15, r"\arctan\left({0}\right)"),
    function("sinh", 15, r"\sinh\left({0}\right)"),
    function("cosh", 15, r"\cosh\left({0}\right)"),
    function("tanh", 10, r"\tanh\left({0}\right)"),
    function("arcsinh", 15, named("arsinh")),
    function("arccosh", 15, named("arcosh")),
    function("arctanh", 15, named("artanh")),
    derived(
        "sigmoid",
        1,
        "1 / (1 + exp(-x))",
        r"\sigma\left({0}\right)",
        jax="jax.nn.sigmoid({0})",
    ),
    # (1-a)*x + a*y, which Lion's paper calls interp.
    Primitive(
        "lerp",
        3,
        lambda xp, x, y, a: (1.0 - a) * x + a * y,
        r"\operatorname{{lerp}}\left({0}, {1}, {2}\right)",
        cost=4,
        lion="interpolate",
    ),
    Primitive(
        "clip",
        3,
        lambda xp, x, low, high: xp.minimum(xp.maximum(x, low), high),
        r"\operatorname{{clip}}\left({0}, {1}, {2}\right)",
        cost=2,
    ),
    # Constants.
    Primitive("get_pi", 0, lambda xp: 3.141592653589793, r"\pi", lion="get_pi", jax="jnp.pi"),
    Primitive("get_e", 0, lambda xp: 2.718281828459045, "e", lion="get_e", jax="jnp.e"),
    Primitive("get_eps", 0, lambda xp: 1e-8, "10^{{-8}}", lion="get_eps", jax="1e-8"),
    # One number per parameter tensor.
    per_tensor(
        "norm",
        1,
        _norm,
        r"\left\lVert {0} \right\rVert",
        cost=2,
        lion="norm",
        jax="jnp.linalg.norm({0})",
    ),
    per_tensor("sum", 1, fn("sum"), r"\sum {0}"),
    per_tensor("mean", 1, fn("mean"), named("mean")),
    per_tensor("max", 1, fn("max"), named("max")),
    per_tensor("min", 1, fn("min"), named("min")),
    # The population's standard deviation (divided by n, as NumPy does).
    per_tensor("std", 1, fn("std"), named("std"), cost=4),
    per_tensor(
        "dot",
        2,
        _dot,
        r"\left\langle {0}, {1} \right\rangle",
        commutative=True,
        cost=2,
        jax="jnp.sum({0} * {1})",
    ),
    per_tensor(
        "quantile",
        2,
        matrices.quantile,
        r"Q_{{{1}}}\left({0}\right)",
        kind=kinds.quantile_of,
        cost=20,
        jax="_quantile({0}, {1})",
        **_REST,
    ),
    # What depends on a tensor's shape alone.
    of_shape("size", **_REST),
    of_shape("rows", jax="_rows({0})", **_REST),
    of_shape("columns", jax="_columns({0})", **_REST),
    of_shape("ndim", **_MATRIX),
    # Means over the last axis and over the one before; a vector is a column.
    per_tensor(
        "row_mean",
        1,
        matrices.row_mean,
        named("rowmean"),
        kind=kinds.per_row,
        jax="_row_mean({0})",
        **_MATRIX,
    ),
    per_tensor(
        "column_mean",
        1,
        matrices.column_mean,
        named("colmean"),
        kind=kinds.per_column,
        jax="_column_mean({0})",
        **_MATRIX,
    ),
    per_tensor(
        "row_max",
        1,
        matrices.row_max,
        named("rowmax"),
        kind=kinds.per_row,
        jax="_row_max({0})",
        **_REST,
    ),
    per_tensor(
        "column_max",
        1,
        matrices.column_max,
        named("colmax"),
        kind=kinds.per_column,
        jax="_column_max({0})",
        **_REST,
    ),
    # A vector as it is and the mean of any other tensor: for what only vectors need to keep.
    per_tensor(
        "matrix_mean",
        1,
        matrices.matrix_mean,
        named("mmean"),
        kind=kinds.per_vector,
        jax="_matrix_mean({0})",
        **_REST,
    ),
    # Matrices.
    per_tensor(
        "transpose",
        1,
        matrices.transpose,
        r"{0}^{{\top}}",
        kind=kinds.transposed,
        jax="_as_matrix({0}).T",
        **_MATRIX,
    ),
    per_tensor(
        "matmul",
        2,
        matrices.matmul,
        r"{0} \cdot {1}",
        kind=kinds.product,
        cost=50,
        jax="_matmul({0}, {1})",
        **_MATRIX,
    ),
    per_tensor(
        "diagonal",
        1,
        matrices.diagonal,
        named("diag"),
        kind=kinds.square,
        jax="_diagonal({0})",
        **_REST,
    ),
    # The lower triangle of a square matrix, inverse, times the right-hand side.
    per_tensor(
        "solve_lower",
        2,
        matrices.solve_lower,
        r"\operatorname{{tril}}\left({0}\right)^{{-1}} {1}",
        kind=kinds.solution,
        cost=50,
        jax="_solve_lower({0}, {1})",
        **_REST,
    ),
    # Five quintic steps towards the nearest semi-orthogonal matrix (Jordan et al. 2024).
    per_tensor(
        "newton_schulz",
        1,
        matrices.newton_schulz,
        r"\operatorname{{NS}}_5\left({0}\right)",
        kind=kinds.same,
        cost=500,
        jax="_newton_schulz({0})",
        **_REST,
    ),
    # What keeps shapes: a rank below the full one is a number of columns that are not zero.
    per_tensor(
        "lead",
        2,
        matrices.lead,
        r"\operatorname{{lead}}_{{{1}}}\left({0}\right)",
        kind=kinds.leading,
        jax="_lead({0}, {1})",
        **_REST,
    ),
    per_tensor(
        "orthonormal",
        1,
        matrices.orthonormal,
        named("orthonormal"),
        kind=kinds.same_matrix,
        cost=200,
        jax="_orthonormal({0})",
        **_REST,
    ),
    per_tensor(
        "eigenvectors",
        1,
        matrices.eigenvectors,
        named("eigenvectors"),
        kind=kinds.square,
        cost=1000,
        jax="_eigenvectors({0})",
        **_REST,
    ),
    # Steps of a known scale, whatever the scale of x; of zeros they give zeros. The least
    # denominators are so small that they matter only where float32 loses the squares.
    derived(
        "rescale",
        2,
        "norm(y) * (x / maximum(norm(x), 1e-15))",
        r"\operatorname{{rescale}}\left({0}, {1}\right)",
        cost=6,
        jax="_rescale({0}, {1})",
        **_MATRIX,
    ),
    derived(
        "normalize",
        1,
        "x / sqrt(maximum(mean(square(x)), 1e-36))",
        named("normalize"),
        cost=9,
        jax="_normalize({0})",
        **_MATRIX,
    ),
    # A vector is one column: each of its numbers is a row, and becomes its sign.
    derived(
        "normalize_rows",
        1,
        "x / sqrt(maximum(row_mean(square(x)), 1e-36))",
        named("normrows"),
        cost=9,
        jax="_normalize_rows({0})",
        **_MATRIX,
    ),
    derived(
        "normalize_columns",
        1,
        "x / sqrt(maximum(column_mean(square(x)), 1e-36))",
        named("normcols"),
        cost=9,
        jax="_normalize_columns({0})",
        **_MATRIX,
    ),
    # Muon's step, its root mean square set to 1. (Liu et al. 2025, arXiv:2502.16982, set it to
    # 0.2.) A vector has one singular value, so that it is normalized.
    derived(
        "orthogonalize",
        1,
        "normalize(newton_schulz(x / maximum(norm(x), 1e-15)))",
        named("orth"),
        cost=510,
        jax="_orthogonalize({0})",
        **_MATRIX,
    ),
    # One number for the whole model. Lion's `dot` and `cosine_sim` are of this scope.
    of_model(
        "global_norm",
        1,
        _norm,
        r"\left\lVert {0} \right\rVert_{{\text{{model}}}}",
        cost=2,
        lion="global_norm",
        jax="optax.tree.norm({0})",
    ),
    of_model(
        "global_dot",
        2,
        _dot,
        r"\left\langle {0}, {1} \right\rangle_{{\text{{model}}}}",
        commutative=True,
        cost=2,
        lion="dot",
        jax="optax.tree.vdot({0}, {1})",
    ),
    of_model(
        "global_sum",
        1,
        fn("sum"),
        r"\sum_{{\text{{model}}}} {0}",
        jax="optax.tree.sum({0})",
        **_REST,
    ),
    of_model(
        "global_max",
        1,
        fn("max"),
        r"\max_{{\text{{model}}}} {0}",
        jax="optax.tree.max({0})",
        **_REST,
    ),
    derived(
        "cosine_sim",
        2,
        "global_dot(x, y) / (global_norm(x) * global_norm(y))",
        r"\cos\angle\left({0}, {1}\right)_{{\text{{model}}}}",
        commutative=True,
        lion="cosine_sim",
    ),
    derived(
        "clip_by_global_norm",
        2,
        "minimum(1, y / global_norm(x)) * x",
        r"\operatorname{{clip}}_{{\lVert\cdot\rVert \le {1}}}\left({0}\right)",
        lion="clip_by_global_norm",
    ),
    # The loss of this step's minibatch: its gradient and its value elsewhere, its Hessian at w.
    of_loss(
        "grad",
        kinds.at_point,
        r"\nabla \ell_t\left({0}\right)",
        asks=Oracle(
            "the gradient of the minibatch loss at other weights",
            _HAVE_LOSS,
            Fraction(1),
            at_w="g",
            instead="grad_fn",
        ),
        cost=1000,
        jax="_gradient_at(obj_fn, grad_fn, params, {0}, {1})",
    ),
    of_loss(
        "loss_at",
        kinds.value_at,
        r"\ell_t\left({0}\right)",
        asks=Oracle(
            "the minibatch loss at other weights",
            _HAVE_LOSS,
            Fraction(1, 3),
            at_w="loss",
            instead="value_fn",
        ),
        cost=300,
        jax="_value_at(obj_fn, value_fn, params, {0})",
    ),
    of_loss(
        "hvp",
        kinds.at_point,
        r"\nabla^2 \ell_t\left(w_{{t-1}}\right)\left[{0}\right]",
        asks=Oracle(
            "the Hessian of the minibatch loss at w times a direction",
            _HAVE_LOSS,
            Fraction(2),
            instead="grad_fn",
        ),
        cost=2000,
        jax="_hessian_times(obj_fn, grad_fn, params, {0}, {1})",
    ),
    # What all members hold.
    of_members(
        "mean_members",
        lambda xp, x: xp.mean(x, axis=0),
        r"\operatorname{{mean}}_{{i}}\left({0}\right)",
        combines=Combination("the mean over all members", _HAVE_MEMBERS, "pmean"),
        jax="jax.lax.pmean({0}, axis_name)",
    ),
    of_members(
        "sum_members",
        lambda xp, x: xp.sum(x, axis=0),
        r"\operatorname{{sum}}_{{i}}\left({0}\right)",
        combines=Combination("the sum over all members", _HAVE_MEMBERS, "psum"),
        jax="jax.lax.psum({0}, axis_name)",
    ),
    of_members(
        "max_members",
        lambda xp, x: xp.max(x, axis=0),
        r"\max_{{i}}\left({0}\right)",
        combines=Combination("the largest over all members", _HAVE_MEMBERS, "pmax"),
        jax="jax.lax.pmax({0}, axis_name)",
    ),
    # W is the mixing matrix, of which each member has a row.
    of_members(
        "mix_members",
        members.weighted,
        r"\left[W {0}\right]_{{i}}",
        combines=Combination(
            "the sum over members by the member's row of the mixing matrix",
            _HAVE_MEMBERS,
            weigh=members.neighbours,
        ),
        jax="_mix_members({0}, mixing, axis_name)",
    ),
    # The member itself is one of the k; distances are of whole models.
    of_members(
        "nearest_mean",
        members.weighted,
        r"\operatorname{{mean}}_{{\text{{nearest }} {1}}}\left({0}\right)",
        combines=Combination(
            "the mean of the members whose values are nearest to one's own",
            _HAVE_MEMBERS,
            weigh=members.nearest,
            whole=True,
        ),
        jax="_nearest_mean({0}, {1}, axis_name)",
        arity=2,
        kind=kinds.mean_of_nearest,
        cost=20,
    ),
)

PRIMITIVES: Mapping[str, Primitive] = MappingProxyType({row.name: row for row in _ROWS})

# Names that people bring from elsewhere; `format` prints the table's own.
ALIASES: Mapping[tuple[str, int], str] = MappingProxyType(
    {
        ("interp", 3): "lerp",
        ("interpolate", 3): "lerp",
        ("max", 2): "maximum",
        ("min", 2): "minimum",
    }
)

INFIX: Mapping[tuple[str, int], Primitive] = MappingProxyType(
    {(row.infix, row.arity): row for row in _ROWS if row.infix}
)
