"""Steps that stay on a surface, or leave out what points away from it."""

from __future__ import annotations

from .rule import KnownRule, Paper

ADAMP = KnownRule(
    text='''\
def adamp(
    w, g, t, m=0, v=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8, delta=0.1, wd=0, wd_ratio=0.1
):
    """AdamP (Heo et al. 2021, Algorithm 3): steps along weights that only their scale would feel.

    Those are a matrix's rows, or all of it, that are almost orthogonal to their gradient.
    """
    is_matrix = ndim(w) >= 2
    n = columns(w)
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    u = m / (1 - b1**t) / (sqrt(v / (1 - b2**t)) + eps)
    w_row = sqrt(n * row_mean(square(w)))
    g_row = sqrt(n * row_mean(square(g)))
    c_row = abs(n * row_mean(g * w)) / maximum(g_row * w_row, eps)
    by_row = is_matrix * (max(c_row + 0 * w) < delta / sqrt(n))
    c = abs(dot(g, w)) / maximum(norm(g) * norm(w), eps)
    as_a_whole = is_matrix * (c < delta / sqrt(size(w)))
    a = w / (w_row + eps)
    b = w / (norm(w) + eps)
    p = where(by_row, u - n * row_mean(a * u) * a, where(as_a_whole, u - dot(b, u) * b, u))
    return lr * (p + wd * where(by_row + as_a_whole, wd_ratio, 1) * w)
''',
    paper=Paper(
        title="AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant Weights",
        authors="Byeongho Heo, Sanghyuk Chun, Seong Joon Oh, Dongyoon Han, Sangdoo Yun, "
        "Gyuwan Kim, Youngjung Uh, Jung-Woo Ha",
        year=2021,
        venue="ICLR 2021",
        arxiv="2006.08217",
    ),
    tier="2",
    caveat="Rows of a kernel are along its last axis, where the official code has one for each "
    "output. pytorch_optimizer has eps beside the uncorrected root.",
)

NERO = KnownRule(
    text='''\
def nero(w, g, t, v=0, scale=1, *, lr=1e-2, beta=0.999, eps=1e-8):
    """Nero (Liu et al. 2021, Algorithm 1): rows of matrices stay centred and of norm 1.

    The first step takes them there, from wherever they start. v is a number per row.
    """
    is_matrix = ndim(w) >= 2
    n = columns(w)
    c = w - row_mean(w)
    x = where((t == 1) * is_matrix, c / (sqrt(n * row_mean(square(c))) + eps), w)
    size_of_rows = mean(sqrt(n * row_mean(square(x))) + 0 * x)
    scale = where(t == 1, where(size_of_rows == 0, 1e-2, size_of_rows), scale)
    v = lerp(n * row_mean(square(g)), v, beta)
    y = x - lr * scale * g / (sqrt(v / (1 - beta**t)) + eps)
    c = y - row_mean(y)
    return w - where(is_matrix, c / (sqrt(n * row_mean(square(c))) + eps), y)
''',
    paper=Paper(
        title="Learning by Turning: Neural Architecture Aware Optimisation",
        authors="Yang Liu, Jeremy Bernstein, Markus Meister, Yisong Yue",
        year=2021,
        venue="ICML 2021",
        arxiv="2102.07227",
    ),
    tier="2",
    caveat="The official code moves the weights before the first gradient, which a rule cannot. "
    "Rows of a kernel are along its last axis. A matrix of one column becomes 0.",
)

PROJECTED_EULER = KnownRule(
    text='''\
def projected_euler(w, g, role, *, lr=1e-2, radius=10):
    """A projected dynamical system (Dupuis & Nagurney 1993) by Euler's steps, in a ball."""
    return w - clip_by_global_norm(w - lr * role * g, radius)
''',
    paper=Paper(
        title="Dynamical systems and variational inequalities",
        authors="Paul Dupuis, Anna Nagurney",
        year=1993,
        venue="Annals of Operations Research 44",
    ),
    row=41,
    tier="2",
    seeds=(2,),
    caveat="The feasible set is a ball around 0 of all weights together.",
)

RULES = (ADAMP, NERO, PROJECTED_EULER)
