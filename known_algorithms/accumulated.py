"""Steps from sums or differences over many gradients: dual averaging, quasi-Newton, memory."""

from __future__ import annotations

from .rule import KnownRule, Paper

MADGRAD = KnownRule(
    text='''\
def madgrad(w, g, t, w0=w, s=0, v=0, *, lr=1e-2, mu=0.9, eps=1e-6):
    """MADGRAD (Defazio & Jelassi 2022, Algorithm 1): dual averaging by the cube root of squares."""
    c = (lr + eps) * sqrt(t)
    s = s + c * g
    v = v + c * square(g)
    z = w0 - s / (cbrt(v) + eps)
    return (1 - mu) * (w - z)
''',
    paper=Paper(
        title="Adaptivity without Compromise: A Momentumized, Adaptive, Dual Averaged Gradient "
        "Method for Stochastic Optimization",
        authors="Aaron Defazio, Samy Jelassi",
        year=2022,
        venue="Journal of Machine Learning Research 23",
        arxiv="2101.11075",
    ),
    tier="1b",
    caveat="eps is added to lr as well, as in the official code, so that a rate of 0 still moves a "
    "little. Optax takes the root of the step in float32.",
)

LBFGS = KnownRule(
    text='''\
def lbfgs(w, g, t, w1=0, g1=0, a=0, b=0, c=0, d=0, *, lr=1):
    """L-BFGS (Liu & Nocedal 1989, Algorithm 2.1) with two pairs and no line search.

    a and b are the last changes of weights and gradient, c and d those before.
    """
    c = where(t > 2, a, 0)
    d = where(t > 2, b, 0)
    a = where(t > 1, w - w1, 0)
    b = where(t > 1, g - g1, 0)
    w1 = w
    g1 = g
    ab = global_dot(a, b)
    cd = global_dot(c, d)
    p = where(ab == 0, 0, 1 / ab)
    q = where(cd == 0, 0, 1 / cd)
    x = p * global_dot(a, g)
    r = g - x * b
    y = q * global_dot(c, r)
    r = r - y * d
    first = minimum(1, 1 / global_norm(g))
    r = where(t == 1, first, where(ab == 0, 1, ab / square(global_norm(b)))) * r
    r = r + (y - q * global_dot(d, r)) * c
    r = r + (x - p * global_dot(b, r)) * a
    return lr * r
''',
    paper=Paper(
        title="On the Limited Memory BFGS Method for Large Scale Optimization",
        authors="Dong C. Liu, Jorge Nocedal",
        year=1989,
        venue="Mathematical Programming 45",
    ),
    tier="2",
    caveat="Without a line search lr matters, and noise in the gradients can make it diverge. The "
    "usual memory is 5 to 20 pairs.",
)

MEM_SGD = KnownRule(
    text='''\
def mem_sgd(w, g, e=0, *, lr=1e-2, keep=0.25):
    """Top-k with error feedback (Stich et al. 2018): the largest numbers; the rest waits."""
    x = g + e
    n = size(w)
    k = keep * n + (0 - keep * n) % 1
    least = quantile(abs(x), clip((n - k - 0.5) / maximum(n - 1, 1), 0, 1))
    c = where(abs(x) >= least, x, 0)
    e = x - c
    return lr * c
''',
    paper=Paper(
        title="Sparsified SGD with Memory",
        authors="Sebastian U. Stich, Jean-Baptiste Cordonnier, Martin Jaggi",
        year=2018,
        venue="NeurIPS 2018",
        arxiv="1809.07599",
    ),
    tier="2",
    caveat="One worker. A share of each tensor is sent, the next whole number; the level of the "
    "quantile lies half-way between two numbers, so that rounding cannot change how many.",
)

RULES = (MADGRAD, LBFGS, MEM_SGD)
