"""Steps of bounded size: clipped by coordinate, by model and by tensor (rows 30-32)."""

from __future__ import annotations

from .rule import KnownRule, Paper

COORDINATE_CLIPPING = KnownRule(
    text='''\
def coordinate_clipping(w, g, b=0, *, lr=1e-2, mu=0.9, p=0.1):
    """Coordinate-wise clipping (Pan & Li 2023) of heavy-ball momentum at its own quantile."""
    b = mu * b + g
    tau = quantile(abs(b), 1 - p)
    return lr * sign(b) * minimum(abs(b), tau)
''',
    paper=Paper(
        title="Toward Understanding Why Adam Converges Faster Than SGD for Transformers",
        authors="Yan Pan, Yuanzhi Li",
        year=2023,
        venue="arXiv",
        arxiv="2306.00204",
    ),
    row=30,
    tier="2",
    seeds=(1,),
    caveat="Derived from the equations, not from code: the quantile is each tensor's own, linearly "
    "interpolated, and p is unconfirmed.",
)

GLOBAL_NORM_CLIPPING = KnownRule(
    text='''\
def global_norm_clipping(w, g, *, lr=1e-2, C=5):
    """Gradient descent clipped by the model's norm (Pascanu et al. 2013, Algorithm 1)."""
    return lr * clip_by_global_norm(g, C)
''',
    paper=Paper(
        title="On the Difficulty of Training Recurrent Neural Networks",
        authors="Razvan Pascanu, Tomas Mikolov, Yoshua Bengio",
        year=2013,
        venue="ICML 2013",
        arxiv="1211.5063",
    ),
    row=31,
    tier="2",
    seeds=(2,),
    caveat="torch adds 1e-6 to the norm. C = 5 is from big-batch training (Hoffer et al. 2017).",
)

LAYERWISE_CLIPPING = KnownRule(
    text='''\
def layerwise_clipping(w, g, *, lr=1e-2, C=5, by_size=0):
    """Per-layer clipping (Pelikan et al. 2023): over the norm C, each tensor gets its share of C.

    The shares are equal or, with by_size = 1, those of a tensor's numbers in the model's. L counts
    the tensors.
    """
    L = global_sum(size(w) / size(w))
    share = where(by_size, size(w) / global_sum(size(w)), 1 / L)
    scale = where(norm(g) > 0, C * sqrt(share) / norm(g), 1)
    return lr * where(global_norm(g) >= C, scale * g, g)
''',
    paper=Paper(
        title="Enabling Differentially Private Federated Learning for Speech Recognition: "
        "Benchmarks, Adaptive Optimizers and Gradient Clipping",
        authors='Martin Pelikan, Sheikh Shams Azam, Vitaly Feldman, Jan "Honza" Silovsky, '
        "Kunal Talwar, Christopher G. Brinton, Tatiana Likhomanenko",
        year=2023,
        venue="arXiv",
        arxiv="2310.00098",
    ),
    row=32,
    tier="2",
    seeds=(1,),
    caveat="Over the norm C small tensors grow to their share; optax's helper leaves those alone.",
)

RULES = (COORDINATE_CLIPPING, GLOBAL_NORM_CLIPPING, LAYERWISE_CLIPPING)
