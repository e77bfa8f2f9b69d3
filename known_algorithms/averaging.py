"""Averages of iterates, at every step or every k steps (rows 16, 17, 20-22)."""

from __future__ import annotations

from .adaptive import ADAM, ADAMW
from .momentum import SGD
from .rule import KnownRule, Paper

_LOOKAHEAD_PAPER = Paper(
    title="Lookahead Optimizer: k Steps Forward, 1 Step Back",
    authors="Michael R. Zhang, James Lucas, Geoffrey Hinton, Jimmy Ba",
    year=2019,
    venue="NeurIPS 2019",
    arxiv="1907.08610",
)

LOOKAHEAD_SGD = KnownRule(
    text='''\
def lookahead_sgd(w, g, t, phi=w, *, k=5, alpha=0.5):
    """Lookahead (Zhang et al. 2019, Algorithm 1) over SGD; the slow weights phi are evaluated."""
    u = sgd(w, g)
    theta = w - u
    phi = where(t % k == 0, phi + alpha * (theta - phi), phi)
    eval_w = phi
    return w - where(t % k == 0, phi, theta)
''',
    paper=_LOOKAHEAD_PAPER,
    row=16,
    tier="1b",
    seeds=(0,),
    calls=(SGD,),
)

LOOKAHEAD_ADAMW = KnownRule(
    text='''\
def lookahead_adamw(w, g, t, phi=w, *, k=5, alpha=0.5):
    """Lookahead (Zhang et al. 2019, Algorithm 1) over AdamW; the slow weights phi are evaluated."""
    u = adamw(w, g, t)
    theta = w - u
    phi = where(t % k == 0, phi + alpha * (theta - phi), phi)
    eval_w = phi
    return w - where(t % k == 0, phi, theta)
''',
    paper=_LOOKAHEAD_PAPER,
    row=16,
    tier="1b",
    seeds=(0,),
    calls=(ADAMW,),
    caveat="The inner optimizer's state is kept when the fast weights return to the slow ones.",
)

DILOCO_ADAMW = KnownRule(
    text='''\
def diloco_adamw(w, g, t, phi=w, b=0, *, k=5, outer_lr=0.7, mu=0.9):
    """DiLoCo (Douillard et al. 2023) with one worker: AdamW inside, Nesterov momentum outside.

    Every k steps the way walked since phi is the gradient of the outer step from phi.
    """
    u = adamw(w, g, t)
    theta = w - u
    s = phi - theta
    b = where(t % k == 0, mu * b + s, b)
    phi = where(t % k == 0, phi - outer_lr * (s + mu * b), phi)
    return w - where(t % k == 0, phi, theta)
''',
    paper=Paper(
        title="DiLoCo: Distributed Low-Communication Training of Language Models",
        authors="Arthur Douillard, Qixuan Feng, Andrei A. Rusu, Rachita Chhaparia, Yani Donchev, "
        "Adhiguna Kuncoro, Marc'Aurelio Ranzato, Arthur Szlam, Jiajun Shen",
        year=2023,
        venue="arXiv",
        arxiv="2311.08105",
    ),
    row=17,
    tier="1b",
    seeds=(0,),
    calls=(ADAMW,),
    caveat="With mu = 0 this is Lookahead. The paper's runs are longer and so is its k (its H).",
)

_GPA_PAPER = Paper(
    title="Smoothing DiLoCo with Primal Averaging for Faster Training of LLMs",
    authors="Aaron Defazio, Konstantin Mishchenko, Parameswaran Raman, Hao-Jun Michael Shi, "
    "Lin Xiao",
    year=2025,
    venue="arXiv",
    arxiv="2512.17131",
)

PRIMAL_AVERAGING = KnownRule(
    text='''\
def primal_averaging(w, g, z=w, *, lr=1e-2, mu=0.9):
    """Nesterov's method in its primal averaging form (Defazio et al. 2025).

    w is the point y, where the gradient is taken; x, which follows from y and z, is evaluated.
    """
    x = (w - (1 - mu) * z) / mu
    z = z - lr * g
    x = mu * x + (1 - mu) * z
    y = mu * x + (1 - mu) * z
    eval_w = (y - (1 - mu) * z) / mu
    return w - y
''',
    paper=_GPA_PAPER,
    row=20,
    tier="1b",
    seeds=(0,),
    caveat="y moves as Nesterov momentum does with the learning rate (1 - mu) * lr.",
)

_SCHEDULE_FREE_PAPER = Paper(
    title="The Road Less Scheduled",
    authors="Aaron Defazio, Xingyu Alice Yang, Harsh Mehta, Konstantin Mishchenko, Ahmed Khaled, "
    "Ashok Cutkosky",
    year=2024,
    venue="NeurIPS 2024",
    arxiv="2405.15682",
)

SCHEDULE_FREE_SGD = KnownRule(
    text='''\
def schedule_free_sgd(w, g, z=w, lr_max=0, s=0, *, lr=1, beta=0.9, wd=0):
    """Schedule-Free SGD (Defazio et al. 2024).

    w is the point y, where the gradient is taken; x, which follows from y and z, is evaluated.
    At a constant lr, c is 1 / t. While lr has been 0 from the start, nothing moves.
    """
    x = (w - (1 - beta) * z) / beta
    z = z - lr * (g + wd * w)
    lr_max = maximum(lr_max, lr)
    s = s + square(lr_max)
    c = square(lr_max) / maximum(s, 1e-30)
    x = (1 - c) * x + c * z
    y = (1 - beta) * z + beta * x
    eval_w = (y - (1 - beta) * z) / beta
    return w - y
''',
    paper=_SCHEDULE_FREE_PAPER,
    row=21,
    tier="1b",
    seeds=(0,),
    caveat="Evaluate at x: the weights w are y. The weight decay is taken at y.",
)

SCHEDULE_FREE_ADAMW = KnownRule(
    text='''\
def schedule_free_adamw(
    w, g, t, z=w, v=0, lr_max=0, s=0, *, lr=0.0025, beta=0.9, b2=0.999, eps=1e-8, wd=0
):
    """Schedule-Free AdamW (Defazio et al. 2024, Algorithm 1).

    w is the point y, where the gradient is taken; x, which follows from y and z, is evaluated.
    At a constant lr, c is 1 / t. While lr has been 0 from the start, nothing moves.
    """
    x = (w - (1 - beta) * z) / beta
    v = lerp(square(g), v, b2)
    v_hat = v / (1 - b2**t)
    z = z - lr * (g / (sqrt(v_hat) + eps) + wd * w)
    lr_max = maximum(lr_max, lr)
    s = s + square(lr_max)
    c = square(lr_max) / maximum(s, 1e-30)
    x = (1 - c) * x + c * z
    y = (1 - beta) * z + beta * x
    eval_w = (y - (1 - beta) * z) / beta
    return w - y
''',
    paper=_SCHEDULE_FREE_PAPER,
    row=21,
    tier="1b",
    seeds=(0,),
    caveat="The bias is corrected inside the denominator, as in the official code; the paper "
    "corrects the learning rate, which also changes the weights c.",
)

GPA_ADAMW = KnownRule(
    text='''\
def gpa_adamw(w, g, t, z=w, *, lr=1e-3, wd=0, mu_y=0.7, mu_x=0.9967):
    """Generalized primal averaging over AdamW (Defazio et al. 2025).

    w is the point y, where the gradient is taken; x, which follows from y and z, is evaluated.
    """
    x = (w - (1 - mu_y) * z) / mu_y
    u = adam(w, g, t)
    z = (1 - lr * wd) * z - u
    x = mu_x * x + (1 - mu_x) * z
    y = mu_y * x + (1 - mu_y) * z
    eval_w = (y - (1 - mu_y) * z) / mu_y
    return w - y
''',
    paper=_GPA_PAPER,
    row=22,
    tier="1b",
    seeds=(0,),
    calls=(ADAM,),
    caveat="With wd > 0 the official code lets y keep part of the unshrunk z, which is not the "
    "paper's rule; the two agree at wd = 0.",
)

RULES = (
    LOOKAHEAD_SGD,
    LOOKAHEAD_ADAMW,
    DILOCO_ADAMW,
    PRIMAL_AVERAGING,
    SCHEDULE_FREE_SGD,
    SCHEDULE_FREE_ADAMW,
    GPA_ADAMW,
)
