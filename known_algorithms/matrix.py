"""Steps that orthogonalize a matrix (row 27)."""

from __future__ import annotations

from .rule import KnownRule, Paper

_MUON_PAPER = Paper(
    title="Muon: An Optimizer for Hidden Layers in Neural Networks",
    authors="Keller Jordan, Yuchen Jin, Vlado Boza, Jiacheng You, Franz Cesista, Laker Newhouse, "
    "Jeremy Bernstein",
    year=2024,
    venue="kellerjordan.github.io/posts/muon",
)

MUON = KnownRule(
    text='''\
def muon(w, g, t, m=0, v=0, *, lr=2e-2, beta=0.95, eps=1e-7, wd=0, b1=0.9, b2=0.999):
    """Muon (Jordan et al. 2024), the author's form; tensors of fewer than two axes get AdamW.

    m serves both. v is AdamW's alone: as large as a vector, of a matrix one number.
    """
    is_matrix = ndim(w) >= 2
    m = lerp(g, m, where(is_matrix, beta, b1))
    u = lerp(g, m, beta)
    X = newton_schulz(u / (norm(u) + eps))
    O = sqrt(maximum(1, rows(w) / columns(w))) * X
    v = lerp(matrix_mean(square(g)), v, b2)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return lr * (where(is_matrix, O, m_hat / (sqrt(v_hat) + eps)) + wd * w)
''',
    paper=_MUON_PAPER,
    row=27,
    tier="2",
    seeds=(1,),
    caveat="The official code runs Newton-Schulz in bfloat16. Rows are outputs and a kernel is "
    "(first axis, rest), as in torch. The author gives embeddings and heads to AdamW as well.",
)

MUON_OPTAX = KnownRule(
    text='''\
def muon_optax(w, g, t, m=0, v=0, *, lr=2e-2, beta=0.95, eps=1e-8, wd=0, b1=0.9, b2=0.999):
    """Muon (Jordan et al. 2024) as in Optax; tensors of fewer than two axes get Nesterov's Adam.

    m serves both. v is Adam's alone: as large as a vector, of a matrix one number.
    """
    is_matrix = ndim(w) >= 2
    b = where(is_matrix, beta, b1)
    m = lerp(g, m, b)
    u = b * m / (1 - b**(t + 1)) + (1 - b) * g / (1 - b**t)
    X = newton_schulz(u / (norm(u) + eps))
    O = sqrt(maximum(1, columns(w) / rows(w))) * X
    v = lerp(matrix_mean(square(g)), v, b2)
    v_hat = v / (1 - b2**t)
    return lr * where(is_matrix, O + wd * w, u / (sqrt(v_hat) + eps))
''',
    paper=_MUON_PAPER,
    row=27,
    tier="2",
    seeds=(1,),
    caveat="The bias-corrected Nesterov momentum and the (in, out) layout are Optax's, not "
    "Jordan's (muon). Optax gives kernels to Adam unless told their axes; here they are "
    "(first axis, rest).",
)

MUON_MOONLIGHT = KnownRule(
    text='''\
def muon_moonlight(w, g, t, m=0, v=0, *, lr=1e-3, beta=0.95, eps=1e-8, wd=0.1, b1=0.9, b2=0.95):
    """Muon with Moonlight's scale (Liu et al. 2025); tensors of fewer than two axes get AdamW.

    A matrix moves by the root mean square of an AdamW step, so that AdamW's lr and wd fit.
    m serves both. v is AdamW's alone: as large as a vector, of a matrix one number.
    """
    is_matrix = ndim(w) >= 2
    m = where(is_matrix, beta * m + g, lerp(g, m, b1))
    u = g + beta * m
    X = newton_schulz(u / (norm(u) + 1e-7))
    O = 0.2 * sqrt(maximum(rows(w), columns(w))) * X
    v = lerp(matrix_mean(square(g)), v, b2)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return lr * (where(is_matrix, O, m_hat / (sqrt(v_hat) + eps)) + wd * w)
''',
    paper=Paper(
        title="Muon is Scalable for LLM Training",
        authors="Jingyuan Liu, Jianlin Su, Xingcheng Yao, Zhejun Jiang, Guokun Lai, Yulun Du, "
        "Yidao Qin, Weixin Xu, Enzhe Lu, Junjie Yan, Yanru Chen, Huabin Zheng, Yibo Liu, "
        "Shaowei Liu, Bohong Yin, Weiran He, Han Zhu, Yuzhi Wang, Jianzhou Wang, Mengnan Dong, "
        "Zheng Zhang, Yongsheng Kang, Hao Zhang, Xinran Xu, Yutao Zhang, Yuxin Wu, Xinyu Zhou, "
        "Zhilin Yang",
        year=2025,
        venue="arXiv",
        arxiv="2502.16982",
    ),
    row=27,
    tier="2",
    seeds=(),
    caveat="The authors give embeddings and heads to AdamW; here they are matrices, because a rule "
    "cannot tell them apart. Their code runs Newton-Schulz in bfloat16, scales a kernel by its "
    "first two axes (here it is (first axis, rest)), and has eps beside the uncorrected root.",
)

RULES = (MUON, MUON_OPTAX, MUON_MOONLIGHT)
