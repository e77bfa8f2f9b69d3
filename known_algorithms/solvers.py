"""Solvers of linear systems A w = b, whose residual A w - b is the gradient g (row 33)."""

from __future__ import annotations

from .rule import KnownRule, Paper

SOR = KnownRule(
    text='''\
def sor(w, g, A, *, omega=1.5):
    """Successive over-relaxation (Young 1954): one sweep, with the lower part of D / omega + L."""
    return solve_lower(A + (1 / omega - 1) * diagonal(A), g)
''',
    paper=Paper(
        title="Iterative Methods for Solving Partial Difference Equations of Elliptic Type",
        authors="David M. Young",
        year=1954,
        venue="Transactions of the American Mathematical Society 76(1)",
    ),
    row=33,
    tier="2",
    seeds=(1,),
    caveat="Needs the matrix A: it solves linear systems and trains no models. 0 < omega < 2.",
)

RULES = (SOR,)
