"""Configurations by name: presets for searching, and ablations for comparing searches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...dsl.errors import UserError, did_you_mean
from .settings import DISTILLATION, Budget, Evolution, Funnel, SearchConfig, Stage

# Cheap tasks of five families, the cheapest first, because most candidates get no further. Two
# other cheap tasks, heavy_tails and rosenbrock, are left out: there the variance between seeds is
# larger than that between rules. Two problems per task share a learning rate, which penalizes rules
# whose rate must be retuned for each problem.
_FUNNEL = Funnel(
    screen=Stage(("quadratic", "cancer_logistic"), seeds=2),
    proxy=Stage(
        ("deep_linear", "teacher_student", "cancer_completion", "diabetes_quantiles", "digits_mlp"),
        seeds=2,
    ),
    # Other models on other data than those evolved on.
    validation=Stage(("poisson_pinn", "photo_autoencoder", "digits_conv", "text_gru"), seeds=2),
)

PRESETS: Mapping[str, SearchConfig] = {
    # Three minutes on two cores, compilation, tuning of opponents and final comparison included.
    "quick": SearchConfig(
        # Usually the number of candidates is the limit, so that a seed is reproducible; the seconds
        # limit the time on slow machines.
        budget=Budget(seconds=45.0, candidates=600),
        # The other usual rivals make the final comparison 1.7 times as long.
        rivals=("lion",),
        evolution=Evolution(population=200, tournament=4, batch=8, round=200, max_size=40),
        funnel=replace(
            _FUNNEL,
            screen=replace(_FUNNEL.screen, seeds=1),
            proxy=Stage(("deep_linear", "cancer_completion", "diabetes_quantiles", "digits_mlp")),
            validation=Stage(("teacher_student", "digits_conv"), seeds=3),
            # The two cheapest tasks that the search has not seen; target tasks take minutes.
            target=Stage(("digits_autoencoder", "text_transformer"), seeds=5),
            finalists=8,
            confirmed=1,
        ),
    ),
    # Half an hour or so on two cores.
    "standard": SearchConfig(
        budget=Budget(candidates=30_000),
        evolution=Evolution(population=200, tournament=4, round=200, patience=20),
        funnel=replace(_FUNNEL, tuned=2),
    ),
    # An hour of search on two cores, then half an hour of comparison with AdamW and its rivals on
    # tasks that the search has not seen.
    "lion": SearchConfig(
        budget=Budget(seconds=3600.0),
        evolution=Evolution(population=300, tournament=4, islands=2, round=300, patience=20),
        funnel=replace(
            _FUNNEL,
            target=Stage(
                (
                    "cancer_mlp",
                    "digits_autoencoder",
                    "photo_siren",
                    "burgers_pinn",
                    "digits_resnet",
                    "text_lstm",
                    "photo_denoiser",
                    "digits_diffusion",
                    "helmholtz_pinn",
                    "text_transformer_large",
                ),
                seeds=10,
            ),
            tuned=3,
            pruned=True,
        ),
    ),
    # Structures with matrix operations, whose constants are tuned while they live. Seventy-five
    # minutes of search on two cores, then an hour of comparison.
    "structure": SearchConfig(
        budget=Budget(seconds=4500.0),
        start=("adamw", "nadamw", "adan", "lion"),
        evolution=Evolution(
            strategy="structure", grammar="matrix", population=80, tournament=4, batch=8, round=200
        ),
        # The proxies that tell good rules apart as the other tiers do (docs/tasks.md), most of them
        # trained longer than usual, because on short runs ever faster averages win.
        funnel=Funnel(
            screen=Stage(("teacher_student@2steps", "cancer_logistic@2steps")),
            proxy=Stage(
                (
                    "deep_linear@2steps",
                    "poisson_pinn@2steps",
                    "digits_vit",
                    "photo_autoencoder@2steps",
                )
            ),
            validation=Stage(
                ("digits_mlp@4steps", "digits_conv@2steps", "text_gru", "poisson_pinn@4steps"),
                seeds=2,
            ),
            finalists=8,
            confirmed=2,
            target=Stage(
                (
                    "cancer_mlp",
                    "digits_autoencoder",
                    "photo_siren",
                    "burgers_pinn",
                    "digits_resnet",
                    "text_lstm",
                ),
                seeds=10,
            ),
            scaled=Stage(
                tuple(
                    f"{task}@{scale}"
                    for scale in ("4steps", "16steps", "4width")
                    for task in ("digits_autoencoder", "text_lstm")
                ),
                seeds=3,
            ),
            pruned=True,
        ),
    ),
}


# Distillation, without training. The file of traces is still to be given.
DISTILL = "distill"
_DISTILL = SearchConfig(budget=Budget(seconds=600.0), evolution=Evolution(strategy=DISTILLATION))


def _without(**changes: object) -> SearchConfig:
    """The reference search of the ablations, with changes to its evolution.

    It selects on its own proxies, with seeds that the evolution has not seen. So the ablations
    measure how well each search optimizes; held-out tasks then measure what that is worth.
    """
    evolution = Evolution(population=50, tournament=4, batch=8, round=50, patience=20)
    proxies = (*_FUNNEL.screen.tasks, *_FUNNEL.proxy.tasks)
    return SearchConfig(
        budget=Budget(candidates=8000),
        evolution=replace(evolution, **changes),  # type: ignore[arg-type]
        funnel=replace(
            _FUNNEL, validation=Stage(proxies, seeds=4), target=Stage(), champions=1, confirmed=1
        ),
    )


# The reference search without one of its parts each, for benchmarks/ablation.py.
ABLATIONS: Mapping[str, SearchConfig] = {
    "evolution": _without(),
    "no-cache": _without(cache=False),
    "no-gates": _without(gates=False),
    "no-restart": _without(patience=0),
    "no-fresh-problems": _without(round=0),
    "no-warm-start": replace(_without(), start=("sgd",)),
    "islands": _without(islands=4),
    "random": _without(strategy="random"),
    "tune-only": _without(strategy="tune"),
}


def _design(**changes: object) -> SearchConfig:
    """The search for structures from AdamW, or another strategy on the same tasks, as in
    `_without`.
    """
    base = PRESETS["structure"]
    funnel = base.funnel
    proxies = (*funnel.screen.tasks, *funnel.proxy.tasks)
    return replace(
        base,
        start=("adamw",),
        evolution=replace(base.evolution, **changes),  # type: ignore[arg-type]
        funnel=replace(
            funnel,
            validation=Stage(proxies, seeds=4),
            target=Stage(),
            scaled=Stage(),
            champions=1,
            confirmed=1,
            opponent_trials=0,
            pruned=False,
        ),
    )


# Searches that are given the same time: what structures are worth beside constants.
DESIGNS: Mapping[str, SearchConfig] = {
    "tuning": _design(strategy="tune"),
    "evolution-core": _design(strategy="evolution", grammar="core"),
    "structure-core": _design(grammar="core"),
    "structure-matrix": _design(),
}


def preset(name: str) -> SearchConfig:
    """A preset or an ablation by name. Raises UserError naming those that exist."""
    known = {**PRESETS, DISTILL: _DISTILL, **ABLATIONS, **DESIGNS}
    if name not in known:
        raise UserError(
            f"unknown preset '{name}'{did_you_mean(name, known)}; accepted: {', '.join(known)}"
        )
    return known[name]
