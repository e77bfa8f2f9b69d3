"""Adam with another momentum: what stands above the root."""

from __future__ import annotations

from .adaptive import ADAMW
from .rule import KnownRule, Paper

_NADAM_PAPER = Paper(
    title="Incorporating Nesterov Momentum into Adam",
    authors="Timothy Dozat",
    year=2016,
    venue="ICLR 2016, workshop track",
)

NADAM = KnownRule(
    text='''\
def nadam(w, g, t, m=0, v=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8):
    """NAdam (Dozat 2016) with a constant b1, as in Optax."""
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    u = b1 * m / (1 - b1**(t + 1)) + (1 - b1) * g / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return lr * u / (sqrt(v_hat) + eps)
''',
    paper=_NADAM_PAPER,
    tier="1a",
    caveat="torch's NAdam has the paper's schedule of b1 (nadam_torch).",
)

NADAM_TORCH = KnownRule(
    text='''\
def nadam_torch(w, g, t, m=0, v=0, p=1, *, lr=2e-3, b1=0.9, b2=0.999, eps=1e-8, psi=4e-3):
    """NAdam (Dozat 2016) with the schedule of b1; p is the product of all mu so far."""
    mu = b1 * (1 - 0.5 * 0.96**(t * psi))
    mu_next = b1 * (1 - 0.5 * 0.96**((t + 1) * psi))
    p = mu * p
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    u = (1 - mu) * g / (1 - p) + mu_next * m / (1 - mu_next * p)
    v_hat = v / (1 - b2**t)
    return lr * u / (sqrt(v_hat) + eps)
''',
    paper=_NADAM_PAPER,
    tier="1a",
    caveat="torch's form; Optax has a constant b1 (nadam). m itself decays by b1, not by mu.",
)

ADEMAMIX = KnownRule(
    text='''\
def ademamix(
    w, g, t, m1=0, m2=0, v=0, *, lr=1e-3, b1=0.9, b2=0.999, b3=0.9999, alpha=5, eps=1e-8, wd=0
):
    """AdEMAMix (Pagliardini et al. 2025, Algorithm 1), with constant alpha and b3.

    The bias of the slow average m2 is not corrected.
    """
    m1 = lerp(g, m1, b1)
    m2 = lerp(g, m2, b3)
    v = lerp(square(g), v, b2)
    m1_hat = m1 / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return lr * ((m1_hat + alpha * m2) / (sqrt(v_hat) + eps) + wd * w)
''',
    paper=Paper(
        title="The AdEMAMix Optimizer: Better, Faster, Older",
        authors="Matteo Pagliardini, Pierre Ablin, David Grangier",
        year=2025,
        venue="ICLR 2025",
        arxiv="2409.03137",
    ),
    tier="1a",
    caveat="Optax's form. The authors warm up alpha and b3 (ademamix_scheduled), because m2 "
    "unsettles early training.",
)

ADEMAMIX_SCHEDULED = KnownRule(
    text='''\
def ademamix_scheduled(
    w, g, t, T, m1=0, m2=0, v=0, *, lr=1e-3, b1=0.9, b2=0.999, b3=0.9999, alpha=5, eps=1e-8, wd=0
):
    """AdEMAMix (Pagliardini et al. 2025, Algorithm 1): alpha and b3 warm up all the way.

    alpha grows linearly, and so does the half-life of the slow average.
    """
    s = t / T
    b = minimum(exp(log(b1) * log(b3) / lerp(log(b3), log(b1), s)), b3)
    m1 = lerp(g, m1, b1)
    m2 = lerp(g, m2, b)
    v = lerp(square(g), v, b2)
    m1_hat = m1 / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return lr * ((m1_hat + alpha * s * m2) / (sqrt(v_hat) + eps) + wd * w)
''',
    paper=ADEMAMIX.paper,
    tier="1a",
    caveat="The warm-up is as long as the training, which is what the authors recommend.",
)

SIMPLIFIED_ADEMAMIX = KnownRule(
    text='''\
def simplified_ademamix(w, g, t, m=0, v=0, *, lr=1e-3, b1=0.99, b2=0.95, alpha=0, eps=1e-8):
    """Simplified AdEMAMix (Morwani et al. 2025): one average, and the gradient beside it."""
    m = b1 * m + g
    v = lerp(square(g), v, b2)
    v_hat = v / (1 - b2**t)
    return lr * (m + alpha * g) / (sqrt(v_hat) + eps)
''',
    paper=Paper(
        title="Connections between Schedule-Free Optimizers, AdEMAMix, and Accelerated SGD "
        "Variants",
        authors="Depen Morwani, Nikhil Vyas, Hanlin Zhang, Sham Kakade",
        year=2025,
        venue="arXiv",
        arxiv="2502.02431",
    ),
    tier="1a",
    caveat="The gradient enters m with weight 1: a step is up to 1 / (1 - b1) times Adam's.",
)

ADAN_OPTAX = KnownRule(
    text='''\
def adan_optax(
    w, g, t, m=0, v=0, n=0, g_old=0, *, lr=1e-3, b1=0.98, b2=0.92, b3=0.99, eps=1e-8, wd=0
):
    """Adan (Xie et al. 2022) as in Optax, which weights d by 1 - b2 and has eps in both places."""
    d = where(t == 1, 0, g - g_old)
    m = lerp(g, m, b1)
    v = lerp(d, v, b2)
    n = lerp(square(g + (1 - b2) * d), n, b3)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    n_hat = n / (1 - b3**t)
    g_old = g
    return lr * ((m_hat + (1 - b2) * v_hat) / (sqrt(n_hat + eps) + eps) + wd * w)
''',
    paper=Paper(
        title="Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models",
        authors="Xingyu Xie, Pan Zhou, Huan Li, Zhouchen Lin, Shuicheng Yan",
        year=2022,
        venue="IEEE Transactions on Pattern Analysis and Machine Intelligence",
        arxiv="2208.06677",
    ),
    tier="1a",
    caveat="The official code weights d by b2 = 0.92, where Optax has 1 - b2 = 0.08 (adan).",
)

_QH_PAPER = Paper(
    title="Quasi-Hyperbolic Momentum and Adam for Deep Learning",
    authors="Jerry Ma, Denis Yarats",
    year=2019,
    venue="ICLR 2019",
    arxiv="1810.06801",
)

QHADAM = KnownRule(
    text='''\
def qhadam(w, g, t, m=0, v=0, *, lr=1e-3, b1=0.9, b2=0.999, nu1=0.7, nu2=1, eps=1e-8):
    """QHAdam (Ma & Yarats 2019, Section 4): gradient and square beside their averages."""
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    u = lerp(g, m_hat, nu1)
    s = lerp(square(g), v_hat, nu2)
    return lr * u / (sqrt(s) + eps)
''',
    paper=_QH_PAPER,
    tier="1a",
)

MARS_ADAMW = KnownRule(
    text='''\
def mars_adamw(
    w, g, t, m=0, v=0, g_old=0, *, lr=3e-3, b1=0.95, b2=0.99, gamma=0.025, eps=1e-8, wd=0
):
    """MARS-AdamW (Yuan et al. 2024, Algorithm 2), approximate: g_old was taken on another batch."""
    c = g + gamma * b1 / (1 - b1) * (g - g_old)
    c = c / maximum(1, norm(c))
    m = lerp(c, m, b1)
    v = lerp(square(c), v, b2)
    g_old = g
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return lr * (m_hat / (sqrt(v_hat) + eps) + wd * w)
''',
    paper=Paper(
        title="MARS: Unleashing the Power of Variance Reduction for Training Large Models",
        authors="Huizhuo Yuan, Yifeng Liu, Shuang Wu, Xun Zhou, Quanquan Gu",
        year=2024,
        venue="arXiv",
        arxiv="2411.10438",
    ),
    tier="2",
    caveat="The exact form takes the gradient at the previous weights on this batch again. The "
    "authors' default gives tensors of fewer than two axes to AdamW with constants of its own.",
)

GROKFAST_ADAMW = KnownRule(
    text='''\
def grokfast_adamw(w, g, t, h=0, *, alpha=0.98, lamb=2):
    """Grokfast-EMA (Lee et al. 2024, Algorithm 2) over AdamW: slow gradients are amplified."""
    h = where(t == 1, g, lerp(g, h, alpha))
    u = adamw(w, g + lamb * h, t)
    return u
''',
    paper=Paper(
        title="Grokfast: Accelerated Grokking by Amplifying Slow Gradients",
        authors="Jaerin Lee, Bong Gyun Kang, Kihoon Kim, Kyoung Mu Lee",
        year=2024,
        venue="arXiv",
        arxiv="2405.20233",
    ),
    tier="1a",
    calls=(ADAMW,),
    caveat="The average starts at the first gradient, as in the authors' code.",
)

RULES = (
    NADAM,
    NADAM_TORCH,
    ADEMAMIX,
    ADEMAMIX_SCHEDULED,
    SIMPLIFIED_ADEMAMIX,
    ADAN_OPTAX,
    QHADAM,
    MARS_ADAMW,
    GROKFAST_ADAMW,
)
