"""Rules that ask for the loss, its gradient or its curvature elsewhere, or read noise.

Rows 35, 40, 41, 42, 44 and 47 of the list, and what is made of the same parts.
"""

from __future__ import annotations

from .rule import KnownRule, Paper

SAM = KnownRule(
    text='''\
def sam(w, g, *, lr=1e-2, rho=5e-2):
    """SAM (Foret et al. 2021) on SGD: the gradient at the worst weights nearby."""
    e = rho * g / (global_norm(g) + 1e-12)
    return lr * grad(w + e)
''',
    paper=Paper(
        title="Sharpness-Aware Minimization for Efficiently Improving Generalization",
        authors="Pierre Foret, Ariel Kleiner, Hossein Mobahi, Behnam Neyshabur",
        year=2021,
        venue="ICLR 2021",
        arxiv="2010.01412",
    ),
    row=35,
    tier="3",
    seeds=(0, 1, 2),
    caveat="Both gradients are of the same minibatch.",
)

EXTRAGRADIENT = KnownRule(
    text='''\
def extragradient(w, g, role, *, lr=1e-2):
    """Extragradient (Korpelevich 1976): the gradients of a step ahead move the weights."""
    return lr * role * grad(w - lr * role * g)
''',
    paper=Paper(
        title="The extragradient method for finding saddle points and other problems",
        authors="G. M. Korpelevich",
        year=1976,
        venue="Matecon 12",
    ),
    row=40,
    tier="3",
    seeds=(0,),
    caveat="Both gradients are of the same minibatch.",
)

RK4_FLOW = KnownRule(
    text='''\
def rk4_flow(w, g, role, *, lr=1e-2):
    """The gradient flow of a game by the classical Runge-Kutta method (Kutta 1901)."""
    a = role * g
    b = role * grad(w - lr / 2 * a)
    c = role * grad(w - lr / 2 * b)
    d = role * grad(w - lr * c)
    return lr / 6 * (a + 2 * b + 2 * c + d)
''',
    paper=Paper(
        title="Beitrag zur naherungsweisen Integration totaler Differentialgleichungen",
        authors="Wilhelm Kutta",
        year=1901,
        venue="Zeitschrift fur Mathematik und Physik 46",
    ),
    row=41,
    tier="3",
    seeds=(2,),
)

ADAHESSIAN = KnownRule(
    text='''\
def adahessian(w, g, t, rademacher, m=0, v=0, *, lr=0.15, b1=0.9, b2=0.999, eps=1e-4, wd=0):
    """AdaHessian (Yao et al. 2021): Adam whose second moment is of the Hessian's diagonal."""
    D = abs(hvp(rademacher) * rademacher)
    D = where(ndim(w) > 2, column_mean(row_mean(D)), D)
    m = lerp(g, m, b1)
    v = lerp(square(D), v, b2)
    return lr * (m / (1 - b1**t) / (sqrt(v / (1 - b2**t)) + eps) + wd * w)
''',
    paper=Paper(
        title="ADAHESSIAN: An Adaptive Second Order Optimizer for Machine Learning",
        authors="Zhewei Yao, Amir Gholami, Sheng Shen, Mustafa Mustafa, Kurt Keutzer, "
        "Michael W. Mahoney",
        year=2021,
        venue="AAAI 2021",
        arxiv="2006.00719",
    ),
    row=42,
    tier="3",
    seeds=(1, 3),
    caveat="The Hessian power is 1, and only kernels are averaged, as in the official code.",
)

STORM = KnownRule(
    text='''\
def storm(w, g, t, d=0, w_old=w, *, lr=1e-2, a=0.1):
    """STORM (Cutkosky & Orabona 2019): momentum corrected by the old point's gradient."""
    d = where(t == 1, g, g + (1 - a) * (d - grad(w_old)))
    w_old = w
    return lr * d
''',
    paper=Paper(
        title="Momentum-Based Variance Reduction in Non-Convex SGD",
        authors="Ashok Cutkosky, Francesco Orabona",
        year=2019,
        venue="NeurIPS 2019",
        arxiv="1905.10018",
    ),
    row=44,
    tier="3",
    seeds=(1,),
    caveat="With a constant a and learning rate; in the paper both follow the gradients' norms.",
)

SPSA = KnownRule(
    text='''\
def spsa(w, g, normal, *, lr=1e-6, sigma=1e-3):
    """SPSA (Spall 1992) as MeZO (Malladi et al. 2023) uses it: two losses and no gradient."""
    above = loss_at(w + sigma * normal)
    below = loss_at(w - sigma * normal)
    return lr * (above - below) / (2 * sigma) * normal
''',
    paper=Paper(
        title="Fine-Tuning Language Models with Just Forward Passes",
        authors="Sadhika Malladi, Tianyu Gao, Eshaan Nichani, Alex Damian, Jason D. Lee, "
        "Danqi Chen, Sanjeev Arora",
        year=2023,
        venue="NeurIPS 2023",
        arxiv="2305.17333",
    ),
    row=47,
    tier="3",
    seeds=(1,),
    caveat="One antithetic pair, the kernel of OpenES, whose population needs several.",
)

SOPHIA = KnownRule(
    text='''\
def sophia(
    w, g, t, rademacher, m=0, h=0, *, lr=1e-3, b1=0.965, b2=0.99, rho=1e-2, eps=1e-8, k=10, wd=1e-4
):
    """Sophia-H (Liu et al. 2024): momentum over the Hessian's diagonal, clipped."""
    m = lerp(g, m, b1)
    u = clip(m / (1 - b1**t) / maximum(rho * h, eps), -1, 1)
    h = where((t - 1) % k == 0, lerp(rademacher * hvp(rademacher), h, b2), h)
    return lr * (u + wd * w)
''',
    paper=Paper(
        title="Sophia: A Scalable Stochastic Second-order Optimizer for Language Model "
        "Pre-training",
        authors="Hong Liu, Zhiyuan Li, David Hall, Percy Liang, Tengyu Ma",
        year=2024,
        venue="ICLR 2024",
        arxiv="2305.14342",
    ),
    tier="3",
    caveat="In the order of optax.contrib.sophia: h is used before it is renewed.",
)

SGLD = KnownRule(
    text='''\
def sgld(w, g, normal, *, lr=1e-3, beta=10000):
    """Stochastic gradient Langevin dynamics (Welling & Teh 2011) at inverse temperature beta."""
    return lr * g - sqrt(2 * lr / beta) * normal
''',
    paper=Paper(
        title="Bayesian Learning via Stochastic Gradient Langevin Dynamics",
        authors="Max Welling, Yee Whye Teh",
        year=2011,
        venue="ICML 2011",
    ),
    tier="1a",
    caveat="For the mean loss; beta is then the number of examples.",
)

RULES = (SAM, EXTRAGRADIENT, RK4_FLOW, ADAHESSIAN, STORM, SPSA, SOPHIA, SGLD)
