"""Adaptive rules whose second moments are few numbers: of rows and columns, or of tensors."""

from __future__ import annotations

from .rule import KnownRule, Paper

SM3 = KnownRule(
    text='''\
def sm3(w, g, R=0, C=0, m=0, *, lr=0.1, b1=0.9, eps=1e-8):
    """SM3-II (Anil et al. 2019): AdaGrad's sums, bounded by the largest of a row or column."""
    a = where(ndim(w) < 2, R, minimum(R, C)) + square(g)
    R = row_max(a)
    C = column_max(a)
    m = lerp(where(a > 0, g / sqrt(a + eps), 0), m, b1)
    return lr * m
''',
    paper=Paper(
        title="Memory-Efficient Adaptive Optimization",
        authors="Rohan Anil, Vineet Gupta, Tomer Koren, Yoram Singer",
        year=2019,
        venue="NeurIPS 2019",
        arxiv="1901.11150",
    ),
    tier="2",
    caveat="A kernel's rows and columns are along its last two axes; the paper has a cover for "
    "each axis. eps is Optax's, whose sm3 refuses tensors without axes.",
)

AMOS = KnownRule(
    text='''\
def amos(w, g, t, v=0, d=0, *, lr=1e-3, beta=0.999, eps=1e-18):
    """Amos (Tian & Parikh 2022) without momentum: the decay of weights and rates by theory.

    v and d are a number per tensor; a tensor's expected scale is from its columns.
    """
    s = where(ndim(w) >= 2, sqrt(2 / columns(w)), 0.5)
    r = mean(square(g))
    v = lerp(r, v, beta)
    h = (1 - beta**t) / (v + eps)
    c = square(lr) * h * r / sqrt(1 + 0.25 * sqrt(lr) * d)
    u = (c / 2 * w + lr * s * sqrt(h) * g) / (1 + 0.25 * sqrt(lr * s) * d)
    d = (1 + c) * d + c
    return u
''',
    paper=Paper(
        title="Amos: An Adam-style Optimizer with Adaptive Weight Decay towards Model-Oriented "
        "Scale",
        authors="Ran Tian, Ankur P. Parikh",
        year=2022,
        venue="arXiv",
        arxiv="2210.11693",
    ),
    tier="2",
    caveat="The paper has a v for each row or column and scales by layer; these are "
    "pytorch_optimizer's, which takes a kernel's columns from its second axis alone.",
)

RULES = (SM3, AMOS)
