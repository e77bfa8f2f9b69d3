"""``RULES``: what every rule of rows 1-34 is compared with: hyperparameters, tensors, provenance.

The hyperparameters carry the NumPy reference's names and are the documented defaults, except that
learning rates (and some decays) are raised so that a wrong term is visible within 25 steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .problems import ALL, linear_system

MODEL = ("tall", "wide", "vector", "kernel")
ROLES = {"tall": 1.0, "wide": -1.0, "vector": -1.0, "kernel": 1.0, "scalar": 1.0}
NOT_OFFICIAL = "derived from the equations, not official"


@dataclass(frozen=True)
class Setting:
    """One rule's place in the catalogue and the setting of its comparisons.

    Attributes:
        row: the row of the catalogue.
        provenance: N (matched a named implementation), C (read from official code), S (third-party
            source), U (not verified), for the equation that the NumPy reference follows.
        hyper: the hyperparameters on both sides, complete: no comparison leans on a default.
        tensors: entries of ``problems.SHAPES`` that the rule is defined on.
        note: a choice that the sources leave open.
    """

    row: int
    provenance: str
    hyper: dict[str, Any]
    tensors: tuple[str, ...] = ALL
    note: str = ""


_ADAM = {"lr": 1e-2, "b1": 0.9, "b2": 0.999, "eps": 1e-8}
_ADAMW = {**_ADAM, "wd": 1e-1}
_A, _B = linear_system()

RULES: dict[str, Setting] = {
    "sgd": Setting(1, "N", {"lr": 1e-2}),
    "momentum": Setting(2, "N", {"lr": 1e-2, "mu": 0.9}),
    "nesterov": Setting(3, "N", {"lr": 1e-2, "mu": 0.9}),
    "adagrad": Setting(4, "N", {"lr": 1e-1, "eps": 1e-10}),
    "adadelta": Setting(5, "N", {"lr": 1.0, "rho": 0.9, "eps": 1e-6}),
    "rmsprop": Setting(6, "N", {"lr": 1e-2, "decay": 0.99, "eps": 1e-8}),
    "adam": Setting(7, "N", _ADAM),
    "amsgrad": Setting(8, "N", {**_ADAM, "b2": 0.9}, note="b2 = 0.9 makes the maximum matter"),
    "amsgrad_optax": Setting(8, "N", {**_ADAM, "b2": 0.9}, note="b2 = 0.9, as for amsgrad"),
    "adamw": Setting(9, "N", _ADAMW),
    "adabelief": Setting(10, "N", {**_ADAM, "eps": 1e-16}),
    "diffgrad": Setting(11, "N", _ADAM),
    "adan": Setting(
        12, "N", {"lr": 1e-2, "b1": 0.98, "b2": 0.92, "b3": 0.99, "eps": 1e-8, "wd": 1e-1}
    ),
    "lion": Setting(13, "N", {"lr": 1e-2, "b1": 0.9, "b2": 0.99, "wd": 1e-1}),
    "optimistic_gd": Setting(14, "N", {"lr": 1e-2}),
    "gda": Setting(15, "N", {"lr": 1e-2, "roles": ROLES}),
    "lookahead_sgd": Setting(16, "N", {"lr": 1e-2, "k": 5, "alpha": 0.5}),
    "lookahead_adamw": Setting(16, "N", {**_ADAMW, "k": 5, "alpha": 0.5}),
    "diloco_adamw": Setting(17, "N", {**_ADAMW, "k": 5, "outer_lr": 0.7, "mu": 0.9}),
    "lookahead_gda": Setting(18, "N", {"lr": 1e-2, "k": 5, "alpha": 0.5, "roles": ROLES}),
    "rapp": Setting(19, "N", {"lr": 1e-2, "k": 3, "alpha": 0.9, "roles": ROLES}),
    "primal_averaging": Setting(20, "C", {"lr": 1e-1, "mu": 0.9}),
    "schedule_free_sgd": Setting(21, "N", {"lr": 1e-1, "beta": 0.9, "wd": 1e-2}),
    "schedule_free_adamw": Setting(
        21, "N", {"lr": 1e-1, "beta": 0.9, "b2": 0.999, "eps": 1e-8, "wd": 1e-2}
    ),
    "gpa_adamw": Setting(
        22,
        "N",
        {**_ADAM, "lr": 1e-1, "wd": 0.0, "mu_y": 0.7, "mu_x": 0.9967},
        note="wd = 0: above it the official code is not the equations",
    ),
    "adagrad_norm": Setting(
        23, "U", {"lr": 1.0, "b0_squared": 1e-2, "scope": "model"}, note=NOT_OFFICIAL
    ),
    "adafactor": Setting(
        24,
        "N",
        {"lr": 0.3, "d": 1.0, "eps2": 1e-3},
        note="lr = 0.3 so that min(lr, t^-1/2) takes both of its values",
    ),
    "lars": Setting(25, "N", {"lr": 1.0, "mu": 0.9, "wd": 1e-2, "trust": 1e-2}),
    "lars_optax": Setting(25, "N", {"lr": 1.0, "mu": 0.9, "wd": 1e-2, "trust": 1e-2}),
    "lamb": Setting(26, "N", {**_ADAMW, "eps": 1e-6}),
    "muon": Setting(
        27,
        "N",
        {"lr": 2e-2, "beta": 0.95, "eps": 1e-7, "wd": 1e-1},
        ("tall", "wide", "kernel"),
        note="everything of fewer than two axes belongs to AdamW",
    ),
    "muon_optax": Setting(
        27, "N", {"lr": 2e-2, "beta": 0.95, "eps": 1e-8, "wd": 1e-1}, ("tall", "wide")
    ),
    "sgd_sai": Setting(
        29,
        "N",
        {"lr": 1e-2, "mu": 0.9, "eps": 1e-8, "wd": 1e-1},
        MODEL,
        note="no scalar: the standard deviation of one number is undefined",
    ),
    "coordinate_clipping": Setting(
        30,
        "S",
        {"lr": 1e-2, "mu": 0.9, "p": 0.1},
        MODEL,
        note=f"{NOT_OFFICIAL}; quantile within each tensor, linearly interpolated; on heavy ball",
    ),
    "global_norm_clipping": Setting(
        31, "C", {"lr": 1e-2, "clip": 30.0}, note="on SGD; C = 30 clips half of the steps"
    ),
    "layerwise_clipping": Setting(
        32,
        "C",
        {"lr": 1e-2, "clip": 30.0, "split": "uniform"},
        MODEL,
        note="on SGD; C = 30 clips half of the steps",
    ),
    "sor": Setting(
        33,
        "C",
        {"a": _A, "b": _B, "omega": 1.5},
        ("vector",),
        note="one sweep per step; a and b are problem data, the gradients are not read",
    ),
    "optimistic_omd": Setting(
        34,
        "S",
        {"diameter": 10.0, "radius": 5.0, "lipschitz": 1.0, "delta": 1.0},
        MODEL,
        note=NOT_OFFICIAL,
    ),
}

OMITTED: dict[str, str] = {
    "lanton": "row 28: the formulas of alpha_l and eta_l and the defaults could not be read in the "
    "paper's own text (arXiv 2510.14009), and no code was found",
}
