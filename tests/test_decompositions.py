"""What `orthonormal`, `eigenvectors`, `lead`, `row_max` and `column_max` promise.

That every path gives the same numbers is in test_primitives.py, test_in_place.py and
test_export_primitives.py, which take every primitive with every kind of argument.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from evoptax.dsl import matrices
from evoptax.dsl.errors import ProgramError
from evoptax.dsl.numpy.stepping import run_numpy
from evoptax.dsl.syntax import parse

RNG = np.random.default_rng(0)


def step(returned: str, g: np.ndarray, body: str = "", **inputs: Any) -> np.ndarray:
    """What a rule of one step subtracts."""
    program = parse(f"def f(w, g, *, lr=1):\n{body}    return lr * ({returned})\n")
    ((w, _),) = run_numpy(program, [np.zeros_like(g)], [[g]], **inputs)
    return -np.asarray(w[0])


def test_independent_columns_become_orthonormal_and_span_the_same() -> None:
    x = RNG.standard_normal((7, 4)) * 10.0 ** np.array([-200, -3, 0, 150])
    q = step("orthonormal(g)", x)
    np.testing.assert_allclose(q.T @ q, np.eye(4), atol=1e-14)
    r = np.linalg.qr(x / np.abs(x).max(axis=0))
    np.testing.assert_allclose(q, r.Q * np.sign(np.diag(r.R)), atol=1e-13)


def test_dependent_and_zero_columns_become_zero() -> None:
    x = RNG.standard_normal((5, 8))
    x[:, 1] = 0
    x[:, 3] = 2 * x[:, 0] - x[:, 2]
    q = step("orthonormal(g)", x)
    np.testing.assert_allclose(np.diag(q.T @ q), [1, 0, 1, 0, 1, 1, 1, 0], atol=1e-14)
    assert np.all(step("orthonormal(g)", 0 * x) == 0)
    assert np.isnan(step("orthonormal(g)", np.where(x == x[0, 0], np.nan, x))).any()


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (3, 2, 2, 2)])
def test_tensors_keep_their_shape(shape: tuple[int, ...]) -> None:
    g = RNG.standard_normal(shape)
    matrix = g.reshape(-1, 1) if g.ndim < 2 else g.reshape(3, -1)
    np.testing.assert_allclose(
        step("orthonormal(g)", g).reshape(matrix.shape), matrices.orthonormal(np, matrix)
    )
    first = np.where(np.arange(matrix.shape[1]) < 2, matrix, 0)
    np.testing.assert_array_equal(step("lead(g, 2)", g).reshape(matrix.shape), first)


@pytest.mark.parametrize("rank", [0, 1, 3, 6])
def test_eigenvectors_diagonalize(rank: int) -> None:
    g = RNG.standard_normal((6, rank))
    s = g @ g.T
    v = matrices.eigenvectors(np, s)
    np.testing.assert_allclose(v.T @ v, np.eye(6), atol=1e-14)
    found = v.T @ s @ v
    values = np.sort(np.linalg.eigvalsh(s))[::-1]
    np.testing.assert_allclose(found, np.diag(values), atol=1e-13)


def test_signs_and_the_basis_of_what_is_zero_do_not_depend_on_rounding() -> None:
    """Nor on the library: NumPy's choice is the same for S as after a change of its last digits."""
    g = RNG.standard_normal((6, 2))
    s = g @ g.T
    v = matrices.eigenvectors(np, s)
    for _ in range(5):
        noise = 1e-16 * RNG.standard_normal(s.shape)
        np.testing.assert_allclose(matrices.eigenvectors(np, s + noise), v, atol=1e-13)
    for scale in (1e-300, 1e300):
        np.testing.assert_allclose(matrices.eigenvectors(np, scale * s), v, atol=1e-12)
    assert matrices.eigenvectors(np, np.full((2, 2), np.inf)).shape == (2, 2)
    assert np.isnan(matrices.eigenvectors(np, np.full((2, 2), np.inf))).all()


def test_the_polar_factor_is_exact() -> None:
    """What does not depend on signs: (G G')^(-1/2) G has all singular values 1."""
    body = (
        "    S = matmul(g, transpose(g))\n    U = eigenvectors(S)\n"
        "    D = diagonal(matmul(matmul(transpose(U), S), U))\n"
        "    P = matmul(matmul(U, where(D > 1e-12, D**-0.5, 0)), transpose(U))\n"
    )
    g = RNG.standard_normal((3, 5))
    u, _, v = np.linalg.svd(g, full_matrices=False)
    np.testing.assert_allclose(step("matmul(P, g)", g, body), u @ v, atol=1e-13)


def test_maxima_of_rows_and_columns() -> None:
    g = RNG.standard_normal((4, 3))
    np.testing.assert_array_equal(step("row_max(g) + 0 * g", g), g.max(axis=1)[:, None] + 0 * g)
    np.testing.assert_array_equal(step("column_max(g) + 0 * g", g), g.max(axis=0) + 0 * g)
    v = RNG.standard_normal(4)
    np.testing.assert_array_equal(step("row_max(g)", v), v)
    np.testing.assert_array_equal(step("column_max(g) + 0 * g", v), np.full(4, v.max()))


def test_square_matrices_are_reduced() -> None:
    g = RNG.standard_normal((4, 3))
    s = g @ g.T
    for name, expected in (("norm", np.linalg.norm(s)), ("sum", s.sum()), ("max", s.max())):
        assert step(f"{name}(matmul(g, transpose(g)))", g)[0, 0] == pytest.approx(expected)
    assert step("sum(diagonal(matmul(transpose(g), g)))", g)[0, 0] == pytest.approx(np.trace(s))
    assert step("mean(transpose(g))", g)[0, 0] == pytest.approx(g.mean())


def test_a_quantile_may_have_a_level_for_each_tensor() -> None:
    """Keeps exactly three numbers of each tensor."""
    program = parse(
        "def f(w, g, *, lr=1, k=3):\n"
        "    return lr * where(abs(g) > quantile(abs(g), 1 - k / size(w)), g, 0)\n"
    )
    gradients = [RNG.standard_normal((4, 3)), RNG.standard_normal(5)]
    ((w, _),) = run_numpy(program, [0 * g for g in gradients], [gradients])
    assert [np.count_nonzero(x) for x in w] == [3, 3]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("eigenvectors(g)", "eigenvectors takes a square matrix, not a tensor"),
        ("orthonormal(row_mean(g))", "orthonormal takes a matrix, not a per-row"),
        ("lead(g, g)", "takes a number as its second argument, not a tensor"),
        ("row_max(transpose(g))", "row_max reduces a tensor, but its argument is a transposed"),
        ("size(transpose(g))", "size reduces a tensor, but its argument is a transposed tensor"),
    ],
)
def test_other_kinds_are_refused(expression: str, said: str) -> None:
    with pytest.raises(ProgramError, match=said):
        parse(f"def f(w, g, *, lr=1):\n    return lr * {expression}\n")
