"""What a step of a rule costs in evaluations of the gradient."""

from __future__ import annotations

from fractions import Fraction

from ..oracles import ORACLES, oracles_of
from ..program import Program
from .canonical import meaning
from .rewriting import Level
from .terms import postorder

_GRADIENTS = {row.name: row.oracle.gradients for row in ORACLES}
# A loss whose gradient nobody asks costs as much as the loss anywhere else.
_LOSS = _GRADIENTS["loss_at"]


def gradient_evaluations(program: Program) -> Fraction:
    """The gradient evaluations of a step: 1 if g is read, and the costs of what oracles are asked.

    AdamW costs 1, SAM 2. Equal calls count once, and so does what is equal at w: `grad(w)` is g.
    A rule that does not read g does not pay for it, though a training loop may compute it: this is
    what the rule needs.
    """
    terms = set(postorder(meaning(program, Level.EXACT).outputs()))
    read = {name for term in terms for name in term.symbols}
    own = Fraction(1) if "g" in read else _LOSS if "loss" in read else Fraction(0)
    return own + sum((_GRADIENTS.get(term.head, Fraction(0)) for term in terms), Fraction(0))


def cost_of_step(program: Program) -> Fraction:
    """What a step counts in training, in gradient evaluations: at least 1, because a training loop
    computes g for every rule.
    """
    return max(Fraction(1), gradient_evaluations(program)) if oracles_of(program) else Fraction(1)
