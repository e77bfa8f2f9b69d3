"""Gradient descent and momentum (rows 1-3)."""

from __future__ import annotations

from .rule import KnownRule, Paper

SGD = KnownRule(
    text='''\
def sgd(w, g, *, lr=1e-2):
    """Stochastic gradient descent (Robbins & Monro 1951)."""
    return lr * g
''',
    paper=Paper(
        title="A Stochastic Approximation Method",
        authors="Herbert Robbins, Sutton Monro",
        year=1951,
        venue="Annals of Mathematical Statistics 22(3)",
    ),
    row=1,
    tier="1a",
    seeds=(0, 1, 2, 3),
)

MOMENTUM = KnownRule(
    text='''\
def momentum(w, g, b=0, *, lr=1e-2, mu=0.9):
    """Heavy ball (Polyak 1964), with b_1 = g_1 and no dampening."""
    b = mu * b + g
    return lr * b
''',
    paper=Paper(
        title="Some Methods of Speeding Up the Convergence of Iteration Methods",
        authors="Boris T. Polyak",
        year=1964,
        venue="USSR Computational Mathematics and Mathematical Physics 4(5)",
    ),
    row=2,
    tier="1a",
    seeds=(1, 2, 3),
    caveat="The gradient enters with weight 1, not 1 - mu: the step is 1 / (1 - mu) times an "
    "EMA's.",
)

NESTEROV = KnownRule(
    text='''\
def nesterov(w, g, b=0, *, lr=1e-2, mu=0.9):
    """Nesterov momentum (Sutskever et al. 2013), w being the point where g is taken."""
    b = mu * b + g
    return lr * (g + mu * b)
''',
    paper=Paper(
        title="On the Importance of Initialization and Momentum in Deep Learning",
        authors="Ilya Sutskever, James Martens, George Dahl, Geoffrey Hinton",
        year=2013,
        venue="ICML 2013",
    ),
    row=3,
    tier="1a",
    seeds=(0, 1),
    caveat="w is the look-ahead point; the paper's own iterate is w + lr * mu * b.",
)

RULES = (SGD, MOMENTUM, NESTEROV)
