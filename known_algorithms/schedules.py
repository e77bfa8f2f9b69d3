"""Documented schedules of the learning rate (rows 73, 74, 76-78): programs that read neither
weights nor gradients, whose value multiplies a learning rate. Rules call them by name.

Row 75, Defazio et al.'s refined schedule, is none: it needs the gradient norms of a whole earlier
run, and weights each step by all later ones.
"""

from __future__ import annotations

from .rule import KnownRule, Paper

LINEAR_DECAY = KnownRule(
    text='''\
def linear_decay(t, T):
    """Linear decay to 0 (Defazio et al. 2023)."""
    return 1 - t / T
''',
    paper=Paper(
        title="When, Why and How Much? Adaptive Learning Rate Scheduling by Refinement",
        authors="Aaron Defazio, Ashok Cutkosky, Harsh Mehta, Konstantin Mishchenko",
        year=2023,
        venue="arXiv preprint",
        arxiv="2310.07831",
    ),
    row=73,
    tier="5",
    seeds=(1,),
    caveat="The last step is 0; optax.linear_schedule counts from 0 and stops one before.",
)

COSINE_DECAY = KnownRule(
    text='''\
def cosine_decay(t, T):
    """Half a cosine from 1 to 0, without restarts (Loshchilov & Hutter 2017)."""
    return 0.5 * (1 + cos(get_pi() * t / T))
''',
    paper=Paper(
        title="SGDR: Stochastic Gradient Descent with Warm Restarts",
        authors="Ilya Loshchilov, Frank Hutter",
        year=2017,
        venue="ICLR 2017",
        arxiv="1608.03983",
    ),
    row=74,
    tier="5",
    seeds=(1,),
    caveat="The last step is 0; optax.cosine_decay_schedule counts from 0 and stops one before.",
)

LINEAR_BATCH_SCALING = KnownRule(
    text='''\
def linear_batch_scaling(B, *, B0=32):
    """The learning rate grows with the minibatch (Goyal et al. 2017)."""
    return B / B0
''',
    paper=Paper(
        title="Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour",
        authors="Priya Goyal, Piotr Dollár, Ross Girshick, Pieter Noordhuis, Lukasz Wesolowski, "
        "Aapo Kyrola, Andrew Tulloch, Yangqing Jia, Kaiming He",
        year=2017,
        venue="arXiv preprint",
        arxiv="1706.02677",
    ),
    row=76,
    tier="5",
    seeds=(1, 2),
)

SQRT_BATCH_SCALING = KnownRule(
    text='''\
def sqrt_batch_scaling(B, *, B0=32):
    """The learning rate grows with the square root of the minibatch (Krizhevsky 2014)."""
    return sqrt(B / B0)
''',
    paper=Paper(
        title="One weird trick for parallelizing convolutional neural networks",
        authors="Alex Krizhevsky",
        year=2014,
        venue="arXiv preprint",
        arxiv="1404.5997",
    ),
    row=77,
    tier="5",
    seeds=(1, 2),
)

REGIME_ADAPTATION = KnownRule(
    text='''\
def regime_adaptation(t, B, *, B0=32, milestone=1000, factor=0.1):
    """A decay, later by as much as the minibatch is larger (Hoffer et al. 2017)."""
    ratio = B / B0
    return where(t > milestone * (ratio + (0 - ratio) % 1), factor, 1)
''',
    paper=Paper(
        title="Train longer, generalize better: closing the generalization gap in large batch "
        "training of neural networks",
        authors="Elad Hoffer, Itay Hubara, Daniel Soudry",
        year=2017,
        venue="NeurIPS 2017",
        arxiv="1705.08741",
    ),
    row=78,
    tier="5",
    seeds=(2,),
    caveat="The list's own form: the milestone is multiplied by the ratio, rounded up.",
)

SCHEDULES = (
    LINEAR_DECAY,
    COSINE_DECAY,
    LINEAR_BATCH_SCALING,
    SQRT_BATCH_SCALING,
    REGIME_ADAPTATION,
)
