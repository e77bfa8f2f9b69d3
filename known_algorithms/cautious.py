"""Steps, or weight decay, that are taken only where two signs agree."""

from __future__ import annotations

from .adaptive import ADAM
from .rule import KnownRule, Paper

_CAUTIOUS_PAPER = Paper(
    title="Cautious Optimizers: Improving Training with One Line of Code",
    authors="Kaizhao Liang, Lizhang Chen, Bo Liu, Qiang Liu",
    year=2024,
    venue="arXiv",
    arxiv="2411.16085",
)

CAUTIOUS_ADAMW = KnownRule(
    text='''\
def cautious_adamw(w, g, t, m=0, v=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-6, wd=0):
    """Cautious AdamW (Liang et al. 2024, Algorithm 1): no step where momentum and g disagree.

    What remains is scaled up by the share of the tensor that remains.
    """
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    mask = m * g > 0
    mask = mask / maximum(mean(mask), 1e-3)
    return lr * (mask * m_hat / (sqrt(v_hat) + eps) + wd * w)
''',
    paper=_CAUTIOUS_PAPER,
    tier="2",
    caveat="The authors' code divides by the mask's mean, at least 1e-3; the paper and "
    "pytorch_optimizer by (its sum + 1) / size.",
)

CAUTIOUS_LION = KnownRule(
    text='''\
def cautious_lion(w, g, m=0, *, lr=1e-4, b1=0.9, b2=0.99, wd=0):
    """Cautious Lion (Liang et al. 2024): no step where it and g disagree."""
    u = sign(lerp(g, m, b1))
    m = lerp(g, m, b2)
    mask = u * g > 0
    mask = mask / maximum(mean(mask), 1e-3)
    return lr * (mask * u + wd * w)
''',
    paper=_CAUTIOUS_PAPER,
    tier="2",
    caveat="The authors' code divides by the mask's mean, at least 1e-3; the paper and "
    "pytorch_optimizer by (its sum + 1) / size.",
)

CAUTIOUS_WEIGHT_DECAY_ADAMW = KnownRule(
    text='''\
def cautious_weight_decay_adamw(w, g, t, *, lr=1e-3, wd=1e-2):
    """AdamW with cautious weight decay (Chen et al. 2025): where step and weight agree."""
    u = adam(w, g, t)
    return u + lr * wd * w * (u * w >= 0)
''',
    paper=Paper(
        title="Cautious Weight Decay",
        authors="Lizhang Chen, Jonathan Li, Kaizhao Liang, Baiyu Su, Cong Xie, Nuo Wang Pierse, "
        "Chen Liang, Ni Lao, Qiang Liu",
        year=2025,
        venue="arXiv",
        arxiv="2510.12402",
    ),
    tier="1a",
    calls=(ADAM,),
)

GRAMS = KnownRule(
    text='''\
def grams(w, g, t, m=0, v=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-6, wd=0):
    """Grams (Cao et al. 2024, Algorithm 1): the size of Adam's step, with the sign of g."""
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    u = abs(m_hat / (sqrt(v_hat) + eps))
    return lr * (u * sign(g) + wd * w)
''',
    paper=Paper(
        title="Grams: Gradient Descent with Adaptive Momentum Scaling",
        authors="Yang Cao, Xiaoyu Li, Zhao Song",
        year=2024,
        venue="arXiv",
        arxiv="2412.17107",
    ),
    tier="1a",
)

ADAMC = KnownRule(
    text='''\
def adamc(w, g, t, lr_max=0, *, lr=1e-3, wd=1e-2):
    """AdamC (Defazio 2025): the weight decay follows the square of the learning rate's schedule.

    At a constant lr this is AdamW.
    """
    lr_max = maximum(lr_max, lr)
    u = adam(w, g, t)
    return u + square(lr) / maximum(lr_max, 1e-30) * wd * w
''',
    paper=Paper(
        title="Why Gradients Rapidly Increase Near the End of Training",
        authors="Aaron Defazio",
        year=2025,
        venue="arXiv",
        arxiv="2506.02285",
    ),
    tier="1a",
    calls=(ADAM,),
    caveat="The paper corrects normalized layers alone, which a rule cannot tell apart. The "
    "largest rate so far stands for the schedule's.",
)

RULES = (CAUTIOUS_ADAMW, CAUTIOUS_LION, CAUTIOUS_WEIGHT_DECAY_ADAMW, GRAMS, ADAMC)
