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

NORMUON = KnownRule(
    text='''\
def normuon(
    w, g, t, m=0, v=0, *, lr=1e-3, beta=0.95, beta2=0.95, eps=1e-8, wd=0.1, b1=0.9, b2=0.95
):
    """NorMuon (Li et al. 2025, Algorithm 1); tensors of fewer than two axes get AdamW.

    Rows of the orthogonalized momentum are divided by the root of their running mean square, and
    the whole moves by 0.2 on average. m and v serve both: a vector's numbers are rows.
    """
    is_matrix = ndim(w) >= 2
    m = lerp(g, m, where(is_matrix, beta, b1))
    X = newton_schulz(m / (norm(m) + 1e-7))
    v = lerp(row_mean(square(where(is_matrix, X, g))), v, where(is_matrix, beta2, b2))
    U = X / (sqrt(v) + eps)
    O = 0.2 * sqrt(size(w)) * U / (norm(U) + eps)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return lr * (where(is_matrix, O, m_hat / (sqrt(v_hat) + eps)) + wd * w)
''',
    paper=Paper(
        title="NorMuon: Making Muon more efficient and scalable",
        authors="Zichong Li, Liming Liu, Chen Liang, Weizhu Chen, Tuo Zhao",
        year=2025,
        venue="arXiv",
        arxiv="2510.05491",
    ),
    tier="2",
    caveat="The official code has Nesterov momentum, and keeps the norm of X in place of the 0.2. "
    "Rows of a kernel are along its last axis, where the code has one for each output.",
)

ADAMUON = KnownRule(
    text='''\
def adamuon(w, g, t, m=0, v=0, *, lr=1e-3, beta=0.95, eps=1e-8, wd=0.1, b1=0.9, b2=0.95):
    """AdaMuon (Si et al. 2025, Algorithm 1); tensors of fewer than two axes get AdamW.

    The sign of the momentum is orthogonalized, divided by the root of its running square, and moves
    by 0.2 on average. m and v serve both.
    """
    is_matrix = ndim(w) >= 2
    m = lerp(g, m, where(is_matrix, beta, b1))
    s = sign(m)
    X = newton_schulz(s / (norm(s) + 1e-7))
    v = lerp(square(where(is_matrix, X, g)), v, where(is_matrix, beta, b2))
    U = X / (sqrt(v) + eps)
    O = 0.2 * sqrt(size(w)) * U / (norm(U) + eps)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return lr * (where(is_matrix, O, m_hat / (sqrt(v_hat) + eps)) + wd * w)
''',
    paper=Paper(
        title="AdaMuon: Adaptive Muon Optimizer",
        authors="Chongjie Si, Debing Zhang, Wei Shen",
        year=2025,
        venue="arXiv",
        arxiv="2507.11005",
    ),
    tier="2",
    caveat="pytorch_optimizer's is the first version of the paper, without the sign. A kernel is "
    "(first axis, rest).",
)

SCION = KnownRule(
    text='''\
def scion(w, g, m=0, *, lr=2e-4, alpha=0.1, radius=50, eps=1e-7):
    """Unconstrained Scion (Pethick et al. 2025, Algorithm 1): the steepest step in a tensor's norm.

    The norm of matrices is the spectral one from root mean square to root mean square, that of the
    others the largest number.
    """
    m = lerp(m, g, alpha)
    O = sqrt(rows(w) / columns(w)) * newton_schulz(m / (norm(m) + eps))
    return lr * radius * where(ndim(w) >= 2, O, sign(m))
''',
    paper=Paper(
        title="Training Deep Learning Models with Norm-Constrained LMOs",
        authors="Thomas Pethick, Wanyun Xie, Kimon Antonakopoulos, Zhenyu Zhu, "
        "Antonio Silveti-Falls, Volkan Cevher",
        year=2025,
        venue="ICML 2025",
        arxiv="2502.07529",
    ),
    tier="2",
    caveat="The authors give embeddings and heads other norms and radii, and scale the first "
    "weights; a rule cannot tell them apart.",
)

MUON_POLAR_EXPRESS = KnownRule(
    text='''\
def muon_polar_express(w, g, t, m=0, v=0, *, lr=2e-2, beta=0.95, eps=1e-7, wd=0, b1=0.9, b2=0.999):
    """Muon with Polar Express (Amsel et al. 2025): five steps, each with its own best quintic.

    Tensors of fewer than two axes get AdamW. m serves both; v is AdamW's, of a matrix one number.
    """
    is_matrix = ndim(w) >= 2
    m = lerp(g, m, where(is_matrix, beta, b1))
    u = lerp(g, m, beta)
    X = u / (1.01 * norm(u) + eps)
    S = matmul(X, transpose(X))
    P = 22.90193498705605 * S - 16.460724910180314 * matmul(S, S)
    X = 8.205160414005574 * X - matmul(P, X)
    S = matmul(X, transpose(X))
    P = 2.8611540867551426 * S - 0.5183995226694741 * matmul(S, S)
    X = 4.066395159942775 * X - matmul(P, X)
    S = matmul(X, transpose(X))
    P = 2.823351735039516 * S - 0.5250369769390025 * matmul(S, S)
    X = 3.9095949044379155 * X - matmul(P, X)
    S = matmul(X, transpose(X))
    P = 2.415301959635945 * S - 0.48529406552790866 * matmul(S, S)
    X = 3.2855640171986153 * X - matmul(P, X)
    S = matmul(X, transpose(X))
    P = 1.619821765265635 * S - 0.39848078704168355 * matmul(S, S)
    X = 2.277873287083977 * X - matmul(P, X)
    O = sqrt(maximum(1, rows(w) / columns(w))) * X
    v = lerp(matrix_mean(square(g)), v, b2)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return lr * (where(is_matrix, O, m_hat / (sqrt(v_hat) + eps)) + wd * w)
''',
    paper=Paper(
        title="The Polar Express: Optimal Matrix Sign Methods and Their Application to the Muon "
        "Algorithm",
        authors="Noah Amsel, David Persson, Christopher Musco, Robert M. Gower",
        year=2025,
        venue="arXiv",
        arxiv="2505.16932",
    ),
    row=27,
    tier="2",
    caveat="The coefficients of the paper's code for singular values from 0.001, divided by powers "
    "of 1.01 as there; in bfloat16 there. Products are of rows by rows, which is "
    "slow for tall matrices. A kernel is (first axis, rest).",
)

RULES = (
    MUON,
    MUON_POLAR_EXPRESS,
    MUON_OPTAX,
    MUON_MOONLIGHT,
    NORMUON,
    ADAMUON,
    SCION,
)
