"""Rules that are evaluated at an average of their weights."""

from __future__ import annotations

from .adaptive import ADAMW
from .averaging import SCHEDULE_FREE_SGD
from .momentum import SGD
from .rule import KnownRule, Paper

EMA_ADAMW = KnownRule(
    text='''\
def ema_adamw(w, g, t, a=w, *, decay=0.999):
    """AdamW, evaluated at the average a of its weights (Morales-Brotons et al. 2024)."""
    u = adamw(w, g, t)
    a = lerp(w - u, a, decay)
    eval_w = a
    return u
''',
    paper=Paper(
        title="Exponential Moving Average of Weights in Deep Learning: Dynamics and Benefits",
        authors="Daniel Morales-Brotons, Thijs Vogels, Hadrien Hendrikx",
        year=2024,
        venue="Transactions on Machine Learning Research",
        arxiv="2411.18704",
    ),
    tier="1b",
    calls=(ADAMW,),
    caveat="The average starts at the first weights and is not corrected for it.",
)

SWA_SGD = KnownRule(
    text='''\
def swa_sgd(w, g, t, a=w, n=0, *, start=1000, every=100):
    """SGD, evaluated at the mean of its weights at every so many steps (Izmailov et al. 2018)."""
    u = sgd(w, g)
    take = minimum(t >= start, t % every == 0)
    a = where(take, lerp(w - u, a, n / (n + 1)), where(n == 0, w - u, a))
    n = n + take
    eval_w = a
    return u
''',
    paper=Paper(
        title="Averaging Weights Leads to Wider Optima and Better Generalization",
        authors="Pavel Izmailov, Dmitrii Podoprikhin, Timur Garipov, Dmitry Vetrov, "
        "Andrew Gordon Wilson",
        year=2018,
        venue="UAI 2018",
        arxiv="1803.05407",
    ),
    tier="1b",
    calls=(SGD,),
    caveat="The paper's learning rate is cyclical or large and constant, and batch statistics are "
    "computed anew at the mean.",
)

ASGD = KnownRule(
    text='''\
def asgd(w, g, t, a=w, *, lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6):
    """Averaged SGD (Polyak & Juditsky 1992) as in torch: steps that shrink, and their mean a."""
    eta = lr / (1 + lambd * lr * (t - 1))**alpha
    u = eta * (g + lambd * w)
    a = lerp(a, w - u, 1 / maximum(1, t - 1 - t0))
    eval_w = a
    return u
''',
    paper=Paper(
        title="Acceleration of Stochastic Approximation by Averaging",
        authors="Boris T. Polyak, Anatoli B. Juditsky",
        year=1992,
        venue="SIAM Journal on Control and Optimization 30(4)",
    ),
    tier="1b",
    caveat="torch's defaults, with which the mean starts after a million steps.",
)

SCHEDULE_FREE_RADAM = KnownRule(
    text='''\
def schedule_free_radam(
    w, g, t, z=w, v=0, lr_max=0, s=0, *, lr=0.0025, beta=0.9, b2=0.999, eps=1e-8
):
    """Schedule-Free RAdam (Defazio et al. 2024), which stands still while RAdam is not scaled.

    w is the point y, where the gradient is taken; x, which follows from y and z, is evaluated.
    """
    x = (w - (1 - beta) * z) / beta
    v = lerp(square(g), v, b2)
    v_hat = v / (1 - b2**t)
    rho_inf = 2 / (1 - b2) - 1
    rho = rho_inf - 2 * t * b2**t / (1 - b2**t)
    r = sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
    rate = where(rho > 4, lr * r, 0)
    z = z - rate * g / (sqrt(v_hat) + eps)
    lr_max = maximum(lr_max, rate)
    s = s + square(lr_max)
    c = square(lr_max) / maximum(s, 1e-30)
    x = (1 - c) * x + c * z
    y = (1 - beta) * z + beta * x
    eval_w = (y - (1 - beta) * z) / beta
    return w - y
''',
    paper=SCHEDULE_FREE_SGD.paper,
    tier="1b",
    caveat="Evaluate at x: the weights w are y. The threshold is the authors' 4, and they stand "
    "still below it (silent_sgd_phase).",
)

RULES = (EMA_ADAMW, SWA_SGD, ASGD, SCHEDULE_FREE_RADAM)
