"""Steps scaled by norms and means over a tensor or over the whole model (rows 23-26, 29)."""

from __future__ import annotations

from .rule import KnownRule, Paper

ADAGRAD_NORM = KnownRule(
    text='''\
def adagrad_norm(w, g, s=0, *, lr=1, b0_squared=1e-2):
    """AdaGrad-Norm (Ward et al. 2019, Algorithm 1): one step size for the whole model."""
    s = s + square(global_norm(g))
    b = sqrt(b0_squared + s)
    return lr * g / b
''',
    paper=Paper(
        title="AdaGrad Stepsizes: Sharp Convergence over Nonconvex Landscapes",
        authors="Rachel Ward, Xiaoxia Wu, Léon Bottou",
        year=2019,
        venue="ICML 2019",
        arxiv="1806.01811",
    ),
    row=23,
    tier="2",
    seeds=(1,),
    caveat="The code in circulation keeps one b per row of a matrix; the paper has one number.",
)

ADAFACTOR = KnownRule(
    text='''\
def adafactor(w, g, t, R=0, C=0, *, lr=1e-2, d=1, eps1=1e-30, eps2=1e-3):
    """Adafactor (Shazeer & Stern 2018, Algorithms 4 to 6).

    V is R * C / mean(R), whose root is taken by factors, because V itself underflows in float32. A
    vector is one column: its R is the whole second moment, and V is R.
    """
    rho = minimum(lr, 1 / sqrt(t))
    alpha = maximum(eps2, norm(w) / sqrt(size(w))) * rho
    beta2 = 1 - t**-0.8
    R = lerp(row_mean(square(g) + eps1), R, beta2)
    C = lerp(column_mean(square(g) + eps1), C, beta2)
    U = g / (sqrt(R / column_mean(R)) * sqrt(C))
    rms_U = norm(U) / sqrt(size(U))
    return alpha * U / maximum(1, rms_U / d)
''',
    paper=Paper(
        title="Adafactor: Adaptive Learning Rates with Sublinear Memory Cost",
        authors="Noam Shazeer, Mitchell Stern",
        year=2018,
        venue="ICML 2018",
        arxiv="1804.04235",
    ),
    row=24,
    tier="2",
    seeds=(1,),
    caveat="Factored over the last two axes, as in torch; optax factors the two largest, and "
    "leaves a matrix whole that has fewer than 128 rows or columns.",
)

_LARS_PAPER = Paper(
    title="Large Batch Training of Convolutional Networks",
    authors="Yang You, Igor Gitman, Boris Ginsburg",
    year=2017,
    venue="arXiv",
    arxiv="1708.03888",
)

LARS = KnownRule(
    text='''\
def lars(w, g, b=0, *, lr=1, mu=0.9, wd=0, trust=1e-3):
    """LARS (You et al. 2017, Algorithm 1)."""
    d = norm(g) + wd * norm(w)
    r = where(minimum(norm(w), d) > 0, trust * norm(w) / d, 1)
    b = mu * b + r * (g + wd * w)
    return lr * b
''',
    paper=_LARS_PAPER,
    row=25,
    tier="2",
    seeds=(1,),
    caveat="optax divides by the norm of g + wd * w (lars_optax); pytorch_optimizer leaves vectors "
    "unscaled. The ratio is 1 where it would be 0 or 0 / 0; libraries take 1 at a zero gradient "
    "too, where the paper's is trust / wd and its decay does not jump.",
)

LARS_OPTAX = KnownRule(
    text='''\
def lars_optax(w, g, b=0, *, lr=1, mu=0.9, wd=0, trust=1e-3):
    """LARS (You et al. 2017) as in Optax, with lr inside the momentum."""
    u = g + wd * w
    r = trust * norm(w) / norm(u)
    r = where(minimum(norm(w), norm(u)) > 0, r, 1)
    b = mu * b + lr * r * u
    return b
''',
    paper=_LARS_PAPER,
    row=25,
    tier="2",
    seeds=(1,),
    caveat="The paper divides by norm(g) + wd * norm(w) (lars). The ratio is 1 where a norm is 0.",
)

LAMB = KnownRule(
    text='''\
def lamb(w, g, t, m=0, v=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-6, wd=0):
    """LAMB (You et al. 2020, Algorithm 2), with the identity as scaling function phi."""
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    u = m_hat / (sqrt(v_hat) + eps) + wd * w
    ratio = where(minimum(norm(w), norm(u)) > 0, norm(w) / norm(u), 1)
    return lr * ratio * u
''',
    paper=Paper(
        title="Large Batch Optimization for Deep Learning: Training BERT in 76 Minutes",
        authors="Yang You, Jing Li, Sashank Reddi, Jonathan Hseu, Sanjiv Kumar, Srinadh "
        "Bhojanapalli, Xiaodan Song, James Demmel, Kurt Keutzer, Cho-Jui Hsieh",
        year=2020,
        venue="ICLR 2020",
        arxiv="1904.00962",
    ),
    row=26,
    tier="2",
    seeds=(1,),
    caveat="Of the libraries optax alone has this rule: others leave the bias uncorrected or clamp "
    "the norm of w.",
)

SGD_SAI = KnownRule(
    text='''\
def sgd_sai(w, g, t, m=0, kappa=1, *, lr=1e-2, mu=0.9, eps=1e-8, wd=1e-2):
    """SGD-SaI (Xu et al. 2024): the first gradient's signal-to-noise ratio kappa scales all steps.

    The standard deviation divides by n - 1; a tensor of one number has none and keeps kappa = 1.
    """
    n = size(g)
    sigma = std(g) * sqrt(n / (n - 1))
    kappa = where(minimum(t == 1, n > 1), norm(g) / (sigma + eps), kappa)
    m = where(t == 1, g, lerp(g, m, mu))
    return lr * (kappa * m + wd * w)
''',
    paper=Paper(
        title="No More Adam: Learning Rate Scaling at Initialization is All You Need",
        authors="Minghao Xu, Lichuan Xiang, Xu Cai, Hongkai Wen",
        year=2024,
        venue="arXiv",
        arxiv="2412.11768",
    ),
    row=29,
    tier="2",
    seeds=(2,),
    caveat="pytorch_optimizer and zij start m at 0 and scale vectors by the norm alone; the "
    "official code does neither.",
)

NOVOGRAD = KnownRule(
    text='''\
def novograd(w, g, t, m=0, v=0, *, lr=1e-3, b1=0.9, b2=0.25, eps=1e-6, wd=0):
    """NovoGrad (Ginsburg et al. 2019, Algorithm 1): one second moment for each tensor."""
    n = square(norm(g))
    v = where(t == 1, n, lerp(n, v, b2))
    m = b1 * m + g / (sqrt(v) + eps) + wd * w
    return lr * m
''',
    paper=Paper(
        title="Stochastic Gradient Methods with Layer-wise Adaptive Moments for Training of Deep "
        "Networks",
        authors="Boris Ginsburg, Patrice Castonguay, Oleksii Hrinchuk, Oleksii Kuchaiev, Vitaly "
        "Lavrukhin, Ryan Leary, Jason Li, Huyen Nguyen, Yang Zhang, Jonathan M. Cohen",
        year=2019,
        venue="arXiv",
        arxiv="1905.11286",
    ),
    tier="2",
)

FROMAGE = KnownRule(
    text='''\
def fromage(w, g, *, lr=1e-2, min_norm=1e-6):
    """Fromage (Bernstein et al. 2020, Algorithm 1): steps of the size of w, which then shrinks."""
    c = 1 / sqrt(1 + square(lr))
    r = maximum(norm(w), min_norm) / maximum(norm(g), min_norm)
    return lr * c * r * g + (1 - c) * w
''',
    paper=Paper(
        title="On the Distance between Two Neural Networks and the Stability of Learning",
        authors="Jeremy Bernstein, Arash Vahdat, Yisong Yue, Ming-Yu Liu",
        year=2020,
        venue="NeurIPS 2020",
        arxiv="2002.03432",
    ),
    tier="2",
    caveat="The paper has no least norm: Optax's keeps the ratio finite.",
)

ADAM_MINI = KnownRule(
    text='''\
def adam_mini(w, g, t, m=0, v=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8, wd=0):
    """Adam-mini (Zhang et al. 2025): one second moment for each row, and one for each vector."""
    m = lerp(g, m, b1)
    v = lerp(where(ndim(w) >= 2, row_mean(square(g)), mean(square(g))), v, b2)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return lr * (m_hat / (sqrt(v_hat) + eps) + wd * w)
''',
    paper=Paper(
        title="Adam-mini: Use Fewer Learning Rates To Gain More",
        authors="Yushun Zhang, Congliang Chen, Ziniu Li, Tian Ding, Chenwei Wu, Diederik P. "
        "Kingma, Yinyu Ye, Zhi-Quan Luo, Ruoyu Sun",
        year=2025,
        venue="ICLR 2025",
        arxiv="2406.16793",
    ),
    tier="2",
    caveat="The authors take one for each head of queries and keys, which a rule cannot tell. "
    "Rows of a kernel are along its last axis.",
)

CAME = KnownRule(
    text='''\
def came(
    w, g, R=0, C=0, P=0, Q=0, m=0, *, lr=2e-4, b1=0.9, b2=0.999, b3=0.9999,
    eps1=1e-30, eps2=1e-16, d=1, wd=0
):
    """CAME (Luo et al. 2023, Algorithm 2): Adafactor, divided by how far it is from its average.

    R and C factor the square of the gradient, P and Q that of the distance; vectors have none.
    """
    R = lerp(row_mean(square(g) + eps1), R, b2)
    C = lerp(column_mean(square(g) + eps1), C, b2)
    U = g / (sqrt(R / column_mean(R)) * sqrt(C))
    U = U / maximum(1, norm(U) / sqrt(size(U)) / d)
    m = lerp(U, m, b1)
    P = lerp(row_mean(square(U - m) + eps2), P, b3)
    Q = lerp(column_mean(square(U - m) + eps2), Q, b3)
    u = where(ndim(w) >= 2, m / (sqrt(P / column_mean(P)) * sqrt(Q)), m)
    return lr * (u + wd * w)
''',
    paper=Paper(
        title="CAME: Confidence-guided Adaptive Memory Efficient Optimization",
        authors="Yang Luo, Xiaozhe Ren, Zangwei Zheng, Zhuo Jiang, Xin Jiang, Yang You",
        year=2023,
        venue="ACL 2023",
        arxiv="2307.02047",
    ),
    tier="2",
    caveat="No bias is corrected. Vectors, as in the official code, have neither factors nor the "
    "distance.",
)

RULES = (
    ADAGRAD_NORM,
    ADAFACTOR,
    LARS,
    LARS_OPTAX,
    LAMB,
    SGD_SAI,
    NOVOGRAD,
    FROMAGE,
    ADAM_MINI,
    CAME,
)
