"""Steps of one size in every coordinate (row 13)."""

from __future__ import annotations

from .rule import KnownRule, Paper

LION = KnownRule(
    text='''\
def lion(w, g, m=0, *, lr=1e-4, b1=0.9, b2=0.99, wd=0):
    """Lion (Chen et al. 2023, Program 1)."""
    u = sign(lerp(g, m, b1))
    m = lerp(g, m, b2)
    return lr * (u + wd * w)
''',
    paper=Paper(
        title="Symbolic Discovery of Optimization Algorithms",
        authors="Xiangning Chen, Chen Liang, Da Huang, Esteban Real, Kaiyuan Wang, Yao Liu, "
        "Hieu Pham, Xuanyi Dong, Thang Luong, Cho-Jui Hsieh, Yifeng Lu, Quoc V. Le",
        year=2023,
        venue="NeurIPS 2023",
        arxiv="2302.06675",
    ),
    row=13,
    tier="1a",
    seeds=(1,),
    caveat="optax's default wd is 1e-3; here it is 0, as in the official code.",
)

_SIGNSGD_PAPER = Paper(
    title="signSGD: Compressed Optimisation for Non-Convex Problems",
    authors="Jeremy Bernstein, Yu-Xiang Wang, Kamyar Azizzadenesheli, Anima Anandkumar",
    year=2018,
    venue="ICML 2018",
    arxiv="1802.04434",
)

SIGNSGD = KnownRule(
    text='''\
def signsgd(w, g, *, lr=1e-3):
    """signSGD (Bernstein et al. 2018, Algorithm 1)."""
    return lr * sign(g)
''',
    paper=_SIGNSGD_PAPER,
    tier="1a",
)

SIGNUM = KnownRule(
    text='''\
def signum(w, g, m=0, *, lr=1e-4, beta=0.9):
    """Signum (Bernstein et al. 2018, Algorithm 2): the sign of the momentum."""
    m = lerp(g, m, beta)
    return lr * sign(m)
''',
    paper=_SIGNSGD_PAPER,
    tier="1a",
)

TIGER = KnownRule(
    text='''\
def tiger(w, g, m=0, *, lr=1e-3, beta=0.965, wd=1e-2):
    """Tiger (Su 2023): Lion with one beta, which is Signum with weight decay."""
    m = lerp(g, m, beta)
    return lr * (sign(m) + wd * w)
''',
    paper=Paper(
        title="Tiger: A Tight-fisted Optimizer",
        authors="Jianlin Su",
        year=2023,
        venue="github.com/bojone/tiger",
    ),
    tier="1a",
    caveat="The author's code scales biases, norms and embeddings on their own.",
)

_SEARCH_PAPER = Paper(
    title="Neural Optimizer Search with Reinforcement Learning",
    authors="Irwan Bello, Barret Zoph, Vijay Vasudevan, Quoc V. Le",
    year=2017,
    venue="ICML 2017",
    arxiv="1709.07417",
)

POWERSIGN = KnownRule(
    text='''\
def powersign(w, g, t, T, m=0, *, lr=1e-2, beta=0.9):
    """PowerSign-ld (Bello et al. 2017): larger steps where g and its average agree in sign."""
    m = lerp(g, m, beta)
    f = 1 - t / T
    return lr * exp(f * sign(g) * sign(m)) * g
''',
    paper=_SEARCH_PAPER,
    tier="1a",
    caveat="With the linear decay f; the paper also has none, and cosines.",
)

ADDSIGN = KnownRule(
    text='''\
def addsign(w, g, t, T, m=0, *, lr=1e-2, beta=0.9):
    """AddSign-ld (Bello et al. 2017): larger steps where g and its average agree in sign."""
    m = lerp(g, m, beta)
    f = 1 - t / T
    return lr * (1 + f * sign(g) * sign(m)) * g
''',
    paper=_SEARCH_PAPER,
    tier="1a",
    caveat="With the linear decay f; the paper also has none, and cosines.",
)

RPROP = KnownRule(
    text='''\
def rprop(
    w, g, t, d=0, p=0, *, lr=1e-2, eta_minus=0.5, eta_plus=1.2, d_min=1e-6, d_max=50
):
    """Rprop (Riedmiller & Braun 1993), without backtracking: d grows while the sign of g lasts.

    lr is the first d. Where the sign changes, no step is taken and p forgets it.
    """
    d = where(t == 1, lr, d)
    s = g * p
    d = clip(d * where(s > 0, eta_plus, where(s < 0, eta_minus, 1)), d_min, d_max)
    p = where(s < 0, 0, g)
    return d * sign(p)
''',
    paper=Paper(
        title="A Direct Adaptive Method for Faster Backpropagation Learning: The RPROP Algorithm",
        authors="Martin Riedmiller, Heinrich Braun",
        year=1993,
        venue="IEEE International Conference on Neural Networks",
    ),
    tier="1a",
    caveat="torch's form, made for full batches; lr only matters at the first step. Optax applies "
    "the step of the iteration before, unless the sign has changed since.",
)

RULES = (
    LION,
    SIGNSGD,
    SIGNUM,
    TIGER,
    POWERSIGN,
    ADDSIGN,
    RPROP,
)
