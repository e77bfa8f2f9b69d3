"""Steps of one size in every coordinate (row 13)."""

from __future__ import annotations

from .rule import KnownRule, Paper

LION = KnownRule(
    text='''\
def lion(w, g, m=0, *, lr=1e-4, b1=0.9, b2=0.99, wd=0):
    """Lion (Chen et al. 2023, Program 1)."""
    u = sign(lerp(g, m, b1))
    m = lerp(g, m, b2)
    return lr * (u + wd * w)
''',
    paper=Paper(
        title="Symbolic Discovery of Optimization Algorithms",
        authors="Xiangning Chen, Chen Liang, Da Huang, Esteban Real, Kaiyuan Wang, Yao Liu, "
        "Hieu Pham, Xuanyi Dong, Thang Luong, Cho-Jui Hsieh, Yifeng Lu, Quoc V. Le",
        year=2023,
        venue="NeurIPS 2023",
        arxiv="2302.06675",
    ),
    row=13,
    tier="1a",
    seeds=(1,),
    caveat="optax's default wd is 1e-3; here it is 0, as in the official code.",
)

RULES = (LION,)
