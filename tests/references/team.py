"""What the members of the rules that run together are given, beside gradients of their own."""

from __future__ import annotations

import numpy as np

from .problems import MEMBERS, losses
from .trajectories import Params

SHARES = np.array([0.4, 0.3, 0.2, 0.1])
MIXING = np.array(
    [[0.5, 0.3, 0.0, 0.2], [0.3, 0.4, 0.3, 0.0], [0.0, 0.3, 0.6, 0.1], [0.2, 0.0, 0.1, 0.7]]
)
_LOSS_FACTORS = np.array([1.0, 0.8, 1.3, 0.9])


def arrived(step: int) -> np.ndarray:
    """Who arrives in a step, from 0, shape (members,); the same in two steps that are a round."""
    return np.random.default_rng([step // 2, 17]).choice([0.0, 1.0], MEMBERS, p=[0.6, 0.4])


def feedback(step: int) -> np.ndarray:
    """What members are told in a step, shape (members,), positive.

    So little that a bandit does not diverge, though its arms are not played by its own chances.
    """
    return np.random.default_rng([step, 18]).uniform(0.005, 0.06, MEMBERS)


def fisher(step: int, like: Params) -> Params:
    """Fisher information of a step, some of it below any floor."""
    rng = np.random.default_rng([step, 19])
    return {name: np.maximum(rng.uniform(-0.2, 1.0, x.shape), 0.0) for name, x in like.items()}


def own_losses(steps: int) -> np.ndarray:
    """The members' losses, shape (steps, members)."""
    return np.array(losses(steps))[:, None] * _LOSS_FACTORS
