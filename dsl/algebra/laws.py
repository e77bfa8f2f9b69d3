"""The laws of algebra that evoptax knows, as text in the language's own syntax.

    x / abs(x) ~> sign(x)           read from left to right
    x * y <-> y * x                 read in both directions
    sign(x * y) -> sign(y) if positive(x)
    x + 0 => x                      exact: rewriting applies it too, as terms are built

Small letters stand for any value, C and D for constants, names of inputs such as w for these, and
what has only constants on the right is computed. An exact law (`=>`, `<=>`) changes no result in
IEEE arithmetic, NaN and infinities included. `->` keeps every value that the left side has. `~>`
holds for real numbers only where the left side is defined: it may lose a NaN, as x / x ~> 1 does
at 0. Nothing is here that makes numbers so much larger or smaller that float32 loses them, such as
sqrt(x) * sqrt(y) = sqrt(x * y).
"""

from __future__ import annotations

from collections.abc import Mapping

from ..oracles import ORACLES

# Terms in another order or shape. These explain nothing, so no step is named after them.
ORDER = "order"

IDENTITIES: Mapping[str, str] = {
    ORDER: """
        x + y -> y + x
        x * y -> y * x
        maximum(x, y) -> maximum(y, x)
        minimum(x, y) -> minimum(y, x)
        equal(x, y) -> equal(y, x)
        not_equal(x, y) -> not_equal(y, x)
        dot(x, y) -> dot(y, x)
        global_dot(x, y) -> global_dot(y, x)
        (x + y) + z <-> x + (y + z)
        (x * y) * z <-> x * (y * z)
        maximum(maximum(x, y), z) -> maximum(x, maximum(y, z))
        minimum(minimum(x, y), z) -> minimum(x, minimum(y, z))
        x - y <-> x + -y
        (x + y) - z -> x + (y - z)
        (x - y) - z -> x - (y + z)
        x - (y - z) -> (x - y) + z
        x / y <-> x * reciprocal(y)
        (x / y) / z <-> x / (y * z)
        (x * y) / z -> x * (y / z)
        x * (y / z) -> (x * y) / z
        x / (y / z) -> (x * z) / y
        x / C -> (1 / C) * x if C != 0
        x - C -> x + -C
        greater(x, y) <-> less(y, x)
        greater_equal(x, y) <-> less_equal(y, x)
    """,
    "constants computed": """
        C + D -> C + D
        C - D -> C - D
        C * D -> C * D
        C / D -> C / D if D != 0
        negative(C) -> -C
        reciprocal(C) -> 1 / C if C != 0
        square(C) -> C * C
        C * (D * x) -> (C * D) * x
        C + (D + x) -> (C + D) + x
        C - (D + x) -> (C - D) - x
        C - (D - x) -> (C - D) + x
        C / (D * x) -> (C / D) / x if D != 0
        C * (D / x) -> (C * D) / x
        square(C * x) <-> (C * C) * square(x)
    """,
    "neutral elements": """
        x + 0 => x
        x - 0 => x
        0 - x -> -x
        x * 1 => x
        -1 * x => -x
        x / 1 => x
        x / -1 => -x
        1 / x => reciprocal(x)
        0 * x ~> 0
        0 / x ~> 0
        x - x ~> 0
        x / x ~> 1
        x * reciprocal(x) ~> 1
        (x * y) / x ~> y
        x / (x * y) ~> reciprocal(y)
        (x + y) - x -> y
        x - (x + y) -> -y
        maximum(x, x) => x
        minimum(x, x) => x
        where(C, x, y) => x if C != 0
        where(0, x, y) => y
        where(c, x, x) => x
        where(invert(c), x, y) -> where(c, y, x)
        invert(less(x, y)) ~> less_equal(y, x)
        invert(less_equal(x, y)) ~> less(y, x)
        invert(equal(x, y)) -> not_equal(x, y)
        invert(not_equal(x, y)) -> equal(x, y)
        x ** 0 => 1
        x ** 1 => x
        1 ** x => 1
    """,
    "signs": """
        --x => x
        x + -y => x - y
        -x + y => y - x
        x - -y => x + y
        -(x - y) -> y - x
        -x - y -> -(x + y)
        -x * y -> -(x * y)
        -x * -y -> x * y
        -x / y -> -(x / y)
        x / -y -> -(x / y)
        -(C * x) -> (-C) * x
        C * -x -> (-C) * x
        reciprocal(-x) -> -reciprocal(x)
        -maximum(-x, -y) -> minimum(x, y)
        -minimum(-x, -y) -> maximum(x, y)
    """,
    "common factors": """
        x * y + x * z <-> x * (y + z)
        x * y - x * z <-> x * (y - z)
        x + x -> 2 * x
        x + C * x -> (1 + C) * x
        x - C * x -> (1 - C) * x
        C * x - x -> (C - 1) * x
        C * x + D * x -> (C + D) * x
        C * x - D * x -> (C - D) * x
        x + x * y -> x * (1 + y)
        x - x * y -> x * (1 - y)
        x / z + y / z <-> (x + y) / z
        x / z - y / z <-> (x - y) / z
        (x * y) / (x * z) ~> y / z
        sum(C * x) -> C * sum(x)
        mean(C * x) -> C * mean(x)
        global_sum(C * x) -> C * global_sum(x)
        norm(C * x) -> abs(C) * norm(x)
        global_norm(C * x) -> abs(C) * global_norm(x)
        dot(C * x, y) -> C * dot(x, y)
        global_dot(C * x, y) -> C * global_dot(x, y)
    """,
    "fractions": """
        reciprocal(reciprocal(x)) ~> x
        reciprocal(x / y) ~> y / x
        x * reciprocal(y) -> x / y
        x / reciprocal(y) ~> x * y
        reciprocal(x) * reciprocal(y) -> reciprocal(x * y)
        reciprocal(x) / y -> reciprocal(x * y)
    """,
    "sign and absolute value": """
        x / abs(x) ~> sign(x)
        abs(x) / x ~> sign(x)
        sign(x) * abs(x) -> x
        sqrt(square(x)) -> abs(x)
        square(sqrt(x)) ~> x
        abs(x) -> x if nonneg(x)
        abs(-x) => abs(x)
        abs(x) * abs(y) -> abs(x * y)
        abs(x) / abs(y) -> abs(x / y)
        abs(C * x) -> abs(C) * abs(x)
        square(abs(x)) => square(x)
        square(-x) => square(x)
        abs(x) * abs(x) -> square(x)
        maximum(x, -x) -> abs(x)
        sign(sign(x)) => sign(x)
        sign(-x) => -sign(x)
        sign(x) -> 1 if positive(x)
        sign(x * y) -> sign(y) if positive(x)
        sign(y / x) -> sign(y) if positive(x)
        sign(C * x) -> -sign(x) if C < 0
        sign(cube(x)) -> sign(x)
        sign(cbrt(x)) -> sign(x)
        sign(tanh(x)) -> sign(x)
        sign(arctan(x)) -> sign(x)
        sign(sinh(x)) -> sign(x)
        sign(arcsinh(x)) -> sign(x)
        sign(expm1(x)) -> sign(x)
        maximum(x, 0) -> x if nonneg(x)
    """,
    "powers and roots": """
        x * x <=> square(x)
        x * square(x) <-> cube(x)
        x ** 2 -> square(x)
        x ** 3 -> cube(x)
        x ** 0.5 ~> sqrt(x)
        x ** -1 -> reciprocal(x)
        x ** C * x ** D ~> x ** (C + D)
        x ** y * x ~> x ** (y + 1)
        square(x) * square(y) <-> square(x * y)
        square(x) / square(y) <-> square(x / y)
        square(reciprocal(x)) <-> reciprocal(square(x))
        sqrt(x) / sqrt(y) ~> sqrt(x / y)
        x / sqrt(x) ~> sqrt(x)
        sqrt(x) * sqrt(x) ~> x
        square(sqrt(x) * y) ~> x * square(y)
        sqrt(square(x) * y) -> abs(x) * sqrt(y) if nonneg(y)
        reciprocal(sqrt(x)) -> sqrt(reciprocal(x)) if positive(x)
        sqrt(reciprocal(x)) -> reciprocal(sqrt(x)) if positive(x)
        sqrt(x ** 4) -> square(x)
        cube(cbrt(x)) -> x
        cbrt(cube(x)) -> x
        sqrt(sum(square(x))) -> norm(x)
        sqrt(dot(x, x)) -> norm(x)
        sqrt(global_sum(square(x))) -> global_norm(x)
        sqrt(global_dot(x, x)) -> global_norm(x)
        sum(square(x)) <-> dot(x, x)
        square(norm(x)) -> dot(x, x)
        sum(x * y) ~> dot(x, y)
        global_sum(x * y) ~> global_dot(x, y)
        norm(-x) -> norm(x)
        norm(abs(x)) -> norm(x)
        global_norm(-x) -> global_norm(x)
        global_norm(abs(x)) -> global_norm(x)
        dot(-x, y) -> -dot(x, y)
        max(-x) -> -min(x)
        min(-x) -> -max(x)
        sum(-x) -> -sum(x)
        mean(-x) -> -mean(x)
    """,
    "interpolations merged": """
        lerp(x, lerp(x, y, a), b) -> lerp(x, y, a * b)
        lerp(lerp(x, y, C), y, D) -> lerp(x, y, C + D - C * D)
        lerp(lerp(x, y, a), x, b) -> lerp(x, y, a * (1 - b))
        lerp(y, lerp(x, y, a), b) -> lerp(y, x, b * (1 - a))
        lerp(x, x, a) ~> x
        lerp(x, y, 0) ~> x
        lerp(x, y, 1) ~> y
        lerp(x, y, 1 - a) -> lerp(y, x, a)
        (1 - a) * x + a * y -> lerp(x, y, a)
        C * x + D * y -> lerp(y, x, C) if C + D == 1
        C * x - D * y -> lerp(y, x, C) if C - D == 1
        x + a * (y - x) -> lerp(x, y, a)
        x - a * (x - y) -> lerp(x, y, a)
        lerp(x, 0, a) -> (1 - a) * x
        lerp(0, x, a) -> a * x
        lerp(C * x, C * y, a) -> C * lerp(x, y, a)
        lerp(-x, -y, a) -> -lerp(x, y, a)
        lerp(x * z, y * z, a) -> lerp(x, y, a) * z
        lerp(x + z, y + z, a) -> lerp(x, y, a) + z
    """,
    "functions and their inverses": """
        exp(log(x)) ~> x
        log(exp(x)) -> x
        exp2(log2(x)) ~> x
        log2(exp2(x)) -> x
        exp10(log10(x)) ~> x
        log10(exp10(x)) -> x
        expm1(log1p(x)) ~> x
        log1p(expm1(x)) -> x
        tan(arctan(x)) -> x
        sin(arcsin(x)) ~> x
        cos(arccos(x)) ~> x
        tanh(arctanh(x)) ~> x
        arctanh(tanh(x)) -> x
        sinh(arcsinh(x)) -> x
        arcsinh(sinh(x)) -> x
        cosh(arccosh(x)) ~> x
        invert(invert(invert(x))) -> invert(x)
        transpose(transpose(x)) -> x
        orthonormal(-x) -> -orthonormal(x)
        orthonormal(C * x) -> orthonormal(x) if C > 0
        eigenvectors(C * x) -> eigenvectors(x) if C > 0
        lead(-x, y) -> -lead(x, y)
        lead(C * x, y) -> C * lead(x, y)
        lead(lead(x, y), y) -> lead(x, y)
        exp(x) * exp(y) <-> exp(x + y)
        exp(x) / exp(y) -> exp(x - y)
        reciprocal(exp(x)) <-> exp(-x)
        exp(x) - 1 -> expm1(x)
        expm1(x) + 1 -> exp(x)
        log(1 + x) -> log1p(x)
        square(exp(x)) -> exp(2 * x)
        cos(-x) -> cos(x)
        cosh(-x) -> cosh(x)
        sin(-x) -> -sin(x)
        tan(-x) -> -tan(x)
        tanh(-x) -> -tanh(x)
        sinh(-x) -> -sinh(x)
        arctan(-x) -> -arctan(x)
        arcsin(-x) -> -arcsin(x)
        arcsinh(-x) -> -arcsinh(x)
        arctanh(-x) -> -arctanh(x)
        cbrt(-x) -> -cbrt(x)
        cube(-x) -> -cube(x)
    """,
    "functions by name": """
        reciprocal(1 + exp(-x)) <-> sigmoid(x)
        reciprocal(1 + exp(x)) -> sigmoid(-x)
        global_dot(x, y) / (global_norm(x) * global_norm(y)) <-> cosine_sim(x, y)
        minimum(1, y / global_norm(x)) * x <-> clip_by_global_norm(x, y)
        clip_by_global_norm(x, 1) <-> minimum(1, reciprocal(global_norm(x))) * x
        norm(y) * (x / maximum(norm(x), 1e-15)) <-> rescale(x, y)
        x / sqrt(maximum(mean(square(x)), 1e-36)) <-> normalize(x)
        x / sqrt(maximum(row_mean(square(x)), 1e-36)) <-> normalize_rows(x)
        x / sqrt(maximum(column_mean(square(x)), 1e-36)) <-> normalize_columns(x)
        normalize(newton_schulz(x / maximum(norm(x), 1e-15))) <-> orthogonalize(x)
        minimum(maximum(x, y), z) -> clip(x, y, z)
        clip(clip(x, y, z), y, z) -> clip(x, y, z)
        clip(-x, -y, y) -> -clip(x, -y, y) if nonneg(y)
    """,
    # What an oracle says at the weights is an input. Of others nothing is known but that the
    # Hessian is linear.
    "oracles": "\n".join(
        f"{row.name}(w) => {row.oracle.at_w}" for row in ORACLES if row.oracle.at_w
    )
    + """
        hvp(-x) -> -hvp(x)
        hvp(C * x) -> C * hvp(x)
        hvp(x) + hvp(y) -> hvp(x + y)
        hvp(x) - hvp(y) -> hvp(x - y)
    """,
}

# Exact laws that are for rewriting alone: simplification has them as facts or in another form.
EXACT = """
    x + C => x - -C if C < 0
    x - C => x + -C if C < 0
    abs(abs(x)) => abs(x)
    abs(square(x)) => square(x)
    abs(norm(x)) => norm(x)
    abs(global_norm(x)) => global_norm(x)
    abs(exp(x)) => exp(x)
"""

# What is known of a value: `fact(pattern) if facts`.
FACTS = """
    nonneg(abs(x))
    nonneg(square(x))
    nonneg(sqrt(x))
    nonneg(norm(x))
    nonneg(global_norm(x))
    nonneg(std(x))
    nonneg(less(x, y))
    nonneg(less_equal(x, y))
    nonneg(equal(x, y))
    nonneg(not_equal(x, y))
    nonneg(maximum(x, y)) if nonneg(x)
    nonneg(minimum(x, y)) if nonneg(x), nonneg(y)
    nonneg(x + y) if nonneg(x), nonneg(y)
    nonneg(x * y) if nonneg(x), nonneg(y)
    nonneg(x / y) if nonneg(x), nonneg(y)
    nonneg(mean(x)) if nonneg(x)
    nonneg(sum(x)) if nonneg(x)
    nonneg(row_mean(x)) if nonneg(x)
    nonneg(column_mean(x)) if nonneg(x)
    nonneg(row_max(x)) if nonneg(x)
    nonneg(column_max(x)) if nonneg(x)
    positive(exp(x))
    positive(exp2(x))
    positive(sigmoid(x))
    positive(x + y) if positive(x), nonneg(y)
    positive(x * y) if positive(x), positive(y)
    positive(x / y) if positive(x), positive(y)
    positive(reciprocal(x)) if positive(x)
    positive(sqrt(x)) if positive(x)
    positive(maximum(x, y)) if positive(x)
"""
