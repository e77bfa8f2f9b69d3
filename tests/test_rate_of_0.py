"""Schedules of the learning rate that start at 0, rest there, or end there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from evoptax.dsl.arrays import Leaves, bind
from evoptax.dsl.export.check import check_export
from evoptax.dsl.export.example import inputs_of, interpreted
from evoptax.dsl.export.formats.optax.write import to_optax
from evoptax.dsl.export.warm_up import SCHEDULES, finite_at_rate_0
from evoptax.dsl.inputs import noise_of
from evoptax.dsl.syntax import parse
from evoptax.dsl.synthetic_loss import oracles_around
from evoptax.known_algorithms.catalogue import KNOWN
from parity_runs import RENAMED
from references.coverage import trajectory_difference
from references.losses import noise
from references.optax_references import OPTAX
from references.problems import STEPS, losses, problem
from references.trajectories import Trajectory

LOSSES = losses()
RATED = [name for name in KNOWN if "lr" in KNOWN[name].program.defaults]
# Ten steps at 0, up to the rate of the comparison, and down to 0 again.
FRACTIONS = np.concatenate([np.zeros(10), np.linspace(0, 1, 8), np.linspace(1, 0, STEPS - 18)])
# Optax calls the schedule of its Schedule-Free with steps from 1, that of what it wraps from 0.
FREE: dict[str, Callable[..., Any]] = {
    "schedule_free_sgd": lambda *, lr, beta, wd: optax.contrib.schedule_free(
        optax.chain(optax.add_decayed_weights(wd), optax.sgd(lr)), lambda t: lr(t - 1), b1=beta
    ),
    "schedule_free_adamw": lambda *, lr, beta, b2, eps, wd: optax.contrib.schedule_free(
        optax.adamw(lr, b1=0.0, b2=b2, eps=eps, weight_decay=wd), lambda t: lr(t - 1), b1=beta
    ),
}
# Whose construction computes with the rate as a number.
NUMBERS = {"primal_averaging", "adafactor", "polyak_sgd"}
# Which Optax's construction divides 0 by 0 at a rate of 0, or whose gradients are no sequence.
ELSEWHERE = {"prodigy", "dadapt_adamw", "lbfgs"}
DIVIDES = """
def divides(w, g, s=0, *, lr=0.1):
    s = s + square(lr)
    return lr * lr / s * g
"""


@pytest.mark.parametrize("schedule", SCHEDULES, ids=["warm-up", "rests at 0", "decay"])
@pytest.mark.parametrize("name", RATED)
def test_known_rules_stay_finite(name: str, schedule: np.ndarray) -> None:
    program = KNOWN[name].program
    inputs = inputs_of(program, len(schedule))
    rates = schedule * program.defaults["lr"]
    for points in interpreted(program, inputs, rates, np.float32):
        for tensors in points.values():
            assert all(np.isfinite(x).all() for x in tensors.values())


@pytest.mark.parametrize(
    "name", [name for name in OPTAX if name in RATED and name not in NUMBERS | ELSEWHERE]
)
def test_known_rules_are_those_of_optax(name: str) -> None:
    reference = OPTAX[name]
    hyper = dict(reference.hyper)
    rates = FRACTIONS * hyper["lr"]
    params, gradients = problem(reference.tensors)
    with jax.enable_x64(True):
        hyper["lr"] = jnp.asarray(rates).__getitem__
        make = FREE.get(name, reference.make)
        theirs = reference.run(make(**hyper), params, gradients)
    del hyper["lr"]
    roles = hyper.pop("roles", None)
    hyper = {RENAMED.get(n, n): x for n, x in hyper.items() if n not in ("scope", "split")}
    program = KNOWN[name].program.with_defaults(**hyper)
    rule = bind(program, np, np.float64)
    w = Leaves(params.values())
    state, ours, points = rule.init(w), [], []
    role = roles and [roles[tensor] for tensor in params]
    for t, gradient in enumerate(gradients, start=1):
        given = {"T": STEPS, "role": role, "hyper": {"lr": rates[t - 1]}, "loss": LOSSES[t - 1]}
        given["oracles"] = oracles_around(w, [*gradient.values()], LOSSES[t - 1])
        given |= {kind: [*noise(kind, t - 1, params).values()] for kind in noise_of(program)}
        w, state, point = rule.step(w, Leaves(gradient.values()), state, t=t, **given)
        ours.append(dict(zip(params, w, strict=True)))
        points.append(dict(zip(params, point, strict=True)))
    evaluated = program.evaluates_elsewhere
    assert (
        trajectory_difference(Trajectory(ours, points if evaluated else None), theirs)
        <= reference.tolerance
    )


def test_a_rule_that_divides_by_the_rate_says_so() -> None:
    """It trains at any other rate, so that it is exported, and checked at its default."""
    program = parse(DIVIDES)
    assert not finite_at_rate_0(program)
    source = to_optax(program)
    assert "The learning rate must never be 0" in source
    check_export(program, source, "optax")
    mended = parse(DIVIDES.replace("/ s", "/ where(s > 0, s, 1)"))
    assert finite_at_rate_0(mended)
    assert "never be 0" not in to_optax(mended)


def test_the_check_warms_up_from_0() -> None:
    """A file that is wrong at 0 alone is refused."""
    from evoptax.dsl.export.check import ExportError

    program = parse("def rule(w, g, *, lr=0.1):\n    return g * where(lr == 0, 0, 1)\n")
    wrong = to_optax(program).replace("lr == 0, 0.0, 1.0", "lr == 0, 1.0, 1.0")
    assert wrong != to_optax(program)
    with pytest.raises(ExportError):
        check_export(program, wrong, "optax")


def test_not_finite_at_any_rate_is_no_matter_of_the_schedule() -> None:
    assert finite_at_rate_0(parse("def rule(w, g, *, lr=1):\n    return lr * log(-abs(w))\n"))
    assert finite_at_rate_0(parse("def rule(w, g):\n    return g\n"))
