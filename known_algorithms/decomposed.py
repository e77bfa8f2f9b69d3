"""Steps that turn or scale a matrix by the eigenvectors of its second moments."""

from __future__ import annotations

from .rule import KnownRule, Paper

_KERNELS = "A kernel is (first axis, rest). "

SHAMPOO = KnownRule(
    text='''\
def shampoo(w, g, L=0, R=0, *, lr=1e-2, eps=1e-6):
    """Shampoo (Gupta et al. 2018, Algorithm 1): inverse roots of both second moments.

    A vector has one, the fourth root of a matrix becomes a square root, as in full AdaGrad.
    """
    L = L + matmul(g, transpose(g))
    R = R + matmul(transpose(g), g)
    U = eigenvectors(L)
    V = eigenvectors(R)
    D = diagonal(matmul(matmul(transpose(U), L), U))
    E = diagonal(matmul(matmul(transpose(V), R), V))
    q = where(ndim(w) < 2, 0, 0.25)
    P = matmul(matmul(U, where(D > 0, (D + eps)**(q - 0.5), 0)), transpose(U))
    Q = matmul(matmul(V, where(E > 0, (E + eps)**-q, 0)), transpose(V))
    return lr * matmul(matmul(P, g), Q)
''',
    paper=Paper(
        title="Shampoo: Preconditioned Stochastic Tensor Optimization",
        authors="Vineet Gupta, Tomer Koren, Yoram Singer",
        year=2018,
        venue="ICML 2018",
        arxiv="1802.09568",
    ),
    tier="2",
    caveat=_KERNELS + "Later versions average the moments, graft the step's size from another rule "
    "and keep the roots for some steps; here they are computed at every step.",
)

SOAP = KnownRule(
    text='''\
def soap(
    w, g, t, L=0, R=0, U=0, V=0, m=0, v=0,
    *, lr=3e-3, b1=0.95, b2=0.95, bp=0.95, eps=1e-8, k=10, wd=1e-2
):
    """SOAP (Vyas et al. 2025, Algorithm 3): Adam in the eigenbasis of Shampoo; vectors get Adam.

    The first step only finds the bases; every k steps one power iteration turns them.
    """
    is_matrix = ndim(w) >= 2
    L = lerp(matmul(g, transpose(g)), L, bp)
    R = lerp(matmul(transpose(g), g), R, bp)
    U = where(t == 1, eigenvectors(L), U)
    V = where(t == 1, eigenvectors(R), V)
    m = where(t == 1, 0, lerp(g, m, b1))
    G = where(is_matrix, matmul(matmul(transpose(U), g), V), g)
    M = where(is_matrix, matmul(matmul(transpose(U), m), V), m)
    v = where(t == 1, 0, lerp(square(G), v, b2))
    s = sqrt(1 - b2**(t - 1)) / (1 - b1**(t - 1))
    N = s * M / (sqrt(v) + eps)
    u = where(is_matrix, matmul(matmul(U, N), transpose(V)), N)
    again = minimum(t > 1, (t - 1) % k == 0)
    U = where(again, orthonormal(matmul(L, U) + 1e-30 * U), U)
    V = where(again, orthonormal(matmul(R, V) + 1e-30 * V), V)
    return where(t == 1, 0, lr * (u + wd * w))
''',
    paper=Paper(
        title="SOAP: Improving and Stabilizing Shampoo using Adam",
        authors="Nikhil Vyas, Depen Morwani, Rosie Zhao, Itai Shapira, David Brandfonbrener, "
        "Lucas Janson, Sham Kakade",
        year=2025,
        venue="ICLR 2025",
        arxiv="2409.11321",
    ),
    tier="2",
    caveat=_KERNELS + "The official code also sorts the basis when it is turned, has a basis for "
    "each axis of a kernel and none for axes above 10,000, and decays the new weights.",
)

ASGO = KnownRule(
    text='''\
def asgo(w, g, V=0, *, lr=1e-2, eps=1e-8):
    """ASGO (An et al. 2025, Algorithm 1): AdaGrad with the rows' full second moment."""
    V = V + matmul(g, transpose(g))
    U = eigenvectors(V)
    D = diagonal(matmul(matmul(transpose(U), V), U))
    P = matmul(matmul(U, where(D > 0, 1 / (sqrt(D) + eps), 0)), transpose(U))
    return lr * matmul(P, g)
''',
    paper=Paper(
        title="ASGO: Adaptive Structured Gradient Optimization",
        authors="Kang An, Yuxing Liu, Rui Pan, Yi Ren, Shiqian Ma, Donald Goldfarb, Tong Zhang",
        year=2025,
        venue="NeurIPS 2025",
        arxiv="2503.20762",
    ),
    tier="2",
    caveat=_KERNELS + "The one-sided Shampoo of Xie et al. (arXiv:2503.10537) is the same with eps "
    "inside the root. In practice both moments are averaged.",
)

POLARGRAD = KnownRule(
    text='''\
def polargrad(w, g, t, m=0, v=0, *, lr=1e-3, beta=0.95, eps=1e-8, wd=0, b1=0.9, b2=0.999):
    """PolarGrad (Lau et al. 2025): the momentum's polar factor times its nuclear norm.

    Tensors of fewer than two axes get AdamW. m serves both; v is AdamW's, of a matrix one number.
    """
    is_matrix = ndim(w) >= 2
    m = lerp(g, m, where(is_matrix, beta, b1))
    S = matmul(m, transpose(m))
    U = eigenvectors(S)
    D = diagonal(matmul(matmul(transpose(U), S), U))
    P = matmul(matmul(U, where(D > 1e-12 * max(D), D**-0.5, 0)), transpose(U))
    O = matmul(P, m)
    v = lerp(matrix_mean(square(g)), v, b2)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return lr * (where(is_matrix, dot(m, O) * O, m_hat / (sqrt(v_hat) + eps)) + wd * w)
''',
    paper=Paper(
        title="PolarGrad: A Class of Matrix-Gradient Optimizers from a Unifying Preconditioning "
        "Perspective",
        authors="Tim Tsz-Kit Lau, Qi Long, Weijie Su",
        year=2025,
        venue="arXiv",
        arxiv="2505.21799",
    ),
    tier="2",
    caveat=_KERNELS + "Momentum first. The polar factor is exact, from eigenvectors; the authors "
    "use QDWH or ZOLO iterations. Singular values below a millionth of the largest count as 0.",
)

RULES = (SHAMPOO, SOAP, ASGO, POLARGRAD)
