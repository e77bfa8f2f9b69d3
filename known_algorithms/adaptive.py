"""Steps divided by a running size of each coordinate's gradient (rows 4-12)."""

from __future__ import annotations

from .rule import KnownRule, Paper

ADAGRAD = KnownRule(
    text='''\
def adagrad(w, g, a=0, *, lr=1e-2, eps=1e-10):
    """AdaGrad (Duchi et al. 2011), diagonal form."""
    a = a + square(g)
    return lr * g / (sqrt(a) + eps)
''',
    paper=Paper(
        title="Adaptive Subgradient Methods for Online Learning and Stochastic Optimization",
        authors="John Duchi, Elad Hazan, Yoram Singer",
        year=2011,
        venue="Journal of Machine Learning Research 12",
    ),
    row=4,
    tier="1a",
    seeds=(1, 2, 3),
    caveat="optax starts a at 0.1 and puts eps inside the root; here a starts at 0, as in torch.",
)

ADADELTA = KnownRule(
    text='''\
def adadelta(w, g, v=0, d=0, *, lr=1, rho=0.9, eps=1e-6):
    """AdaDelta (Zeiler 2012, Algorithm 1)."""
    v = lerp(square(g), v, rho)
    u = g * sqrt(d + eps) / sqrt(v + eps)
    d = lerp(square(u), d, rho)
    return lr * u
''',
    paper=Paper(
        title="ADADELTA: An Adaptive Learning Rate Method",
        authors="Matthew D. Zeiler",
        year=2012,
        venue="arXiv",
        arxiv="1212.5701",
    ),
    row=5,
    tier="1a",
    seeds=(1, 2, 3),
)

RMSPROP = KnownRule(
    text='''\
def rmsprop(w, g, v=0, *, lr=1e-2, decay=0.99, eps=1e-8):
    """RMSProp (Tieleman & Hinton 2012, Lecture 6.5)."""
    v = lerp(square(g), v, decay)
    return lr * g / (sqrt(v) + eps)
''',
    paper=Paper(
        title="Lecture 6.5 - RMSProp: Divide the Gradient by a Running Average of Its Recent "
        "Magnitude",
        authors="Tijmen Tieleman, Geoffrey Hinton",
        year=2012,
        venue="COURSERA: Neural Networks for Machine Learning",
    ),
    row=6,
    tier="1a",
    seeds=(1, 2, 3),
    caveat="optax's default is decay 0.9 with eps inside the root; here both are torch's.",
)

ADAM = KnownRule(
    text='''\
def adam(w, g, t, m=0, v=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8):
    """Adam (Kingma & Ba 2015, Algorithm 1)."""
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return lr * m_hat / (sqrt(v_hat) + eps)
''',
    paper=Paper(
        title="Adam: A Method for Stochastic Optimization",
        authors="Diederik P. Kingma, Jimmy Ba",
        year=2015,
        venue="ICLR 2015",
        arxiv="1412.6980",
    ),
    row=7,
    tier="1a",
    seeds=(0, 1, 2, 3),
)

_AMSGRAD_PAPER = Paper(
    title="On the Convergence of Adam and Beyond",
    authors="Sashank J. Reddi, Satyen Kale, Sanjiv Kumar",
    year=2018,
    venue="ICLR 2018",
    arxiv="1904.09237",
)

AMSGRAD = KnownRule(
    text='''\
def amsgrad(w, g, t, m=0, v=0, x=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8):
    """AMSGrad (Reddi et al. 2018, Algorithm 2), bias-corrected after the maximum."""
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    x = maximum(x, v)
    m_hat = m / (1 - b1**t)
    x_hat = x / (1 - b2**t)
    return lr * m_hat / (sqrt(x_hat) + eps)
''',
    paper=_AMSGRAD_PAPER,
    row=8,
    tier="1a",
    seeds=(1, 2, 3),
    caveat="torch's form; optax takes the maximum of the corrected moment (amsgrad_optax). The "
    "paper has no bias correction.",
)

AMSGRAD_OPTAX = KnownRule(
    text='''\
def amsgrad_optax(w, g, t, m=0, v=0, x=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8):
    """AMSGrad (Reddi et al. 2018, Algorithm 2), bias-corrected before the maximum."""
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    x = maximum(x, v_hat)
    return lr * m_hat / (sqrt(x) + eps)
''',
    paper=_AMSGRAD_PAPER,
    row=8,
    tier="1a",
    seeds=(1, 2, 3),
    caveat="optax's form; torch corrects the bias after the maximum (amsgrad).",
)

ADAMW = KnownRule(
    text='''\
def adamw(w, g, t, m=0, v=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8, wd=1e-2):
    """AdamW (Loshchilov & Hutter 2019, Algorithm 2)."""
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return lr * (m_hat / (sqrt(v_hat) + eps) + wd * w)
''',
    paper=Paper(
        title="Decoupled Weight Decay Regularization",
        authors="Ilya Loshchilov, Frank Hutter",
        year=2019,
        venue="ICLR 2019",
        arxiv="1711.05101",
    ),
    row=9,
    tier="1a",
    seeds=(0, 1, 3),
    caveat="The default wd is torch's 0.01; optax's is 1e-4.",
)

NADAMW = KnownRule(
    text='''\
def nadamw(w, g, t, m=0, v=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8, wd=1e-4):
    """NAdam (Dozat 2016) with AdamW's decoupled weight decay, as in Optax."""
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    u = b1 * m / (1 - b1**(t + 1)) + (1 - b1) * g / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return lr * (u / (sqrt(v_hat) + eps) + wd * w)
''',
    paper=Paper(
        title="Incorporating Nesterov Momentum into Adam",
        authors="Timothy Dozat",
        year=2016,
        venue="ICLR 2016, workshop track",
    ),
    row=9,
    tier="1a",
    seeds=(),
    caveat="AlgoPerf's NAdamW divides both terms of u by 1 - b1**t; torch's NAdam has a schedule "
    "of b1 besides.",
)

ADABELIEF = KnownRule(
    text='''\
def adabelief(w, g, t, m=0, s=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-16):
    """AdaBelief (Zhuang et al. 2020, Algorithm 2), without rectification."""
    m = lerp(g, m, b1)
    s = lerp(square(g - m), s, b2) + eps
    m_hat = m / (1 - b1**t)
    s_hat = s / (1 - b2**t)
    return lr * m_hat / (sqrt(s_hat) + eps)
''',
    paper=Paper(
        title="AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients",
        authors="Juntang Zhuang, Tommy Tang, Yifan Ding, Sekhar Tatikonda, Nicha Dvornek, "
        "Xenophon Papademetris, James S. Duncan",
        year=2020,
        venue="NeurIPS 2020",
        arxiv="2010.07468",
    ),
    row=10,
    tier="1a",
    seeds=(1, 3),
    caveat="eps is added to s at every step and stays there; the official code rectifies as RAdam "
    "does unless told rectify=False.",
)

DIFFGRAD = KnownRule(
    text='''\
def diffgrad(w, g, t, m=0, v=0, g_old=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8):
    """diffGrad (Dubey et al. 2020), with the friction coefficient xi of the previous gradient."""
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    xi = sigmoid(abs(g_old - g))
    g_old = g
    return lr * sqrt(1 - b2**t) / (1 - b1**t) * xi * m / (sqrt(v) + eps)
''',
    paper=Paper(
        title="diffGrad: An Optimization Method for Convolutional Neural Networks",
        authors="Shiv Ram Dubey, Soumendu Chakraborty, Swalpa Kumar Roy, Snehasis Mukherjee, "
        "Satish Kumar Singh, Bidyut Baran Chaudhuri",
        year=2020,
        venue="IEEE Transactions on Neural Networks and Learning Systems 31(11)",
        arxiv="1909.11015",
    ),
    row=11,
    tier="1a",
    seeds=(1, 2, 3),
    caveat="Version 2 of the official code: in version 1 g_old is g itself, so that xi is always "
    "1/2. eps stands beside the uncorrected root.",
)

ADAN = KnownRule(
    text='''\
def adan(w, g, t, m=0, v=0, n=0, g_old=0, *, lr=1e-3, b1=0.98, b2=0.92, b3=0.99, eps=1e-8, wd=0):
    """Adan (Xie et al. 2022, Algorithm 1), with the official code's betas: one minus the paper's.

    The weight decay is proximal.
    """
    d = where(t == 1, 0, g - g_old)
    m = lerp(g, m, b1)
    v = lerp(d, v, b2)
    n = lerp(square(g + b2 * d), n, b3)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    n_hat = n / (1 - b3**t)
    u = (m_hat + b2 * v_hat) / (sqrt(n_hat) + eps)
    g_old = g
    return w - (w - lr * u) / (1 + lr * wd)
''',
    paper=Paper(
        title="Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models",
        authors="Xingyu Xie, Pan Zhou, Huan Li, Zhouchen Lin, Shuicheng Yan",
        year=2022,
        venue="IEEE Transactions on Pattern Analysis and Machine Intelligence",
        arxiv="2208.06677",
    ),
    row=12,
    tier="1a",
    seeds=(1,),
    caveat="optax.adan is another rule: it weights d by 1 - b2 = 0.08 where the official code has "
    "0.92. The paper has eps inside the root.",
)

RULES = (
    ADAGRAD,
    ADADELTA,
    RMSPROP,
    ADAM,
    AMSGRAD,
    AMSGRAD_OPTAX,
    ADAMW,
    NADAMW,
    ADABELIEF,
    DIFFGRAD,
    ADAN,
)
