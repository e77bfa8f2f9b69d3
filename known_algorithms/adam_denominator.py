"""Adam with another denominator: another second moment, another time, another place."""

from __future__ import annotations

from .rule import KnownRule, Paper

RADAM = KnownRule(
    text='''\
def radam(w, g, t, m=0, v=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8, threshold=5):
    """RAdam (Liu et al. 2020, Algorithm 2): steps are not scaled while the variance is unknown."""
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    rho_inf = 2 / (1 - b2) - 1
    rho = rho_inf - 2 * t * b2**t / (1 - b2**t)
    r = sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
    return lr * where(rho >= threshold, r * m_hat / (sqrt(v_hat) + eps), m_hat)
''',
    paper=Paper(
        title="On the Variance of the Adaptive Learning Rate and Beyond",
        authors="Liyuan Liu, Haoming Jiang, Pengcheng He, Weizhu Chen, Xiaodong Liu, Jianfeng Gao, "
        "Jiawei Han",
        year=2020,
        venue="ICLR 2020",
        arxiv="1908.03265",
    ),
    tier="1a",
    caveat="The threshold is Optax's and torch's 5; the paper has 4. torch has eps beside the "
    "uncorrected root.",
)

ADAMAX = KnownRule(
    text='''\
def adamax(w, g, t, m=0, v=0, *, lr=2e-3, b1=0.9, b2=0.999, eps=1e-8):
    """AdaMax (Kingma & Ba 2015, Algorithm 2): the largest gradient so far, forgotten slowly."""
    m = lerp(g, m, b1)
    v = maximum(b2 * v, abs(g) + eps)
    m_hat = m / (1 - b1**t)
    return lr * m_hat / v
''',
    paper=Paper(
        title="Adam: A Method for Stochastic Optimization",
        authors="Diederik P. Kingma, Jimmy Ba",
        year=2015,
        venue="ICLR 2015",
        arxiv="1412.6980",
    ),
    tier="1a",
    caveat="The paper has no eps; here it keeps v from 0, as in Optax and torch.",
)

YOGI = KnownRule(
    text='''\
def yogi(w, g, t, m=1e-6, v=1e-6, *, lr=1e-2, b1=0.9, b2=0.999, eps=1e-3):
    """Yogi (Zaheer et al. 2018, Algorithm 2): v moves by a share of the square of g."""
    m = lerp(g, m, b1)
    v = v - (1 - b2) * sign(v - square(g)) * square(g)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return lr * m_hat / (sqrt(v_hat) + eps)
''',
    paper=Paper(
        title="Adaptive Methods for Nonconvex Optimization",
        authors="Manzil Zaheer, Sashank J. Reddi, Devendra Sachan, Satyen Kale, Sanjiv Kumar",
        year=2018,
        venue="NeurIPS 2018",
    ),
    tier="1a",
    caveat="Bias correction and the start of both moments at 1e-6 are Optax's.",
)

ADOPT = KnownRule(
    text='''\
def adopt(w, g, t, m=0, v=0, *, lr=1e-3, b1=0.9, b2=0.9999, eps=1e-6):
    """ADOPT (Taniguchi et al. 2024, Algorithm 2): g is divided by the v before it, then averaged.

    The first step only sets v: its clip is 0.
    """
    c = (t - 1)**0.25
    u = clip(g / maximum(sqrt(v), eps), -c, c)
    m = lerp(u, m, b1)
    v = where(t == 1, square(g), lerp(square(g), v, b2))
    return lr * m
''',
    paper=Paper(
        title="ADOPT: Modified Adam Can Converge with Any beta2 with the Optimal Rate",
        authors="Shohei Taniguchi, Keno Harada, Gouki Minegishi, Yuta Oshima, Seong Cheol Jeong, "
        "Go Nagahara, Tomoshi Iiyama, Masahiro Suzuki, Yusuke Iwasawa, Yutaka Matsuo",
        year=2024,
        venue="NeurIPS 2024",
        arxiv="2411.02853",
    ),
    tier="1a",
    caveat="Optax's form; pytorch_optimizer's is another (8e-3 after 25 steps).",
)

ACPROP = KnownRule(
    text='''\
def acprop(w, g, t, m=0, s=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-16):
    """ACProp (Zhuang et al. 2021, Algorithm 2): g is divided by the centred moment before it."""
    s_hat = where(t == 1, 1, s / (1 - b2**(t - 1)))
    s = lerp(square(g - m), s, b2) + eps
    m = lerp(g, m, b1)
    return lr * g / (sqrt(s_hat) + eps)
''',
    paper=Paper(
        title="Momentum Centering and Asynchronous Update for Adaptive Gradient Methods",
        authors="Juntang Zhuang, Yifan Ding, Tommy Tang, Nicha Dvornek, Sekhar Tatikonda, "
        "James S. Duncan",
        year=2021,
        venue="NeurIPS 2021",
        arxiv="2110.05454",
    ),
    tier="1a",
    caveat="As in Optax, the square is centred by the average before this gradient, and the step "
    "has no momentum; one eps stands in both places.",
)

LAPROP = KnownRule(
    text='''\
def laprop(w, g, t, m=0, v=0, *, lr=4e-4, b1=0.9, b2=0.999, eps=1e-15, wd=0):
    """LaProp (Ziyin et al. 2020, Algorithm 1): the momentum of the scaled gradient."""
    v = lerp(square(g), v, b2)
    v_hat = v / (1 - b2**t)
    m = lerp(g / (sqrt(v_hat) + eps), m, b1)
    m_hat = m / (1 - b1**t)
    return lr * (m_hat + wd * w)
''',
    paper=Paper(
        title="LaProp: Separating Momentum and Adaptivity in Adam",
        authors="Liu Ziyin, Zhikang T. Wang, Masahito Ueda",
        year=2020,
        venue="arXiv",
        arxiv="2002.04839",
    ),
    tier="1a",
    caveat="The authors' code has eps beside the uncorrected root, averages lr * g, and takes wd "
    "* w at the new weights.",
)

ADAM_ATAN2 = KnownRule(
    text='''\
def adam_atan2(w, g, t, m=0, v=0, *, lr=1e-3, b1=0.9, b2=0.999, a=1.27, b=1, wd=0):
    """Adam-atan2 (Everett et al. 2024): no eps, and steps that are bounded by lr * a * pi / 2.

    The second argument of atan2 is never negative, so that it is the arctangent of the ratio, and 0
    where both are 0.
    """
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    u = where(m == 0, 0, arctan(m_hat / (b * sqrt(v_hat))))
    return lr * (a * u + wd * w)
''',
    paper=Paper(
        title="Scaling Exponents Across Parameterizations and Optimizers",
        authors="Katie Everett, Lechao Xiao, Mitchell Wortsman, Alexander A. Alemi, Roman Novak, "
        "Peter J. Liu, Izzeddin Gur, Jascha Sohl-Dickstein, Leslie Pack Kaelbling, Jaehoon Lee, "
        "Jeffrey Pennington",
        year=2024,
        venue="ICML 2024",
        arxiv="2407.05872",
    ),
    tier="1a",
    caveat="a = 1.27 (4 / pi), which makes a step of ratio 1 one of lr, and b = 1 are those of the "
    "implementation in circulation.",
)

STABLE_ADAMW = KnownRule(
    text='''\
def stable_adamw(w, g, t, m=0, v=0, *, lr=1e-3, b1=0.9, b2=0.99, eps=1e-8, wd=1e-2):
    """StableAdamW (Wortsman et al. 2023, Algorithm 2): AdamW with Adafactor's update clipping.

    The bias is corrected by the decays. The weights decay by the clipped rate, too.
    """
    m = lerp(g, m, b1 * (1 - b1**(t - 1)) / (1 - b1**t))
    v = lerp(square(g), v, b2 * (1 - b2**(t - 1)) / (1 - b2**t))
    rms = sqrt(mean(square(g) / maximum(v, square(eps))))
    return lr / maximum(1, rms) * (m / (sqrt(v) + eps) + wd * w)
''',
    paper=Paper(
        title="Stable and Low-Precision Training for Large-Scale Vision-Language Models",
        authors="Mitchell Wortsman, Tim Dettmers, Luke Zettlemoyer, Ari Morcos, Ali Farhadi, "
        "Ludwig Schmidt",
        year=2023,
        venue="NeurIPS 2023",
        arxiv="2304.13013",
    ),
    tier="2",
)

ADAI = KnownRule(
    text='''\
def adai(w, g, t, m=0, v=0, p=1, *, lr=1, b0=0.1, b2=0.99, eps=1e-3):
    """Adai (Xie et al. 2022, Algorithm 2): momentum by coordinate, the more the less g varies.

    p is the product of a coordinate's decays so far.
    """
    v = lerp(square(g), v, b2)
    v_hat = v / (1 - b2**t)
    v_mean = global_sum(v_hat) / global_sum(size(w))
    b1 = clip(1 - b0 * v_hat / maximum(v_mean, eps), 0, 1 - eps)
    p = b1 * p
    m = lerp(g, m, b1)
    return lr * m / (1 - p)
''',
    paper=Paper(
        title="Adaptive Inertia: Disentangling the Effects of Adaptive Learning Rate and Momentum",
        authors="Zeke Xie, Xinrui Wang, Huishuai Zhang, Issei Sato, Masashi Sugiyama",
        year=2022,
        venue="ICML 2022",
        arxiv="2006.15815",
    ),
    tier="2",
    caveat="The mean of v_hat is at least eps, as in pytorch_optimizer; otherwise a model without "
    "gradients is 0 / 0.",
)

ADABOUND = KnownRule(
    text='''\
def adabound(
    w, g, t, m=0, v=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8, final_lr=0.1, gamma=1e-3
):
    """AdaBound (Luo et al. 2019, Algorithm 2): rates between bounds that close on that of SGD."""
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    low = final_lr * (1 - 1 / (gamma * t + 1))
    high = final_lr * (1 + 1 / (gamma * t))
    rate = lr * sqrt(1 - b2**t) / (1 - b1**t) / (sqrt(v) + eps)
    return clip(rate, low, high) * m
''',
    paper=Paper(
        title="Adaptive Gradient Methods with Dynamic Bound of Learning Rate",
        authors="Liangchen Luo, Yuanhao Xiong, Yan Liu, Xu Sun",
        year=2019,
        venue="ICLR 2019",
        arxiv="1902.09843",
    ),
    tier="1a",
    caveat="In the official code the bounds follow a schedule as lr does, relative to the first "
    "lr, which a rule cannot know: a schedule that ends at 0 leaves steps of final_lr here.",
)

ADASHIFT = KnownRule(
    text='''\
def adashift(w, g, t, m=0, v=0, g1=0, g2=0, g3=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-10):
    """AdaShift (Zhou et al. 2019, Algorithm 3) with a window of three gradients.

    A tensor's second moment is of its largest number three steps ago, which is not in m.
    """
    s = 1 + b1 + square(b1)
    m = b1 * (m - square(b1) / s * where(t > 3, g3, 0)) + g / s
    v = where(t > 3, lerp(max(square(g3)), v, b2), v)
    u = where(t > 3, m / (sqrt(v / (1 - b2**maximum(t - 3, 1))) + eps), 0)
    g3 = g2
    g2 = g1
    g1 = g
    return lr * u
''',
    paper=Paper(
        title="AdaShift: Decorrelation and Convergence of Adaptive Learning Rate Methods",
        authors="Zhiming Zhou, Qingru Zhang, Guansong Lu, Hongwei Wang, Weinan Zhang, Yong Yu",
        year=2019,
        venue="ICLR 2019",
        arxiv="1810.00143",
    ),
    tier="2",
    caveat="The paper's window is 10, which would need a state for each gradient in it.",
)

RULES = (
    RADAM,
    ADAMAX,
    YOGI,
    ADOPT,
    ACPROP,
    LAPROP,
    ADAM_ATAN2,
    STABLE_ADAMW,
    ADAI,
    ADABOUND,
    ADASHIFT,
)
