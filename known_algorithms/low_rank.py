"""Steps whose state or direction has a low rank; ranks are columns that are not zero."""

from __future__ import annotations

from .rule import KnownRule, Paper

_FORMAL = (
    "The rank is that of the values: state is kept at full size, which saves no memory. A kernel "
    "is (first axis, rest). "
)

GALORE_ADAM = KnownRule(
    text='''\
def galore_adam(
    w, g, t, V=0, U=0, m=0, v=0, *, lr=1e-2, b1=0.9, b2=0.999, eps=1e-8, r=4, k=200, scale=0.25
):
    """GaLore (Zhao et al. 2024, Algorithm 2): Adam in the leading singular directions.

    The shorter side is projected on r directions, which are found anew every k steps.
    """
    is_matrix = ndim(w) >= 2
    tall = rows(w) >= columns(w)
    again = (t - 1) % k == 0
    V = where(again, lead(eigenvectors(matmul(transpose(g), g)), r), V)
    U = where(again, lead(eigenvectors(matmul(g, transpose(g))), r), U)
    G = where(is_matrix, where(tall, matmul(g, V), matmul(transpose(U), g)), g)
    m = lerp(G, m, b1)
    v = lerp(square(G), v, b2)
    N = m / (1 - b1**t) / (sqrt(v / (1 - b2**t)) + eps)
    u = scale * where(tall, matmul(N, transpose(V)), matmul(U, N))
    return lr * where(is_matrix, u, N)
''',
    paper=Paper(
        title="GaLore: Memory-Efficient LLM Training by Gradient Low-Rank Projection",
        authors="Jiawei Zhao, Zhenyu Zhang, Beidi Chen, Zhangyang Wang, Anima Anandkumar, "
        "Yuandong Tian",
        year=2024,
        venue="ICML 2024",
        arxiv="2403.03507",
    ),
    tier="2",
    caveat=_FORMAL + "Optax projects the longer side. After a change of the basis the moments "
    "stand in the old one, so that the signs of singular vectors, which no one fixes, matter.",
)

FIRA = KnownRule(
    text='''\
def fira(
    w, g, t, V=0, U=0, m=0, v=0, last=0,
    *, lr=1e-2, b1=0.9, b2=0.999, eps=1e-6, r=4, k=200, scale=0.25, limit=1.01, wd=0
):
    """Fira (Chen et al. 2024, Algorithm 1): GaLore, and what it leaves out scaled like the rest.

    The norm of that part grows by at most a hundredth a step. Vectors get Adam.
    """
    is_matrix = ndim(w) >= 2
    tall = rows(w) >= columns(w)
    again = (t - 1) % k == 0
    V = where(again, lead(eigenvectors(matmul(transpose(g), g)), r), V)
    U = where(again, lead(eigenvectors(matmul(g, transpose(g))), r), U)
    G = where(is_matrix, where(tall, matmul(g, V), matmul(transpose(U), g)), g)
    m = lerp(G, m, b1)
    v = lerp(square(G), v, b2)
    N = m / (sqrt(v) + eps)
    D = diagonal(matmul(N, transpose(N)))
    E = diagonal(matmul(G, transpose(G)))
    by_row = sqrt(D) / (sqrt(E) + 1e-8)
    D = diagonal(matmul(transpose(N), N))
    E = diagonal(matmul(transpose(G), G))
    by_column = sqrt(D) / (sqrt(E) + 1e-8)
    X = g - scale * where(tall, matmul(G, transpose(V)), matmul(U, G))
    S = where(tall, matmul(by_row, X), matmul(X, by_column))
    n = norm(S)
    a = where(t == 1, 1, maximum(n / (last + 1e-8), limit) / limit)
    last = n / a
    u = scale * where(tall, matmul(N, transpose(V)), matmul(U, N)) + S / a
    s = sqrt(1 - b2**t) / (1 - b1**t)
    return lr * (s * where(is_matrix, u, N) + wd * w)
''',
    paper=Paper(
        title="Fira: Can We Achieve Full-rank Training of LLMs Under Low-rank Constraint?",
        authors="Xi Chen, Kaituo Feng, Changsheng Li, Xunhao Lai, Xiangyu Yue, Ye Yuan, "
        "Guoren Wang",
        year=2024,
        venue="arXiv",
        arxiv="2410.01623",
    ),
    tier="2",
    caveat=_FORMAL + "The official code subtracts the projection after it has scaled it.",
)

APOLLO_MINI = KnownRule(
    text='''\
def apollo_mini(
    w, g, t, normal, Z=0, m=0, v=0, p=0, q=0, last=0,
    *, lr=1e-2, b1=0.9, b2=0.999, eps=1e-6, k=200, scale=128, limit=1.01, wd=0
):
    """APOLLO-Mini (Zhu et al. 2025): SGD whose size is that of Adam in one random direction.

    The shorter side is projected. m and v are of rows, p and q of columns; vectors get Adam.
    """
    is_matrix = ndim(w) >= 2
    tall = rows(w) >= columns(w)
    Z = where((t - 1) % k == 0, normal, Z)
    Y = where(is_matrix, sqrt(rows(w)) * column_mean(Z), 1)
    R = columns(w) * row_mean(Y * g)
    C = rows(w) * column_mean(sqrt(columns(w)) * row_mean(Z) * g)
    m = lerp(R, m, b1)
    v = lerp(square(R), v, b2)
    p = lerp(C, p, b1)
    q = lerp(square(C), q, b2)
    M = m / (sqrt(v) + eps)
    P = p / (sqrt(q) + eps)
    y = sqrt(rows(w) * column_mean(square(M))) / (sqrt(rows(w) * column_mean(square(R))) + 1e-8)
    z = sqrt(columns(w) * row_mean(square(P))) / (sqrt(columns(w) * row_mean(square(C))) + 1e-8)
    S = where(tall, y, z) * g
    n = norm(S)
    a = where(t == 1, 1, maximum(n / (last + 1e-8), limit) / limit)
    last = n / a
    s = sqrt(1 - b2**t) / (1 - b1**t)
    return lr * (s * where(is_matrix, sqrt(scale) * S / a, M) + wd * w)
''',
    paper=Paper(
        title="APOLLO: SGD-like Memory, AdamW-level Performance",
        authors="Hanqing Zhu, Zhenyu Zhang, Wenyan Cong, Xi Liu, Sem Park, Vikas Chandra, Bo Long, "
        "David Z. Pan, Zhangyang Wang, Jinwon Lee",
        year=2025,
        venue="MLSys 2025",
        arxiv="2412.05270",
    ),
    tier="2",
    caveat="The rank is 1 and the scale one for each tensor; APOLLO itself has ranks of 256 and "
    "scales per channel. Rows and columns of a kernel are along its last two axes.",
)

DION = KnownRule(
    text='''\
def dion(
    w, g, t, normal, m=0, Q=0, v=0, *, lr=1e-2, mu=0.95, r=4, eps=1e-8, wd=1e-2, b1=0.9, b2=0.95
):
    """Dion (Ahn et al. 2025, Algorithm 1): low-rank Muon, what it leaves out stays in momentum.

    Q holds r directions from a step of power iteration each. Tensors of fewer than two axes get
    AdamW. m serves both; v is AdamW's alone, of a matrix one number.
    """
    is_matrix = ndim(w) >= 2
    Q = where(t == 1, lead(matmul(transpose(normal), normal), r), Q)
    B = m + g
    P = orthonormal(matmul(B, Q))
    R = matmul(transpose(B), P)
    m = where(is_matrix, B - (1 - mu) * matmul(P, transpose(R)), lerp(g, m, b1))
    S = diagonal(matmul(transpose(R), R))
    Q = matmul(R, where(S > 0, S**-0.5, 0))
    O = sqrt(rows(w) / columns(w)) * matmul(P, transpose(Q))
    v = lerp(matrix_mean(square(g)), v, b2)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return lr * (where(is_matrix, O, m_hat / (sqrt(v_hat) + eps)) + wd * w)
''',
    paper=Paper(
        title="Dion: Distributed Orthonormalized Updates",
        authors="Kwangjun Ahn, Byron Xu, Natalie Abreu, Ying Fan, Gagik Magakyan, "
        "Pratyusha Sharma, Zheng Zhan, John Langford",
        year=2025,
        venue="arXiv",
        arxiv="2504.05295",
    ),
    tier="2",
    caveat=_FORMAL + "The centralized form; the first Q is random, here the first columns of a "
    "product of noise. The authors give embeddings and heads other rules and rates.",
)

RULES = (GALORE_ADAM, FIRA, APOLLO_MINI, DION)
