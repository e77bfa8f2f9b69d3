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

QHM = KnownRule(
    text='''\
def qhm(w, g, m=0, *, lr=1e-2, beta=0.9, nu=0.7):
    """Quasi-hyperbolic momentum (Ma & Yarats 2019, Section 3): the gradient beside its average."""
    m = lerp(g, m, beta)
    return lr * lerp(g, m, nu)
''',
    paper=Paper(
        title="Quasi-Hyperbolic Momentum and Adam for Deep Learning",
        authors="Jerry Ma, Denis Yarats",
        year=2019,
        venue="ICLR 2019",
        arxiv="1810.06801",
    ),
    tier="1a",
    caveat="The authors recommend beta = 0.999 at a rate ten times momentum's.",
)

AGGMO = KnownRule(
    text='''\
def aggmo(w, g, a=0, b=0, c=0, *, lr=1e-2, b1=0, b2=0.9, b3=0.99):
    """Aggregated momentum (Lucas et al. 2019): the mean of three momenta."""
    a = b1 * a + g
    b = b2 * b + g
    c = b3 * c + g
    return lr / 3 * (a + b + c)
''',
    paper=Paper(
        title="Aggregated Momentum: Stability Through Passive Damping",
        authors="James Lucas, Shengyang Sun, Richard Zemel, Roger Grosse",
        year=2019,
        venue="ICLR 2019",
        arxiv="1804.00325",
    ),
    tier="1a",
)

RULES = (
    SGD,
    MOMENTUM,
    NESTEROV,
    QHM,
    AGGMO,
)
