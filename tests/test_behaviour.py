"""The behavioural fingerprint: equal where rules train alike, different where they do not."""

from __future__ import annotations

import dataclasses
from random import Random

import numpy as np
import pytest
from evoptax.dsl.algebra.canonical import program_digest
from evoptax.dsl.inputs import Source, refusal
from evoptax.dsl.numpy.in_place import bind_in_place
from evoptax.dsl.program import Call, Hyperparameter, Name, Program
from evoptax.dsl.syntax import format_program, parse
from evoptax.known_algorithms.catalogue import KNOWN, get_known
from evoptax.search.filters.descent import QUADRATICS, VALLEYS
from evoptax.search.filters.fingerprints import RESOLUTION, Behaviour, behaviour
from evoptax.search.filters.gates import examine, rejection
from evoptax.search.filters.trial import try_out
from evoptax.search.mutation.mutate import mutate
from programs import random_program, small_program

SHAPES = ((4, 3), (5,), ())
WEIGHTS = 18
STEPS = 40
# Closed loop at three rates, where the gradient follows the weights, and two open ones.
RUNS = 5


def _behaviour(update: str, signature: str = "w, g, *, lr=1e-3", body: str = "") -> Behaviour:
    found = behaviour(parse(f"def f({signature}):\n{body}    return {update}\n"))
    assert found is not None
    return found


SAME = [
    ("lr * sqrt(square(g))", "lr * abs(g)"),
    ("lr * 2 * g", "lr * g"),
    ("lr * tanh(1e30 * g)", "lr * sign(g)"),
    ("lr * g * (1 - square(sin(w)))", "lr * g * square(cos(w))"),
    ("lr * maximum(g, -1e9)", "lr * g"),
    ("lr * g / (abs(g) + 1e-14)", "lr * g / (abs(g) + 1e-20)"),
    ("2 * lr * (g + 0.1 * w)", "lr * (g + 0.1 * w)"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_behaves_the_same_has_one_digest(one: str, other: str) -> None:
    assert _behaviour(one).digest == _behaviour(other).digest


T = "w, g, t, *, lr=1e-3"
TOTAL = "w, g, T, *, lr=1e-3"
DIFFERENT = [
    ("lr * g", "lr * sign(g)", ""),
    ("lr * g", "-lr * g", ""),
    ("lr * g", "lr * (g + 1e-5 * w)", ""),
    # No learning rate makes one of the other.
    ("lr * lr * g", "lr * g", ""),
    ("2 * tanh(lr * g)", "tanh(lr * g)", ""),
    ("minimum(lr, 0.5) * g", "lr * g", ""),
    ("2 * minimum(lr, 0.5) * g", "minimum(lr, 0.5) * g", ""),
    ("lr * g + 0.02 * w", "lr * g + 0.01 * w", ""),
    # The sign of zero is zero, and 0 / 0 is not.
    ("lr * g / abs(g)", "lr * sign(g)", ""),
    # What keeps the denominator from zero.
    ("lr * g / (abs(g) + 1e-8)", "lr * g / (abs(g) + 2e-8)", ""),
    ("lr * clip(g, -9, 9)", "lr * g", ""),
    ("lr * norm(g) * g", "lr * global_norm(g) * g", ""),
    ("lr * mean(g) * g", "lr * sum(g) * g", ""),
    ("lr * g / minimum(t, 50)", "lr * g / t", T),
    ("lr * g * T", "lr * g", TOTAL),
    ("lr * g * T", "lr * g * sqrt(T)", TOTAL),
    ("lr * g", "lr * g * loss", "w, g, loss, *, lr=1e-3"),
]


@pytest.mark.parametrize(("one", "other", "signature"), DIFFERENT)
def test_what_behaves_differently_does_not(one: str, other: str, signature: str) -> None:
    signature = signature or "w, g, *, lr=1e-3"
    assert _behaviour(one, signature).digest != _behaviour(other, signature).digest


def test_state_and_the_evaluation_point_count() -> None:
    signature = "w, g, m=0, *, lr=1e-3"
    digests = {
        _behaviour("lr * m", signature, f"    m = lerp(g, m, {decay})\n{more}").digest
        for decay in (0.9, 0.99)
        for more in ("", "    eval_w = w\n", "    eval_w = w - 2 * lr * m\n")
    }
    assert len(digests) == 6
    new_w = "    m = lerp(g, m, 0.9)\n    eval_w = w - m * lr\n"
    at_w = _behaviour("lr * m", signature, "    m = lerp(g, m, 0.9)\n")
    assert _behaviour("lr * m", signature, new_w).digest == at_w.digest


def test_scale_says_at_which_rates_two_rules_are_one() -> None:
    one, eight = _behaviour("lr * g"), _behaviour("8 * lr * g")
    assert eight.log_scale - one.log_scale == pytest.approx(3)


@pytest.mark.parametrize("update", ["lr * sqrt(-1 - square(g))", "0 * lr * g", "lr / (g - g)"])
def test_nothing_and_what_is_not_finite_has_no_fingerprint(update: str) -> None:
    assert behaviour(parse(f"def f(w, g, *, lr=1e-3):\n    return {update}\n")) is None


# Rules of one behaviour: in LARS as in Optax the learning rate is inside the momentum, which is
# the same while it is constant, and so is the weight decay of AdamC; SWA begins to average after
# more steps than a fingerprint has.
ALIKE = {
    "lars_optax": "lars",
    "adamc": "adamw",
    "swa_sgd": "sgd",
}


def test_known_rules_behave_differently() -> None:
    """Those that the digest tells apart, too."""
    found: dict[str, str] = {}
    alike = {}
    for name, rule in KNOWN.items():
        if refusal(rule.program, Source.GATES):
            continue
        known = behaviour(rule.program)
        assert known is not None, name
        twin = found.setdefault(known.digest, name)
        if program_digest(rule.program) != program_digest(KNOWN[twin].program):
            alike[name] = twin
    assert alike == ALIKE


def _run(program: Program, factor: float, seed: int) -> np.ndarray:
    """Weights and evaluation points, shape (STEPS, 2, RUNS, WEIGHTS)."""
    rng = np.random.default_rng(seed)
    curvature = 10.0 ** rng.uniform(-1.5, 0.0, WEIGHTS)
    start = rng.normal(size=(RUNS, WEIGHTS))
    rates = np.array([[1e-3], [1e-2], [0.3], [1e-2], [1.0]]) * factor
    rule = bind_in_place(program, SHAPES, start, rates)
    found = np.empty((STEPS, 2, RUNS, WEIGHTS))
    for name, value in (("T", float(STEPS)), ("loss", 0.0)):
        if name in rule.inputs:
            rule.inputs[name].fill(value)
    w, g = rule.inputs["w"], rule.inputs["g"]
    with np.errstate(all="ignore"):
        for step in range(STEPS):
            noise = rng.normal(size=g.shape) * 10.0 ** rng.uniform(-3.0, 0.5)
            g[:] = curvature * (w - 0.5) + 0.1 * noise
            g[3:] = noise[3:]
            g[:, :2] = 0.0
            if "t" in rule.inputs:
                rule.inputs["t"].fill(step + 1)
            if "loss" in rule.inputs:
                rule.inputs["loss"][:] = np.sum(curvature * (w - 0.5) ** 2, -1, keepdims=True)
            rule.compute()
            at = rule.eval_w
            new_w = w - rule.update
            found[step] = new_w, new_w if at is None else at
            w[:] = new_w
            rule.advance()
    # A run has diverged, as in training, once any of its weights is not finite.
    diverged = ~np.isfinite(found).all((1, 3)).cumprod(0).astype(bool)
    return np.where(diverged[:, None, :, None], np.nan, found)


def _apart(one: Program, other: Program, factor: float) -> float:
    """How far apart two rules lead, relative to how far they go: nine tenths of all weights.

    Rounding decides on the rest: a sign of what is zero but for it, a run that explodes.
    """
    a, b = _run(one, 1.0, 0), _run(other, factor, 0)
    gone = np.isfinite(a), np.isfinite(b)
    if (gone[0] != gone[1]).mean() > 0.01:
        return np.inf
    with np.errstate(all="ignore"):
        size = np.maximum(np.maximum.accumulate(np.abs(a), axis=0), 1e-3)
        gap = np.abs(a - b) / size
    both = gone[0] & gone[1] & (np.abs(a) < 1e100)
    return float(np.quantile(gap[both], 0.9)) if both.any() else 0.0


def _tunable(program: Program) -> Program:
    """The program with a learning rate, if it has none."""
    if "lr" in program.defaults:
        return program
    return dataclasses.replace(
        program,
        hyperparameters=(Hyperparameter("lr", 1e-3),),
        result=Call("multiply", (Name("lr"), program.result)),
    )


def _candidates() -> list[Program]:
    rng = Random(0)
    found = [_tunable(small_program(rng)) for _ in range(4000)]
    found += [random_program(rng) for _ in range(500)]
    return found + _bred(rng, 1500)


def _bred(rng: Random, count: int) -> list[Program]:
    """Descendants of known rules, by tournaments on how far they descend the gates' problems."""
    line = [get_known(name).program for name in ("adamw", "lion", "sgd")]
    losses = [_loss(program) for program in line]
    while len(line) < count:
        drawn = rng.sample(range(max(0, len(line) - 50), len(line)), 3)
        child = mutate(line[min(drawn, key=losses.__getitem__)], rng)
        if child is not None and rejection(child.program, max_size=60) is None:
            line.append(child.program)
            losses.append(_loss(child.program))
    return line


def _loss(program: Program) -> float:
    """The product of the least losses on both problems."""
    descended = try_out(program).descended
    return float(np.nanmin(descended[QUADRATICS]) * np.nanmin(descended[VALLEYS]))


def test_what_is_merged_trains_alike() -> None:
    """On other, longer and closed loops, other shapes, at rates matched by the scale."""
    first: dict[str, tuple[Program, Behaviour]] = {}
    seen = set()
    merges, chaotic, false = 0, 0, []
    for program in _candidates():
        digest = program_digest(program)
        if digest in seen:
            continue
        seen.add(digest)
        examined = examine(program, max_size=60)
        found = examined.behaviour
        if found is None or examined.rejection:
            continue
        twin, known = first.setdefault(found.digest, (program, found))
        if twin is program:
            continue
        merges += 1
        apart = _apart(twin, program, 2.0 ** (known.log_scale - found.log_scale))
        if apart <= 1e-4:
            continue
        # A fingerprint promises no more than its resolution, and that leads a chaotic rule astray.
        if apart <= 10 * _apart(twin, twin, 1 + RESOLUTION):
            chaotic += 1
        else:
            false.append((apart, format_program(twin), format_program(program)))
    print(f"{len(seen)} programs, {len(first)} behaviours, {merges} merges, {len(false)} false")
    assert merges > 100 and chaotic <= 3
    assert not false, "\n".join(map(str, false))
