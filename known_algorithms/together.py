"""Rules that several members run together: workers, clients, examples, arms or constraints.

Rows 47 and 51-69 of the list, and 79 and 80.
"""

from __future__ import annotations

from .rule import KnownRule, Paper

_MERGING = Paper(
    title="Merging Models with Fisher-Weighted Averaging",
    authors="Michael Matena, Colin Raffel",
    year=2022,
    venue="NeurIPS 2022",
    arxiv="2111.09832",
)
_ANARCHIC = Paper(
    title="Anarchic Federated Learning",
    authors="Haibo Yang, Xin Zhang, Prashant Khanduri, Jia Liu",
    year=2022,
    venue="ICML 2022",
    arxiv="2108.09875",
)
_VANISHING = Paper(
    title="Vanishing Variance Problem in Fully Decentralized Neural-Network Systems",
    authors="Yongding Tian, Zhuoran Guo, Jiaxuan Zhang, Zaid Al-Ars",
    year=2024,
    venue="arXiv",
    arxiv="2404.04616",
)

OPEN_ES = KnownRule(
    text='''\
def open_es(w, g, own_normal, *, lr=1e-2, sigma=0.1):
    """OpenAI's evolution strategy (Salimans et al. 2017): members are antithetic pairs."""
    F = loss_at(w + sigma * own_normal) - loss_at(w - sigma * own_normal)
    return lr * mean_members(F * own_normal) / (2 * sigma)
''',
    paper=Paper(
        title="Evolution Strategies as a Scalable Alternative to Reinforcement Learning",
        authors="Tim Salimans, Jonathan Ho, Xi Chen, Szymon Sidor, Ilya Sutskever",
        year=2017,
        venue="arXiv",
        arxiv="1703.03864",
    ),
    row=47,
    tier="4",
    seeds=(1,),
    caveat="Losses as they are, without ranks, and no weight decay.",
)

DP_SGD = KnownRule(
    text='''\
def dp_sgd(w, g, normal, members, *, lr=1e-2, C=1, noise=1):
    """DP-SGD (Abadi et al. 2016): clipped gradients of examples, who are members, and noise."""
    return lr * (mean_members(clip_by_global_norm(g, C)) + noise * C / members * normal)
''',
    paper=Paper(
        title="Deep Learning with Differential Privacy",
        authors="Martin Abadi, Andy Chu, Ian Goodfellow, H. Brendan McMahan, Ilya Mironov, "
        "Kunal Talwar, Li Zhang",
        year=2016,
        venue="CCS 2016",
        arxiv="1607.00133",
    ),
    row=51,
    tier="4",
    seeds=(2,),
    caveat="Minibatches are of one size; the accounting of privacy is not part of the rule.",
)

DICE_SGD = KnownRule(
    text='''\
def dice_sgd(w, g, normal, members, e=0, *, lr=1e-2, C1=1, C2=1, noise=1):
    """DiceSGD (Zhang et al. 2024): DP-SGD whose clipping error is fed back, itself clipped."""
    v = mean_members(clip_by_global_norm(g, C1)) + clip_by_global_norm(e, C2)
    e = e + mean_members(g) - v
    return lr * (v + noise * C1 / members * normal)
''',
    paper=Paper(
        title="Differentially Private SGD Without Clipping Bias: An Error-Feedback Approach",
        authors="Xinwei Zhang, Zhiqi Bu, Zhiwei Steven Wu, Mingyi Hong",
        year=2024,
        venue="ICLR 2024",
        arxiv="2311.14632",
    ),
    row=52,
    tier="4",
    seeds=(2,),
    caveat="The paper's form; the official code keeps the error otherwise.",
)

DP_FEDERATED_LAMB = KnownRule(
    text='''\
def dp_federated_lamb(
    w, g, t, normal, x=w, m=0, v=0, *, lr=1e-3, local_lr=1e-2, k=5, C=1, noise=0, b1=0.9, b2=0.999,
    eps=1e-6
):
    """Private federated learning with LAMB as the server (Pelikan et al. 2023).

    k local steps of SGD; then the clipped changes, averaged and noised, are LAMB's gradient at x.
    """
    y = w - local_lr * g
    d = x - y
    layers = global_sum(size(w) / size(w))
    d = where(global_norm(d) >= C, where(norm(d) > 0, C * sqrt(1 / layers) * d / norm(d), d), d)
    G = mean_members(d) + noise * normal
    last = t % k == 0
    m = where(last, lerp(G, m, b1), m)
    v = where(last, lerp(square(G), v, b2), v)
    u = m / (1 - b1**(t / k)) / (sqrt(v / (1 - b2**(t / k))) + eps)
    ratio = where(minimum(norm(x), norm(u)) > 0, norm(x) / norm(u), 1)
    x = where(last, x - lr * ratio * u, x)
    eval_w = x
    return w - where(last, x, y)
''',
    paper=Paper(
        title="Enabling Differentially Private Federated Learning for Speech Recognition: "
        "Benchmarks, Adaptive Optimizers and Gradient Clipping",
        authors="Martin Pelikan, Sheikh Shams Azam, Vitaly Feldman, Jan Silovsky, Kunal Talwar, "
        "Tatiana Likhomanenko",
        year=2023,
        venue="arXiv",
        arxiv="2310.00098",
    ),
    row=53,
    tier="4",
    seeds=(1,),
    caveat="LAMB is written out, since a called rule would turn its averages at every step.",
)

D_SGD = KnownRule(
    text='''\
def d_sgd(w, g, *, lr=1e-2):
    """Decentralized SGD (Lian et al. 2017): each mixes its weights with its neighbours'."""
    return w - mix_members(w) + lr * g
''',
    paper=Paper(
        title="Can Decentralized Algorithms Outperform Centralized Algorithms? A Case Study for "
        "Decentralized Parallel Stochastic Gradient Descent",
        authors="Xiangru Lian, Ce Zhang, Huan Zhang, Cho-Jui Hsieh, Wei Zhang, Ji Liu",
        year=2017,
        venue="NeurIPS 2017",
        arxiv="1705.09056",
    ),
    row=57,
    tier="4",
    seeds=(2,),
    caveat="Gradients are taken before mixing.",
)

MONNA = KnownRule(
    text='''\
def monna(w, g, members, m=0, *, lr=1e-2, beta=0.99, faulty=1):
    """MoNNA (Farhadkhani et al. 2023): momentum, then the mean of the nearest models."""
    m = lerp(g, m, beta)
    return w - nearest_mean(w - lr * m, members - faulty)
''',
    paper=Paper(
        title="Robust Collaborative Learning with Linear Gradient Overhead",
        authors="Sadegh Farhadkhani, Rachid Guerraoui, Nirupam Gupta, Le-Nguyen Hoang, "
        "Rafael Pinot, John Stephan",
        year=2023,
        venue="ICML 2023",
        arxiv="2209.10931",
    ),
    row=58,
    tier="4",
    seeds=(2,),
    caveat="A member's own model is one of the nearest.",
)

FEDAVG = KnownRule(
    text='''\
def fedavg(w, g, t, share, x=w, *, lr=1e-2, outer_lr=1, k=5):
    """FedAvg (McMahan et al. 2017): k local steps, then the mean of all, weighted by shares."""
    y = w - lr * g
    last = t % k == 0
    x = where(last, x + outer_lr * sum_members(share * (y - x)), x)
    eval_w = x
    return w - where(last, x, y)
''',
    paper=Paper(
        title="Communication-Efficient Learning of Deep Networks from Decentralized Data",
        authors="H. Brendan McMahan, Eider Moore, Daniel Ramage, Seth Hampson, "
        "Blaise Aguera y Arcas",
        year=2017,
        venue="AISTATS 2017",
        arxiv="1602.05629",
    ),
    row=59,
    tier="4",
    seeds=(2, 3),
    caveat="All clients take part in each round.",
)

FEDAU = KnownRule(
    text='''\
def fedau(
    w, g, t, arrived, members, x=w, gap=0, total=0, count=0, *, lr=1e-2, outer_lr=1, k=5, cut=50
):
    """FedAU (Wang & Ji 2024): clients weigh by their mean interval between participations.

    arrived is the same in the k steps of a round.
    """
    y = w - lr * g
    last = t % k == 0
    omega = where(count > 0, total / maximum(count, 1), 1)
    x = where(last, x + outer_lr * sum_members(arrived * omega * (y - x)) / members, x)
    ends = last * maximum(arrived, gap + 1 >= cut)
    total = total + ends * (gap + 1)
    count = count + ends
    gap = where(last, where(ends, 0, gap + 1), gap)
    eval_w = x
    return w - where(last, x, y)
''',
    paper=Paper(
        title="A Lightweight Method for Tackling Unknown Participation Statistics in Federated "
        "Averaging",
        authors="Shiqiang Wang, Mingyue Ji",
        year=2024,
        venue="ICLR 2024",
        arxiv="2306.03401",
    ),
    row=60,
    tier="4",
    seeds=(3,),
    caveat="As in the official code, an interval counts from the round after it ended.",
)

AFA_CD = KnownRule(
    text='''\
def afa_cd(w, g, arrived, x=w, *, lr=1e-2, local_lr=1e-2):
    """Anarchic federated averaging across devices (Yang et al. 2022).

    Members hold the point they fetched and walk from it; when one arrives, its change is averaged
    into x, the server's point, which it takes.
    """
    y = w - local_lr * g
    n = maximum(sum_members(arrived), 1)
    x = x - lr * sum_members(arrived * (w - y)) / (local_lr * n)
    eval_w = x
    return w - where(arrived, x, y)
''',
    paper=_ANARCHIC,
    row=61,
    tier="4",
    seeds=(3,),
    caveat="A member that arrives hands in its last local step.",
)

AFA_CS = KnownRule(
    text='''\
def afa_cs(w, g, arrived, table=0, *, lr=1e-2):
    """Anarchic federated averaging across silos (Yang et al. 2022): all latest gradients count."""
    table = where(arrived, g, table)
    return lr * mean_members(table)
''',
    paper=_ANARCHIC,
    row=62,
    tier="4",
    seeds=(3,),
    caveat="With one local step.",
)

GOSSIP_AVERAGING = KnownRule(
    text='''\
def gossip_averaging(w, g, arrived, *, lr=1e-2):
    """Gossip averaging as in Tian et al. 2024: each takes the mean of its own and what arrived."""
    y = w - lr * g
    others = sum_members(arrived * y) - arrived * y
    return w - (others + y) / (1 + sum_members(arrived) - arrived)
''',
    paper=_VANISHING,
    row=64,
    tier="4",
    seeds=(3,),
    caveat="Everybody gets what arrives.",
)

VARIANCE_CORRECTED_AVERAGING = KnownRule(
    text='''\
def variance_corrected_averaging(w, g, t, *, lr=1e-2, k=10, eps=1e-12):
    """Averaging that keeps each tensor's variance (Tian et al. 2024), every k steps."""
    y = w - lr * g
    z = mean_members(y)
    r = sqrt(mean_members(square(std(y))) / (square(std(z)) + eps))
    return w - where(t % k == 0, mean(z) + r * (z - mean(z)), y)
''',
    paper=_VANISHING,
    row=65,
    tier="4",
    seeds=(3,),
)

SIMPLE_MERGING = KnownRule(
    text='''\
def simple_merging(w, g, share):
    """Merging of models by their mean (Wortsman et al. 2022), weighted by shares."""
    return w - sum_members(share * w) / sum_members(share)
''',
    paper=Paper(
        title="Model soups: averaging weights of multiple fine-tuned models improves accuracy "
        "without increasing inference time",
        authors="Mitchell Wortsman, Gabriel Ilharco, Samir Yitzhak Gadre, Rebecca Roelofs, "
        "Raphael Gontijo-Lopes, Ari S. Morcos, Hongseok Namkoong, Ali Farhadi, Yair Carmon, "
        "Simon Kornblith, Ludwig Schmidt",
        year=2022,
        venue="ICML 2022",
        arxiv="2203.05482",
    ),
    row=66,
    tier="4",
    seeds=(3,),
    caveat="One step merges; it has no gradient and no learning rate.",
)

FISHER_MERGING = KnownRule(
    text='''\
def fisher_merging(w, g, share, fisher, *, floor=1e-6):
    """Merging of models by their Fisher information (Matena & Raffel 2022)."""
    F = maximum(fisher, floor) / global_norm(fisher)
    return w - sum_members(share * F * w) / sum_members(share * F)
''',
    paper=_MERGING,
    row=67,
    tier="4",
    seeds=(3,),
    caveat="Every model has the floor, which in the official code is the target's alone.",
)

TOP_K_COMPRESSION = KnownRule(
    text='''\
def top_k_compression(w, g, e=0, *, lr=1e-2, keep=0.25):
    """SGD on each member's largest numbers, with error feedback (Stich et al. 2018)."""
    x = g + e
    c = where(abs(x) >= quantile(abs(x), 1 - keep), x, 0)
    e = x - c
    return lr * mean_members(c)
''',
    paper=Paper(
        title="Sparsified SGD with Memory",
        authors="Sebastian U. Stich, Jean-Baptiste Cordonnier, Martin Jaggi",
        year=2018,
        venue="NeurIPS 2018",
        arxiv="1809.07599",
    ),
    row=68,
    tier="4",
    seeds=(1,),
    caveat="Of each tensor that part of its numbers is sent, at least one.",
)

QSGD = KnownRule(
    text='''\
def qsgd(w, g, uniform, *, lr=1e-2, s=4):
    """QSGD (Alistarh et al. 2017): each member's gradient on s levels, rounded at random."""
    n = norm(g)
    q = s * abs(g) / n + uniform
    return lr * mean_members(where(n > 0, n * sign(g) * (q - q % 1) / s, 0))
''',
    paper=Paper(
        title="QSGD: Communication-Efficient SGD via Gradient Quantization and Encoding",
        authors="Dan Alistarh, Demjan Grubic, Jerry Li, Ryota Tomioka, Milan Vojnovic",
        year=2017,
        venue="NeurIPS 2017",
        arxiv="1610.02132",
    ),
    row=69,
    tier="4",
    seeds=(1,),
    caveat="All members round by the same draws.",
)

LAGRANGE_ASCENT = KnownRule(
    text='''\
def lagrange_ascent(w, g, feedback, b=0, *, lr=1e-2, beta=0.1):
    """Multipliers of constrained RLHF (Moskovitz et al. 2024): ascent on sigmoid(w) * violation.

    Members are constraints, feedback their violations; eval_w is the weight of each.
    """
    s = sigmoid(w)
    b = beta * b + s * (1 - s) * feedback
    eval_w = sigmoid(w + lr * b)
    return -(lr * b)
''',
    paper=Paper(
        title="Confronting Reward Model Overoptimization with Constrained RLHF",
        authors="Ted Moskovitz, Aaditya K. Singh, DJ Strouse, Tuomas Sandholm, "
        "Ruslan Salakhutdinov, Anca D. Dragan, Stephen McAleer",
        year=2024,
        venue="ICLR 2024",
        arxiv="2310.04373",
    ),
    row=79,
    tier="4",
    seeds=(1,),
    caveat="The official code also clips the gradient's norm.",
)

OMEGA_BANDIT = KnownRule(
    text='''\
def omega_bandit(w, g, t, feedback, arrived, members, p=0):
    """Tsallis-INF (Zimmert & Seldin 2021), which chooses omega in learning to relax.

    Members are arms, w is an arm's estimated loss and eval_w its chance to be played next, at first
    equal; arrived marks the arm that was played, feedback its loss. Newton's method starts where
    one arm alone has chance 1, from which it converges.
    """
    k = w + arrived * feedback / where(t == 1, 1 / members, p)
    eta = 2 / sqrt(t + 1)
    x = -max_members(-k) - 2 / eta
    p = 4 / square(eta * (k - x))
    x = x - (sum_members(p) - 1) / sum_members(eta * p**1.5)
    p = 4 / square(eta * (k - x))
    x = x - (sum_members(p) - 1) / sum_members(eta * p**1.5)
    p = 4 / square(eta * (k - x))
    x = x - (sum_members(p) - 1) / sum_members(eta * p**1.5)
    p = 4 / square(eta * (k - x))
    x = x - (sum_members(p) - 1) / sum_members(eta * p**1.5)
    p = 4 / square(eta * (k - x))
    eval_w = p
    return w - k
''',
    paper=Paper(
        title="Tsallis-INF: An Optimal Algorithm for Stochastic and Adversarial Bandits",
        authors="Julian Zimmert, Yevgeny Seldin",
        year=2021,
        venue="JMLR 22",
        arxiv="1807.07623",
    ),
    row=80,
    tier="4",
    seeds=(1,),
    caveat="Four steps of Newton's method, after which the chances add up to 1 within 0.002; the "
    "code of learning to relax takes 20 from elsewhere and rescales the losses.",
)

RULES = (
    OPEN_ES,
    DP_SGD,
    DICE_SGD,
    DP_FEDERATED_LAMB,
    D_SGD,
    MONNA,
    FEDAVG,
    FEDAU,
    AFA_CD,
    AFA_CS,
    GOSSIP_AVERAGING,
    VARIANCE_CORRECTED_AVERAGING,
    SIMPLE_MERGING,
    FISHER_MERGING,
    TOP_K_COMPRESSION,
    QSGD,
    LAGRANGE_ASCENT,
    OMEGA_BANDIT,
)
