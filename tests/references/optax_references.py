"""``OPTAX``: the exact Optax construction of each rule that Optax 0.2.8 covers, by name."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from .by_name import RULES
from .families.matrix import POLAR_EXPRESS
from .optax_runner import (
    InnerOuter,
    OnSystem,
    OptaxReference,
    WithAverage,
    run_asking,
    run_inner_outer,
    run_lookahead,
    run_on_system,
    run_schedule_free,
    run_with_average,
    run_with_losses,
)
from .settings import MODEL
from .trajectories import Params, Trajectory


def _hyper(rule: str, **changed: Any) -> dict[str, Any]:
    return {**RULES[rule].hyper, **changed}


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


def _rows_are_outputs(params: Params) -> dict[str, Any]:
    """The axes of each tensor for Optax's Muon; what another optimizer trains stays masked."""
    return {
        name: x
        if isinstance(x, optax.MaskedNode)
        else contrib.MuonDimensionNumbers(tuple(range(1, x.ndim)), (0,))
        for name, x in params.items()
    }


def _muon(*, lr: float, beta: float, eps: float, wd: float) -> optax.GradientTransformation:
    def shape_factor(x: jax.Array) -> jax.Array:
        rows = x.shape[0]
        return jnp.sqrt(jnp.maximum(1.0, rows * rows / x.size)) * x

    return optax.chain(
        optax.trace(beta, nesterov=True),
        optax.scale(1.0 - beta),
        contrib.scale_by_muon(
            beta=0.0, eps=eps, nesterov=False, weight_dimension_numbers=_rows_are_outputs
        ),
        optax.stateless(lambda updates, _: jax.tree.map(shape_factor, updates)),
        optax.add_decayed_weights(wd),
        optax.scale_by_learning_rate(lr),
    )


def _muon_moonlight(
    *, lr: float, beta: float, eps: float, wd: float, b1: float, b2: float
) -> optax.GradientTransformation:
    def root_mean_square_of_adamw(x: jax.Array) -> jax.Array:
        return 0.2 * jnp.sqrt(jnp.maximum(x.shape[0], x.size // x.shape[0])) * x

    matrices = optax.chain(
        optax.trace(beta, nesterov=True),
        contrib.scale_by_muon(
            beta=0.0, eps=1e-7, nesterov=False, weight_dimension_numbers=_rows_are_outputs
        ),
        optax.stateless(lambda updates, _: jax.tree.map(root_mean_square_of_adamw, updates)),
        optax.add_decayed_weights(wd),
        optax.scale_by_learning_rate(lr),
    )
    others = optax.adamw(lr, b1=b1, b2=b2, eps=eps, weight_decay=wd)

    def labels(params: Params) -> dict[str, str]:
        return {name: "matrix" if x.ndim >= 2 else "other" for name, x in params.items()}

    return optax.partition({"matrix": matrices, "other": others}, labels)


def _muon_polar_express(
    *, lr: float, beta: float, eps: float, wd: float, b1: float, b2: float
) -> optax.GradientTransformation:
    # Optax divides by the norm: the safety factor of the first division goes into its quintic.
    (a, b, c), *others = POLAR_EXPRESS
    first = (a / 1.01, b / 1.01**3, c / 1.01**5)

    def shape_factor(x: jax.Array) -> jax.Array:
        return jnp.sqrt(jnp.maximum(1.0, x.shape[0] ** 2 / x.size)) * x

    matrices = optax.chain(
        optax.trace(beta, nesterov=True),
        optax.scale(1.0 - beta),
        contrib.scale_by_muon(
            ns_coeffs=(first, *others),
            beta=0.0,
            eps=eps / 1.01,
            nesterov=False,
            weight_dimension_numbers=_rows_are_outputs,
        ),
        optax.stateless(lambda updates, _: jax.tree.map(shape_factor, updates)),
        optax.add_decayed_weights(wd),
        optax.scale_by_learning_rate(lr),
    )
    vectors = optax.adamw(lr, b1=b1, b2=b2, eps=eps, weight_decay=wd)

    def labels(params: Params) -> dict[str, str]:
        return {name: "matrix" if x.ndim >= 2 else "other" for name, x in params.items()}

    return optax.partition({"matrix": matrices, "other": vectors}, labels)


def _sam(*, lr: float, rho: float) -> Any:
    adversary = optax.chain(contrib.normalize(), optax.sgd(rho))
    made = contrib.sam(optax.sgd(lr), adversary, opaque_mode=True)
    return optax.GradientTransformationExtraArgs(
        made.init, lambda g, state, w, *, grad_fn, **_: made.update(g, state, w, grad_fn=grad_fn)
    )


def _hessian_diagonal() -> optax.GradientTransformationExtraArgs:
    """Hutchinson's estimator as optax.contrib has it, with signs that are given."""

    def update(_: Any, state: Any, params: Any, *, obj_fn: Any, signs: Any, **__: Any) -> Any:
        product = jax.jvp(jax.grad(obj_fn), (params,), (signs,))[1]
        return jax.tree.map(jnp.multiply, product, signs), state

    return optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)


def _sophia(
    *, lr: float, b1: float, b2: float, rho: float, eps: float, k: int, wd: float
) -> optax.GradientTransformationExtraArgs:
    return contrib.sophia(
        lr,
        b1=b1,
        b2=b2,
        eps=eps,
        weight_decay=wd,
        gamma=rho,
        update_interval=k,
        hessian_diagonal_fn=_hessian_diagonal(),
    )


def _scion(*, lr: float, alpha: float, radius: float, eps: float) -> optax.GradientTransformation:
    def to_root_mean_squares(x: jax.Array) -> jax.Array:
        rows = x.shape[0]
        return jnp.sqrt(rows * rows / x.size) * x

    matrices = optax.chain(
        contrib.scale_by_muon(
            beta=0.0, eps=eps, nesterov=False, weight_dimension_numbers=_rows_are_outputs
        ),
        optax.stateless(lambda updates, _: jax.tree.map(to_root_mean_squares, updates)),
    )

    def labels(params: Params) -> dict[str, str]:
        return {name: "matrix" if x.ndim >= 2 else "other" for name, x in params.items()}

    return optax.chain(
        optax.ema(1 - alpha, debias=False),
        optax.partition({"matrix": matrices, "other": optax.scale_by_sign()}, labels),
        optax.scale(radius),
        optax.scale_by_learning_rate(lr),
    )


def _coordinate_clipping(*, lr: float, mu: float, p: float) -> optax.GradientTransformation:
    def clip(b: jax.Array) -> jax.Array:
        tau = jnp.quantile(jnp.abs(b), 1.0 - p, method="linear")
        return jnp.clip(b, -tau, tau)

    return optax.chain(
        optax.trace(mu),
        optax.stateless(lambda updates, _: jax.tree.map(clip, updates)),
        optax.scale_by_learning_rate(lr),
    )


def _layerwise_clipping(*, lr: float, clip: float, split: str) -> optax.GradientTransformation:
    def clip_layers(updates: Params, _: Params | None) -> Params:
        batch_of_one = [x[None] for x in updates.values()]
        clipped, _ = optax.per_example_layer_norm_clip(
            batch_of_one, global_l2_norm_clip=clip, uniform=split == "uniform"
        )
        return dict(zip(updates, clipped, strict=True))

    return optax.chain(optax.stateless(clip_layers), optax.sgd(lr))


def _entry(rule: str, make: Any, **given: Any) -> OptaxReference:
    given.setdefault("hyper", RULES[rule].hyper)
    given.setdefault("tensors", RULES[rule].tensors)
    return OptaxReference(make, **given)


_MADE: dict[str, tuple[Any, dict[str, Any]]] = {
    "sgd": (lambda *, lr: optax.sgd(lr), {}),
    "momentum": (lambda *, lr, mu: optax.sgd(lr, momentum=mu), {}),
    "nesterov": (lambda *, lr, mu: optax.sgd(lr, momentum=mu, nesterov=True), {}),
    "adagrad": (
        lambda *, lr, eps: optax.adagrad(lr, initial_accumulator_value=0.0, eps=0.0),
        {
            "hyper": _hyper("adagrad", eps=1e-30),
            "note": "Optax puts eps inside the root and starts at 0.1: compared with a_0 = 0 and "
            "a negligible eps (0 on Optax's side, which guards 0/0 itself)",
        },
    ),
    "adadelta": (lambda *, lr, rho, eps: optax.adadelta(lr, rho=rho, eps=eps), {}),
    "rmsprop": (
        lambda *, lr, decay, eps: optax.rmsprop(lr, decay=decay, eps=eps, eps_in_sqrt=False),
        {"note": "Optax's own defaults are decay 0.9 and eps inside the root"},
    ),
    "adam": (lambda *, lr, b1, b2, eps: optax.adam(lr, b1=b1, b2=b2, eps=eps), {}),
    "amsgrad_optax": (lambda *, lr, b1, b2, eps: optax.amsgrad(lr, b1=b1, b2=b2, eps=eps), {}),
    "adamw": (
        lambda *, lr, b1, b2, eps, wd: optax.adamw(lr, b1=b1, b2=b2, eps=eps, weight_decay=wd),
        {},
    ),
    "nadamw": (
        lambda *, lr, b1, b2, eps, wd: optax.nadamw(lr, b1=b1, b2=b2, eps=eps, weight_decay=wd),
        {},
    ),
    "adabelief": (
        lambda *, lr, b1, b2, eps: optax.adabelief(lr, b1=b1, b2=b2, eps=eps, eps_root=eps),
        {"note": "one eps for both places, as in the paper"},
    ),
    "lion": (
        lambda *, lr, b1, b2, wd: optax.lion(lr, b1=b1, b2=b2, weight_decay=wd),
        {"note": "Optax's own default is weight_decay 1e-3"},
    ),
    "optimistic_gd": (lambda *, lr: optax.optimistic_gradient_descent(lr), {}),
    "gda": (_gda, {"note": "partition of sgd and sgd on the negated gradient"}),
    "lookahead_sgd": (
        lambda *, lr, k, alpha: optax.lookahead(optax.sgd(lr), k, alpha),
        {"run": run_lookahead, "note": "w: the fast weights; eval_w: the slow ones"},
    ),
    "lookahead_adamw": (
        lambda *, lr, b1, b2, eps, wd, k, alpha: optax.lookahead(
            optax.adamw(lr, b1=b1, b2=b2, eps=eps, weight_decay=wd), k, alpha
        ),
        {"run": run_lookahead, "note": "w: the fast weights; eval_w: the slow ones"},
    ),
    "diloco_adamw": (
        lambda *, lr, b1, b2, eps, wd, k, outer_lr, mu: InnerOuter(
            inner=optax.adamw(lr, b1=b1, b2=b2, eps=eps, weight_decay=wd),
            outer=optax.sgd(outer_lr, momentum=mu, nesterov=True),
            every=k,
        ),
        {
            "run": run_inner_outer,
            "note": "composed: the outer loop is ours, both optimizers are Optax's",
        },
    ),
    "lookahead_gda": (
        lambda *, roles, lr, k, alpha: optax.lookahead(_gda(roles=roles, lr=lr), k, alpha),
        {"run": run_lookahead},
    ),
    "primal_averaging": (
        lambda *, lr, mu: optax.sgd((1.0 - mu) * lr, momentum=mu, nesterov=True),
        {"note": "an identity: y moves as Nesterov momentum with the step (1-mu)*lr; w only"},
    ),
    "schedule_free_sgd": (
        lambda *, lr, beta, wd: contrib.schedule_free_sgd(lr, b1=beta, weight_decay=wd),
        {"run": run_schedule_free, "note": "Optax recovers x as (y - (1-beta) z)/beta"},
    ),
    "schedule_free_adamw": (
        lambda *, lr, beta, b2, eps, wd: contrib.schedule_free_adamw(
            lr, b1=beta, b2=b2, eps=eps, weight_decay=wd
        ),
        {"run": run_schedule_free, "note": "Optax recovers x as (y - (1-beta) z)/beta"},
    ),
    "adafactor": (
        _adafactor,
        {
            "tensors": ("tall", "wide", "vector", "scalar"),
            "note": "assembled from Optax's parts with the decay schedule in float64 "
            "(optax.adafactor computes it in float32: 2e-9); no kernel: Optax factors the two "
            "largest axes, torch the last two",
        },
    ),
    "lars_optax": (
        lambda *, lr, mu, wd, trust: optax.lars(
            lr, weight_decay=wd, trust_coefficient=trust, momentum=mu
        ),
        {},
    ),
    "lamb": (
        lambda *, lr, b1, b2, eps, wd: optax.lamb(lr, b1=b1, b2=b2, eps=eps, weight_decay=wd),
        {"note": "the only library that equals the paper's algorithm with bias correction"},
    ),
    "muon": (
        _muon,
        {
            "note": "assembled: optax.contrib.muon is another rule (muon_optax); momentum and "
            "Newton-Schulz iteration are Optax's, with the first axis as the output",
        },
    ),
    "muon_optax": (
        lambda *, lr, beta, eps, wd: contrib.muon(lr, beta=beta, eps=eps, weight_decay=wd),
        {"note": "matrices only: everything else gets AdamW inside optax.contrib.muon"},
    ),
    "muon_moonlight": (
        _muon_moonlight,
        {
            "note": "assembled: momentum, Newton-Schulz iteration and AdamW are Optax's; its muon "
            "with consistent_rms=0.2 corrects the bias of the momentum",
        },
    ),
    "coordinate_clipping": (
        _coordinate_clipping,
        {"note": "assembled: optax.trace and jnp.quantile"},
    ),
    "global_norm_clipping": (
        lambda *, lr, clip: optax.chain(optax.clip_by_global_norm(clip), optax.sgd(lr)),
        {},
    ),
    "layerwise_clipping": (
        _layerwise_clipping,
        {
            "hyper": _hyper("layerwise_clipping", lr=1.0, clip=5e-2),
            "note": "per_example_layer_norm_clip on a batch of one; it leaves a tensor that is "
            "below its share alone, so the clip is small enough that none ever is",
        },
    ),
}

_MADE |= {
    "nadam": (lambda *, lr, b1, b2, eps: optax.nadam(lr, b1=b1, b2=b2, eps=eps), {}),
    "ademamix": (
        lambda *, lr, b1, b2, b3, alpha, eps, wd: contrib.ademamix(
            lr, b1=b1, b2=b2, b3=b3, alpha=alpha, eps=eps, weight_decay=wd
        ),
        {},
    ),
    "simplified_ademamix": (
        lambda *, lr, b1, b2, alpha, eps: contrib.simplified_ademamix(
            lr, b1=b1, b2=b2, alpha=alpha, eps=eps
        ),
        {},
    ),
    "adan_optax": (
        lambda *, lr, b1, b2, b3, eps, wd: optax.adan(
            lr, b1=b1, b2=b2, b3=b3, eps=eps, eps_root=eps, weight_decay=wd
        ),
        {},
    ),
    "radam": (
        lambda *, lr, b1, b2, eps, threshold: optax.radam(
            lr, b1=b1, b2=b2, eps=eps, threshold=threshold
        ),
        {},
    ),
    "adamax": (lambda *, lr, b1, b2, eps: optax.adamax(lr, b1=b1, b2=b2, eps=eps), {}),
    "yogi": (lambda *, lr, b1, b2, eps: optax.yogi(lr, b1=b1, b2=b2, eps=eps), {}),
    "adopt": (lambda *, lr, b1, b2, eps: contrib.adopt(lr, b1=b1, b2=b2, eps=eps), {}),
    "acprop": (
        lambda *, lr, b1, b2, eps: contrib.acprop(lr, b1=b1, b2=b2, eps=eps, eps_root=eps),
        {"note": "one eps for both places"},
    ),
    "signsgd": (lambda *, lr: optax.sign_sgd(lr), {}),
    "signum": (lambda *, lr, beta: optax.signum(lr, beta=beta), {}),
    "novograd": (
        lambda *, lr, b1, b2, eps, wd: optax.novograd(lr, b1=b1, b2=b2, eps=eps, weight_decay=wd),
        {},
    ),
    "fromage": (lambda *, lr, min_norm: optax.fromage(lr, min_norm=min_norm), {}),
    "scion": (
        _scion,
        {"note": "assembled: average, Newton-Schulz iteration and sign are Optax's"},
    ),
    "prodigy": (
        lambda *, lr, b1, b2, eps, wd: contrib.prodigy(
            lr, betas=(b1, b2), eps=eps, weight_decay=wd
        ),
        {},
    ),
    "dadapt_adamw": (
        lambda *, lr, b1, b2, eps, wd: contrib.dadapt_adamw(
            lr, betas=(b1, b2), eps=eps, weight_decay=wd
        ),
        {},
    ),
    "dog": (
        lambda *, lr, r_eps, eps: contrib.dog(lr, init_step=("heuristic", r_eps), eps=eps),
        {},
    ),
    "dowg": (
        lambda *, lr, eps: contrib.dowg(lr, init_estim_sq_dist=1e-4, eps=eps),
        {},
    ),
    "cocob": (lambda *, alpha: contrib.cocob(alpha=alpha), {}),
    "polyak_sgd": (
        lambda *, lr, f_min: optax.polyak_sgd(max_learning_rate=lr, f_min=f_min),
        {"run": run_with_losses},
    ),
    "momo": (
        lambda *, lr, beta, f_min, wd: contrib.momo(
            lr, beta=beta, lower_bound=f_min, weight_decay=wd
        ),
        {"run": run_with_losses},
    ),
    "momo_adam": (
        lambda *, lr, b1, b2, eps, f_min, wd: contrib.momo_adam(
            lr, b1=b1, b2=b2, eps=eps, lower_bound=f_min, weight_decay=wd
        ),
        {"run": run_with_losses},
    ),
    "madgrad": (
        lambda *, lr, mu, eps: contrib.madgrad(lr, momentum=mu, eps=eps),
        {"tolerance": 1e-6, "note": "Optax takes the root of the step in float32"},
    ),
    "lbfgs": (
        lambda *, lr, a, b: OnSystem(optax.lbfgs(lr, memory_size=2, linesearch=None), a, b),
        {"run": run_on_system, "note": "memory_size=2, linesearch=None"},
    ),
    "muon_polar_express": (
        _muon_polar_express,
        {"note": "assembled from scale_by_muon with these ns_coeffs"},
    ),
    "sm3": (
        lambda *, lr, b1, eps: optax.chain(
            optax.scale_by_sm3(b1=b1, eps=eps), optax.scale_by_learning_rate(lr)
        ),
        {"tensors": ("tall", "wide", "vector"), "note": "Optax's fails on tensors without axes"},
    ),
    "sam": (_sam, {"run": run_asking, "note": "opaque_mode=True, normalize() and sgd(rho)"}),
    "sophia": (
        _sophia,
        {"run": run_asking, "note": "the same Rademacher vectors in Hutchinson's estimator"},
    ),
    "ema_adamw": (
        lambda *, lr, b1, b2, eps, wd, decay: WithAverage(
            optax.adamw(lr, b1=b1, b2=b2, eps=eps, weight_decay=wd), 1 - decay
        ),
        {"run": run_with_average, "note": "assembled: optax.adamw, optax.incremental_update"},
    ),
}

OPTAX: dict[str, OptaxReference] = {
    rule: _entry(rule, make, **given) for rule, (make, given) in _MADE.items()
}
LAYERWISE_BY_DIMENSION = OptaxReference(
    _layerwise_clipping,
    _hyper("layerwise_clipping", lr=1.0, clip=5e-2, split="dimension"),
    tensors=MODEL,
    note="as OPTAX['layerwise_clipping'], shares by the number of weights",
)


def run_optax(name: str, params: Params, grads: list[Params]) -> Trajectory:
    """The Optax trajectory of rule ``name`` in float64, with ``OPTAX[name].hyper``.

    Raises:
        KeyError: Optax has no construction of that rule.
    """
    return OPTAX[name].trajectory(params, grads)
