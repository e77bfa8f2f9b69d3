"""Rules that treat embeddings and the layer of the outputs by other rules than hidden layers.

`group` is 0 for hidden layers, 1 for embeddings and 2 for the layer of the outputs.
"""

from __future__ import annotations

from .matrix import MUON_MOONLIGHT, SCION
from .rule import KnownRule

MUON_WITH_ADAMW = KnownRule(
    text='''\
def muon_with_adamw(
    w, g, t, group, m=0, v=0, *, lr=1e-3, beta=0.95, eps=1e-8, wd=0.1, b1=0.9, b2=0.95
):
    """Muon for hidden matrices, AdamW for vectors, embeddings and heads (Liu et al. 2025).

    Moonlight's scale: a matrix moves by the root mean square of an AdamW step, so that one learning
    rate and one weight decay fit both. m serves both; v is AdamW's alone.
    """
    is_hidden = minimum(group == 0, ndim(w) >= 2)
    m = where(is_hidden, beta * m + g, lerp(g, m, b1))
    u = g + beta * m
    X = newton_schulz(u / (norm(u) + 1e-7))
    O = 0.2 * sqrt(maximum(rows(w), columns(w))) * X
    v = lerp(square(g), v, b2)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return lr * (where(is_hidden, O, m_hat / (sqrt(v_hat) + eps)) + wd * w)
''',
    paper=MUON_MOONLIGHT.paper,
    row=27,
    tier="2",
    caveat="muon_moonlight is the same for models without embeddings and heads, with less state. "
    "The authors' code runs Newton-Schulz in bfloat16 and has eps beside the uncorrected root.",
)

SCION_GROUPED = KnownRule(
    text='''\
def scion_grouped(w, g, group, m=0, *, lr=2e-4, alpha=0.1, radius=50, radius_out=3000, eps=1e-7):
    """Unconstrained Scion (Pethick et al. 2025, Algorithm 1) with the norms that its authors use.

    Hidden matrices: the spectral norm from root mean square to root mean square. Embeddings, the
    layer of the outputs and vectors: the largest number, the first two with a radius of their own.
    """
    m = lerp(m, g, alpha)
    O = sqrt(rows(w) / columns(w)) * newton_schulz(m / (norm(m) + eps))
    is_hidden = minimum(group == 0, ndim(w) >= 2)
    return lr * where(group == 0, radius, radius_out) * where(is_hidden, O, sign(m))
''',
    paper=SCION.paper,
    tier="2",
    caveat="The authors scale the first weights, too, which no rule can. Their example shares the "
    "weights of embeddings and outputs; here both have the radius of the outputs.",
)

RULES = (MUON_WITH_ADAMW, SCION_GROUPED)
