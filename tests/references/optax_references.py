"""``OPTAX``: the exact Optax construction of each rule that Optax 0.2.8 covers, by name."""

from __future__ import annotations

import jax.numpy as jnp
import optax

from .optax_runner import (
    InnerOuter,
    OptaxReference,
    run_inner_outer,
    run_lookahead,
    run_schedule_free,
)
from .trajectories import Params, Trajectory

MODEL = ("tall", "wide", "vector", "kernel")
ROLES = {"tall": 1.0, "wide": -1.0, "vector": -1.0, "kernel": 1.0, "scalar": 1.0}


def _gda(*, roles: dict[str, float], lr: float) -> optax.GradientTransformation:
    def labels(params: Params) -> dict[str, str]:
        return {name: "min" if roles[name] > 0 else "max" for name in params}

    ascent = optax.chain(optax.scale(-1.0), optax.sgd(lr))
    return optax.partition({"min": optax.sgd(lr), "max": ascent}, labels)


def _adafactor(*, lr: float, d: float, eps2: float) -> optax.GradientTransformation:
    return optax.chain(
        optax.scale_by_factored_rms(
            min_dim_size_to_factor=2,
            decay_rate=0.8,
            decay_rate_fn=lambda step, power: 1.0 - (step + 1.0) ** -power,
        ),
        optax.clip_by_block_rms(d),
        optax.scale_by_param_block_rms(eps2),
        optax.scale_by_schedule(lambda step: -jnp.minimum(lr, 1.0 / jnp.sqrt(step + 1.0))),
    )


OPTAX: dict[str, OptaxReference] = {
    "sgd": OptaxReference(lambda *, lr: optax.sgd(lr), {"lr": 1e-2}),
    "momentum": OptaxReference(
        lambda *, lr, mu: optax.sgd(lr, momentum=mu), {"lr": 1e-2, "mu": 0.9}
    ),
    "nesterov": OptaxReference(
        lambda *, lr, mu: optax.sgd(lr, momentum=mu, nesterov=True), {"lr": 1e-2, "mu": 0.9}
    ),
    "adagrad": OptaxReference(
        lambda *, lr, eps: optax.adagrad(lr, initial_accumulator_value=0.0, eps=0.0 * eps),
        {"lr": 1e-1, "eps": 1e-30},
        note="Optax puts eps inside the root and starts at 0.1: compared with a_0 = 0 and eps "
        "negligible (0 on Optax's side, which guards 0/0 itself)",
    ),
    "adadelta": OptaxReference(
        lambda *, lr, rho, eps: optax.adadelta(lr, rho=rho, eps=eps),
        {"lr": 1.0, "rho": 0.9, "eps": 1e-6},
    ),
    "rmsprop": OptaxReference(
        lambda *, lr, decay, eps: optax.rmsprop(lr, decay=decay, eps=eps, eps_in_sqrt=False),
        {"lr": 1e-2, "decay": 0.99, "eps": 1e-8},
        note="Optax's own defaults are decay 0.9 and eps inside the root",
    ),
    "adam": OptaxReference(
        lambda *, lr, b1, b2, eps: optax.adam(lr, b1=b1, b2=b2, eps=eps),
        {"lr": 1e-2, "b1": 0.9, "b2": 0.999, "eps": 1e-8},
    ),
    "amsgrad_optax": OptaxReference(
        lambda *, lr, b1, b2, eps: optax.amsgrad(lr, b1=b1, b2=b2, eps=eps),
        {"lr": 1e-2, "b1": 0.9, "b2": 0.9, "eps": 1e-8},
        note="b2 = 0.9 so that the running maximum differs from the average within 25 steps",
    ),
    "adamw": OptaxReference(
        lambda *, lr, b1, b2, eps, wd: optax.adamw(lr, b1=b1, b2=b2, eps=eps, weight_decay=wd),
        {"lr": 1e-2, "b1": 0.9, "b2": 0.999, "eps": 1e-8, "wd": 1e-1},
        note="wd = 0.1 rather than 0.01 so that the decay is visible within 25 steps",
    ),
    "adabelief": OptaxReference(
        lambda *, lr, b1, b2, eps: optax.adabelief(lr, b1=b1, b2=b2, eps=eps, eps_root=eps),
        {"lr": 1e-2, "b1": 0.9, "b2": 0.999, "eps": 1e-16},
        note="one eps for both places, as in the paper",
    ),
    "lion": OptaxReference(
        lambda *, lr, b1, b2, wd: optax.lion(lr, b1=b1, b2=b2, weight_decay=wd),
        {"lr": 1e-2, "b1": 0.9, "b2": 0.99, "wd": 1e-1},
        note="Optax's own default is weight_decay 1e-3",
    ),
    "optimistic_gd": OptaxReference(
        lambda *, lr: optax.optimistic_gradient_descent(lr), {"lr": 1e-2}
    ),
    "gda": OptaxReference(
        _gda,
        {"lr": 1e-2, "roles": ROLES},
        note="partition of sgd and sgd on the negated gradient",
    ),
    "lookahead_sgd": OptaxReference(
        lambda *, lr, k, alpha: optax.lookahead(optax.sgd(lr), k, alpha),
        {"lr": 1e-2, "k": 5, "alpha": 0.5},
        run=run_lookahead,
        note="the fast weights are compared; Optax's slow weights are eval_w",
    ),
    "lookahead_adamw": OptaxReference(
        lambda *, lr, b1, b2, eps, wd, k, alpha: optax.lookahead(
            optax.adamw(lr, b1=b1, b2=b2, eps=eps, weight_decay=wd), k, alpha
        ),
        {"lr": 1e-2, "b1": 0.9, "b2": 0.999, "eps": 1e-8, "wd": 1e-1, "k": 5, "alpha": 0.5},
        run=run_lookahead,
        note="the fast weights are compared; the inner state is not reset",
    ),
    "diloco_adamw": OptaxReference(
        lambda *, lr, b1, b2, eps, wd, k, outer_lr, mu: InnerOuter(
            inner=optax.adamw(lr, b1=b1, b2=b2, eps=eps, weight_decay=wd),
            outer=optax.sgd(outer_lr, momentum=mu, nesterov=True),
            every=k,
        ),
        {
            "lr": 1e-2,
            "b1": 0.9,
            "b2": 0.999,
            "eps": 1e-8,
            "wd": 1e-1,
            "k": 5,
            "outer_lr": 0.7,
            "mu": 0.9,
        },
        run=run_inner_outer,
        note="composed: the pseudo-gradient loop is ours, both optimizers are Optax's",
    ),
    "lookahead_gda": OptaxReference(
        lambda *, roles, lr, k, alpha: optax.lookahead(_gda(roles=roles, lr=lr), k, alpha),
        {"lr": 1e-2, "k": 5, "alpha": 0.5, "roles": ROLES},
        run=run_lookahead,
    ),
    "schedule_free_sgd": OptaxReference(
        lambda *, lr, beta, wd: optax.contrib.schedule_free_sgd(lr, b1=beta, weight_decay=wd),
        {"lr": 1e-1, "beta": 0.9, "wd": 1e-2},
        run=run_schedule_free,
        tolerance=1e-11,
        note="Optax recovers x as (y - (1-beta) z)/beta, which loses a digit; decay taken at y",
    ),
    "schedule_free_adamw": OptaxReference(
        lambda *, lr, beta, b2, eps, wd: optax.contrib.schedule_free_adamw(
            lr, b1=beta, b2=b2, eps=eps, weight_decay=wd
        ),
        {"lr": 1e-1, "beta": 0.9, "b2": 0.999, "eps": 1e-8, "wd": 1e-2},
        run=run_schedule_free,
        tolerance=1e-11,
        note="Optax recovers x as (y - (1-beta) z)/beta, which loses a digit; decay taken at y",
    ),
    "adafactor": OptaxReference(
        _adafactor,
        {"lr": 1e-2, "d": 1.0, "eps2": 1e-3},
        tensors=("tall", "wide", "vector", "scalar"),
        note="assembled from Optax's parts with a float64 decay schedule (optax.adafactor "
        "computes it in float32: 2e-9); no kernel: Optax factors the two largest axes, torch "
        "the last two",
    ),
    "lars_optax": OptaxReference(
        lambda *, lr, mu, wd, trust: optax.lars(
            lr, weight_decay=wd, trust_coefficient=trust, momentum=mu
        ),
        {"lr": 1.0, "mu": 0.9, "wd": 1e-2, "trust": 1e-2},
        note="optax.lars as it stands; trust 1e-2 rather than 1e-3 so that steps are visible",
    ),
    "lamb": OptaxReference(
        lambda *, lr, b1, b2, eps, wd: optax.lamb(lr, b1=b1, b2=b2, eps=eps, weight_decay=wd),
        {"lr": 1e-2, "b1": 0.9, "b2": 0.999, "eps": 1e-6, "wd": 1e-1},
        note="the only library that equals the paper's Algorithm 2 with bias correction",
    ),
    "muon_optax": OptaxReference(
        lambda *, lr, beta, eps, wd: optax.contrib.muon(lr, beta=beta, eps=eps, weight_decay=wd),
        {"lr": 2e-2, "beta": 0.95, "eps": 1e-8, "wd": 1e-1},
        tensors=("tall", "wide"),
        note="matrices only: everything else gets AdamW inside optax.contrib.muon",
    ),
    "global_norm_clipping": OptaxReference(
        lambda *, lr, clip: optax.chain(optax.clip_by_global_norm(clip), optax.sgd(lr)),
        {"lr": 1e-1, "clip": 5.0},
        note="the norm is over all tensors of the model; base step SGD",
    ),
}


def run_optax(name: str, params: Params, grads: list[Params]) -> Trajectory:
    """The Optax trajectory of rule ``name`` in float64, with ``OPTAX[name].hyper``.

    Raises:
        KeyError: Optax has no construction of that rule.
    """
    return OPTAX[name].trajectory(params, grads)
