"""Members: several optimizers that run one program, each on gradients of its own.

A program is written from one member's view, who may be a worker, a client, an example of a
minibatch or a constraint. All its values are the member's own; the primitives of scope MEMBERS
combine what all members hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .program import Program

# The name of the axis of members, of `jax.vmap` and in exported files.
AXIS = "members"


def weighted(xp: Any, x: Any, weights: Any) -> Any:
    """The sum of what members hold, weighted; a member of weight 0 does not count, even if NaN.

    Args:
      xp: the array namespace.
      x: of M members, (M, …). weights: (M,).
    """
    each = xp.reshape(weights, (-1,) + (1,) * (x.ndim - 1))
    return xp.sum(xp.where(each == 0, xp.zeros_like(x), each * x), axis=0)


def neighbours(xp: Any, own: Any, every: Any, row: Any) -> Any:
    """The weights (M,) of members in a member's row of the mixing matrix, which are these."""
    return row


def nearest(xp: Any, own: Any, every: Any, row: Any, k: Any) -> Any:
    """The weights (M,) of members in the mean of the k nearest, which are equal.

    A member is at distance 0 from itself; of two at one distance the earlier counts as nearer, and
    one that is not finite as farther than all others.

    Args:
      xp: the array namespace.
      own: what a member holds, (N,). every: what all members hold, (M, N).
      row: of the mixing matrix; unused.
      k: how many members count.
    """
    difference = every - own
    rank = xp.argsort(xp.argsort(xp.sum(difference * difference, axis=1), stable=True))
    chosen = xp.where(rank < k, xp.ones_like(every[:, 0]), xp.zeros_like(every[:, 0]))
    return chosen / xp.sum(chosen)


def is_of_members(program: Program) -> bool:
    """Whether a program is of members: it combines what they hold, or reads what only they have."""
    from .inputs import INPUTS
    from .oracles import combined_by

    return any(INPUTS[name].of_members for name in program.inputs) or bool(combined_by(program))
