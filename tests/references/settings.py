"""``reference``: marks the NumPy reference of a rule and says how the rule is compared with it.

The hyperparameters carry the NumPy reference's names and are the documented defaults, except that
learning rates (and some decays) are raised so that a wrong term is visible within 25 steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .problems import ALL
from .trajectories import Reference

ADAM = {"lr": 1e-2, "b1": 0.9, "b2": 0.999, "eps": 1e-8}
ADAMW = {**ADAM, "wd": 1e-1}
MODEL = ("tall", "wide", "vector", "kernel")
ROLES = {"tall": 1.0, "wide": -1.0, "vector": -1.0, "kernel": 1.0, "scalar": 1.0}
GROUPS = {"tall": 0.0, "wide": 1.0, "vector": 0.0, "kernel": 0.0, "scalar": 2.0}
NOT_OFFICIAL = "derived from the equations, not official"


@dataclass(frozen=True)
class Setting:
    """The setting of a rule's comparisons, and how much state its leanest reference holds.

    Attributes:
        provenance: N (matched a named implementation), C (read from official code), S (third-party
            source), U (not verified), for the equation that the NumPy reference follows.
        hyper: the hyperparameters on both sides, complete: no comparison leans on a default.
        tensors: entries of ``problems.SHAPES`` that the rule is defined on.
        note: a choice that the sources leave open.
        copies: how many copies of the weights the leanest reference holds (torch.optim, Optax or
            official code); None where it depends on the tensor's shape.
        numbers: how many numbers it holds besides, for each tensor or for the whole model: weights
            of averages, squared norms, and the hyperparameter that says where to evaluate, which
            Optax's Schedule-Free holds as b1. The count of steps is left out.
    """

    provenance: str
    hyper: dict[str, Any]
    tensors: tuple[str, ...] = ALL
    note: str = ""
    copies: int | None = None
    numbers: int = 0


def reference(
    provenance: str, hyper: dict[str, Any], **more: Any
) -> Callable[[Reference], Reference]:
    """Marks the NumPy reference of the rule of its name; the arguments are those of `Setting`."""

    def marked(function: Reference) -> Reference:
        function.setting = Setting(provenance, hyper, **more)  # type: ignore[attr-defined]
        return function

    return marked


@dataclass(frozen=True)
class Omitted:
    """A documented rule that is not here: its row in the list of rules, and why."""

    row: int
    why: str


OMITTED: dict[str, Omitted] = {
    "lanton": Omitted(
        28,
        "the formulas of alpha_l and eta_l and the defaults could not be read in the paper's own "
        "text (arXiv 2510.14009), and no code was found",
    ),
    "fgsam": Omitted(36, "it asks for the gradient of a second loss"),
    "fgsam_plus": Omitted(37, "it asks for the gradient of a second loss"),
    "saf": Omitted(38, "its content is a loss, and the base optimizer any other"),
    "mesa": Omitted(39, "its content is a loss, and the base optimizer any other"),
    "gradient_normalized_newton": Omitted(43, "it repeats a step until it is accepted"),
    "bsvrb": Omitted(45, "it has nested losses; its kernel is storm"),
    "adaptive_eta": Omitted(46, "it asks for the gradient of a second loss"),
    "learned_optimizer": Omitted(48, "its content is a learned objective"),
    "augmented_lagrangian": Omitted(49, "it is a solver with constraints"),
    "lanczos_learner": Omitted(50, "it needs ten products and the eigenvalues of their matrix"),
    "adadagrad": Omitted(54, "it sets the batch size"),
    "adadagrad_norm": Omitted(55, "it sets the batch size"),
    "agvm": Omitted(56, "its learning rates are those of groups of tensors"),
    "fedld": Omitted(63, "it needs the members' principal gradients"),
    "power_sgd": Omitted(70, "it orthonormalizes columns"),
    "l_greco": Omitted(71, "it is a program of the host; its kernel is a choice of ranks"),
    "pada": Omitted(72, "it is a rule for sampling"),
    "refined_schedule": Omitted(75, "it is a schedule made from a whole run"),
}
