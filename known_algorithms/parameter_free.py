"""Step sizes that are estimated from the way walked, from coin bets or from the loss."""

from __future__ import annotations

from .rule import KnownRule, Paper

PRODIGY = KnownRule(
    text='''\
def prodigy(w, g, t, w0=w, m=0, v=0, s=0, r=0, d=1e-6, *, lr=1, b1=0.9, b2=0.999, eps=1e-8, wd=0):
    """Prodigy (Mishchenko & Defazio 2024, Algorithm 4): d grows to the distance to the solution."""
    rate = d * lr * sqrt(1 - b2**t) / (1 - b1**t)
    m = lerp(d * g, m, b1)
    v = lerp(square(d * g), v, b2)
    s = sqrt(b2) * s + rate * d * g
    r = sqrt(b2) * r + rate * d * global_dot(g, w0 - w)
    total = global_sum(abs(s))
    d = where(total > 0, maximum(d, r / total), d)
    return rate * (m / (sqrt(v) + d * eps) + wd * w)
''',
    paper=Paper(
        title="Prodigy: An Expeditiously Adaptive Parameter-Free Learner",
        authors="Konstantin Mishchenko, Aaron Defazio",
        year=2024,
        venue="ICML 2024",
        arxiv="2306.06101",
    ),
    tier="2",
    caveat="Optax's form: lr is meant to stay at 1 but for a schedule. The authors' code divides s "
    "and r by the first d, which cancels. While all gradients are 0, d stays (Optax: NaN).",
)

DADAPT_ADAMW = KnownRule(
    text='''\
def dadapt_adamw(w, g, t, m=0, v=0, s=0, r=0, d=1e-6, *, lr=1, b1=0.9, b2=0.999, eps=1e-8, wd=0):
    """D-Adaptation of AdamW (Defazio & Mishchenko 2023, Algorithm 5)."""
    q = sqrt(b2)
    rate = d * lr * sqrt(1 - b2**t) / (1 - b1**t)
    r = lerp(rate * global_dot(g, s / (sqrt(v) + eps)), r, q)
    m = lerp(rate * g, m, b1)
    v = lerp(square(g), v, b2)
    s = lerp(rate * g, s, q)
    total = (1 - q) * global_sum(abs(s))
    d = where(total > 0, maximum(d, r / total), d)
    return m / (sqrt(v) + eps) + rate * wd * w
''',
    paper=Paper(
        title="Learning-Rate-Free Learning by D-Adaptation",
        authors="Aaron Defazio, Konstantin Mishchenko",
        year=2023,
        venue="ICML 2023",
        arxiv="2301.07733",
    ),
    tier="2",
    caveat="lr is meant to stay at 1 but for a schedule. While all gradients are 0, d stays (in "
    "Optax it is NaN).",
)

DOG = KnownRule(
    text='''\
def dog(w, g, t, w0=w, r=0, s=0, *, lr=1, r_eps=1e-6, eps=1e-8):
    """DoG (Ivgi et al. 2023): the step is the farthest way from w0 over the root of all squares."""
    r = where(t == 1, r_eps * (1 + global_norm(w)), r)
    r = maximum(r, global_norm(w0 - w))
    s = s + square(global_norm(g))
    return lr * r * g / sqrt(s + eps)
''',
    paper=Paper(
        title="DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size Schedule",
        authors="Maor Ivgi, Oliver Hinder, Yair Carmon",
        year=2023,
        venue="ICML 2023",
        arxiv="2302.12022",
    ),
    tier="2",
    caveat="The authors evaluate an average of the weights, which is left out here.",
)

DOWG = KnownRule(
    text='''\
def dowg(w, g, w0=w, r=1e-4, s=0, *, lr=1, eps=1e-4):
    """DoWG (Khaled et al. 2023, Algorithm 1): as DoG, with squares weighted by r, a squared way."""
    r = maximum(r, square(global_norm(w0 - w)))
    s = s + r * square(global_norm(g))
    return lr * r * g / (sqrt(s) + eps)
''',
    paper=Paper(
        title="DoWG Unleashed: An Efficient Universal Parameter-Free Gradient Descent Method",
        authors="Ahmed Khaled, Konstantin Mishchenko, Chi Jin",
        year=2023,
        venue="NeurIPS 2023",
        arxiv="2305.16284",
    ),
    tier="2",
    caveat="The first squared way and eps are Optax's.",
)

COCOB = KnownRule(
    text='''\
def cocob(w, g, w0=w, L=1e-8, G=0, R=0, C=0, *, alpha=100):
    """COCOB-Backprop (Orabona & Tommasi 2017, Algorithm 2): each coordinate bets on its gradient.

    L is the largest gradient so far, G their sum, R the reward, C the sum with its sign.
    """
    L = maximum(L, abs(g))
    G = G + abs(g)
    R = maximum(R - g * (w - w0), 0)
    C = C + g
    return w - w0 + C / (L * maximum(G + L, alpha * L)) * (L + R)
''',
    paper=Paper(
        title="Training Deep Networks without Learning Rates Through Coin Betting",
        authors="Francesco Orabona, Tatiana Tommasi",
        year=2017,
        venue="NeurIPS 2017",
        arxiv="1705.07795",
    ),
    tier="1b",
    caveat="It has no learning rate. In Optax one scales the gradient, which cancels while it is "
    "constant.",
)

POLYAK_SGD = KnownRule(
    text='''\
def polyak_sgd(w, g, loss, *, lr=1, f_min=0):
    """Stochastic Polyak step size (Loizou et al. 2021), at most lr; f_min is the least loss."""
    n = square(global_norm(g))
    return where(n > 0, minimum((loss - f_min) / n, lr), 0) * g
''',
    paper=Paper(
        title="Stochastic Polyak Step-size for SGD: An Adaptive Learning Rate for Fast Convergence",
        authors="Nicolas Loizou, Sharan Vaswani, Issam Laradji, Simon Lacoste-Julien",
        year=2021,
        venue="AISTATS 2021",
        arxiv="2002.10542",
    ),
    tier="2",
    caveat="The paper divides by a further constant c, here 1. Below f_min the step is an ascent.",
)

_MOMO_PAPER = Paper(
    title="MoMo: Momentum Models for Adaptive Learning Rates",
    authors="Fabian Schaipp, Ruben Ohana, Michael Eickenberg, Aaron Defazio, Robert M. Gower",
    year=2024,
    venue="ICML 2024",
    arxiv="2305.07583",
)

MOMO = KnownRule(
    text='''\
def momo(w, g, t, loss, m=0, f=0, q=0, *, lr=1, beta=0.9, f_min=0, wd=0):
    """MoMo (Schaipp et al. 2024, Algorithm 1): a Polyak step on a model of past losses, at most lr.

    All averages start at their first values.
    """
    b = where(t == 1, 0, beta)
    f = lerp(loss, f, b)
    m = lerp(g, m, b)
    q = lerp(global_dot(g, w), q, b)
    n = square(global_norm(m))
    h = maximum((1 + lr * wd) * (f - f_min - q) + global_dot(m, w), 0)
    tau = where(n > 0, minimum(lr, h / n), 0)
    return lr * wd / (1 + lr * wd) * w + tau * m
''',
    paper=_MOMO_PAPER,
    tier="2",
    caveat="The lower bound f_min is fixed; the paper can also estimate it.",
)

MOMO_ADAM = KnownRule(
    text='''\
def momo_adam(
    w, g, t, loss, m=0, v=0, f=0, q=0, *, lr=1e-2, b1=0.9, b2=0.999, eps=1e-8, f_min=0, wd=0
):
    """MoMo-Adam (Schaipp et al. 2024, Algorithm 2): MoMo in Adam's metric D."""
    f = lerp(loss, f, b1)
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    q = lerp(global_dot(g, w), q, b1)
    D = eps + sqrt(v / (1 - b2**t))
    n = global_dot(m, m / D)
    c = 1 - b1**t
    h = maximum((1 + lr * wd) * (f - c * f_min - q) + global_dot(m, w), 0)
    tau = where(n > 0, minimum(lr / c, h / n), 0)
    return lr * wd / (1 + lr * wd) * w + tau * m / D
''',
    paper=_MOMO_PAPER,
    tier="2",
    caveat="The lower bound f_min is fixed; the paper can also estimate it.",
)

RULES = (PRODIGY, DADAPT_ADAMW, DOG, DOWG, COCOB, POLYAK_SGD, MOMO, MOMO_ADAM)
