"""Rules for games and online learning, where plain gradient steps cycle (rows 14, 15, 18, 19, 34).

`role` is 1 for the tensors of the minimizing player and -1 for the other's.
"""

from __future__ import annotations

from .rule import KnownRule, Paper

OPTIMISTIC_GD = KnownRule(
    text='''\
def optimistic_gd(w, g, t, g_old=0, *, lr=1e-2):
    """Optimistic gradient descent (Popov 1980; Daskalakis et al. 2018), with g_0 = g_1."""
    u = 2 * g - where(t == 1, g, g_old)
    g_old = g
    return lr * u
''',
    paper=Paper(
        title="Training GANs with Optimism",
        authors="Constantinos Daskalakis, Andrew Ilyas, Vasilis Syrgkanis, Haoyang Zeng",
        year=2018,
        venue="ICLR 2018",
        arxiv="1711.00141",
    ),
    row=14,
    tier="1a",
    seeds=(2,),
    caveat="The unconstrained one-call form of optimistic mirror descent (optimistic_omd).",
)

GDA = KnownRule(
    text='''\
def gda(w, g, role, *, lr=1e-2):
    """Simultaneous gradient descent-ascent (Arrow, Hurwicz & Uzawa 1958)."""
    return lr * role * g
''',
    paper=Paper(
        title="Studies in Linear and Non-Linear Programming",
        authors="Kenneth J. Arrow, Leonid Hurwicz, Hirofumi Uzawa",
        year=1958,
        venue="Stanford University Press",
    ),
    row=15,
    tier="1a",
    seeds=(0,),
    caveat="Where no game is played every role is 1 and this is gradient descent.",
)

_INTERPOLATION_PAPER = Paper(
    title="Stable Nonconvex-Nonconcave Training via Linear Interpolation",
    authors="Thomas Pethick, Wanyun Xie, Volkan Cevher",
    year=2023,
    venue="NeurIPS 2023",
    arxiv="2310.13459",
)

LOOKAHEAD_GDA = KnownRule(
    text='''\
def lookahead_gda(w, g, t, role, z=w, *, lr=1e-2, k=5, alpha=0.5):
    """LA-GDA (Pethick et al. 2023): k steps of descent-ascent from z, then z moves part of the way.

    alpha is the paper's lambda; z is evaluated.
    """
    u = gda(w, g, role)
    w_next = w - u
    z = where(t % k == 0, lerp(z, w_next, alpha), z)
    eval_w = z
    return w - where(t % k == 0, z, w_next)
''',
    paper=_INTERPOLATION_PAPER,
    row=18,
    tier="1b",
    seeds=(0,),
    calls=(GDA,),
)

RAPP = KnownRule(
    text='''\
def rapp(w, g, t, role, z=w, *, lr=1e-2, k=3, alpha=0.9):
    """RAPP (Pethick et al. 2023): a proximal point by k steps anchored at z, then z moves.

    alpha is the paper's lambda; z is evaluated.
    """
    w_next = z - lr * role * g
    z = where(t % k == 0, lerp(z, w_next, alpha), z)
    eval_w = z
    return w - where(t % k == 0, z, w_next)
''',
    paper=_INTERPOLATION_PAPER,
    row=19,
    tier="1b",
    seeds=(0,),
    caveat="Every inner step starts at the anchor z, not at the point before it as in LA-GDA. k "
    "and alpha are those of the official README.",
)

OPTIMISTIC_OMD = KnownRule(
    text='''\
def optimistic_omd(w, g, t, x_hat=w, M=0, s=0, *, D=10, G=1, delta=1):
    """Optimistic online mirror descent, Euclidean (Chen et al. 2023), with the hints M_t = g_(t-1).

    w is the point played. All points lie in the ball of diameter D about the origin.
    """
    x_hat = where(t == 1, clip_by_global_norm(w, D / 2), x_hat)
    eta = D / sqrt(delta + 4 * square(G) + s)
    x_hat = clip_by_global_norm(x_hat - eta * g, D / 2)
    s = s + square(global_norm(g - M))
    M = g
    eta = D / sqrt(delta + 4 * square(G) + s)
    x = clip_by_global_norm(x_hat - eta * M, D / 2)
    return w - x
''',
    paper=Paper(
        title="Optimistic Online Mirror Descent for Bridging Stochastic and Adversarial Online "
        "Convex Optimization",
        authors="Sijia Chen, Yu-Jie Zhang, Wei-Wei Tu, Peng Zhao, Lijun Zhang",
        year=2023,
        venue="Journal of Machine Learning Research 25 (2024)",
        arxiv="2302.04552",
    ),
    row=34,
    tier="2",
    seeds=(2,),
    caveat="No learning rate: eta follows from D and from how wrong the hints were. Derived from "
    "the equations; no code was found.",
)

RULES = (OPTIMISTIC_GD, GDA, LOOKAHEAD_GDA, RAPP, OPTIMISTIC_OMD)
