"""Distillation: scores, fitted literals, and simple rules found again from their traces."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evoptax.dsl.literals import literals, with_literals
from evoptax.dsl.numpy.recorder import CannotBind
from evoptax.dsl.numpy.stepping import Stepper
from evoptax.dsl.numpy.whole_runs import Bound
from evoptax.dsl.program import Program
from evoptax.dsl.syntax import format_program, parse
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.strategies.distillation.distill import (
    EMPTY,
    Settings,
    advance,
    finish,
    init,
    pose,
)
from evoptax.search.strategies.distillation.fitting import Fitted, assess, fit, score
from evoptax.search.strategies.distillation.recording import record, record_rule
from evoptax.search.strategies.distillation.rounding import rounded
from evoptax.search.strategies.distillation.shortening import cleaned
from evoptax.search.strategies.distillation.table import table
from evoptax.search.strategies.distillation.traces import (
    Trace,
    read_traces,
    relative_error,
    write_traces,
)
from evoptax.search.strategies.distillation.variation import vary
from programs import random_program

SIGNSGD = parse("def signsgd(w, g, *, lr=1e-3):\n    return lr * sign(g)\n")


def reference(program: Program, traces: list[Trace]) -> np.ndarray:
    """The updates, (steps, columns), by the reference evaluation."""
    columns = []
    for trace in traces:
        rule = Stepper(program, [w[0] for w in trace.weights], T=trace.steps)
        rows = [
            rule.update([w[t] for w in trace.weights], [g[t] for g in trace.gradients], hyper=hyper)
            for t, hyper in enumerate({"lr": lr} for lr in trace.lr)
        ]
        columns.append(np.stack([np.concatenate([np.ravel(u) for u in row]) for row in rows]))
    return np.concatenate(columns, axis=1)


def test_values_over_traces_are_those_of_the_reference() -> None:
    traces = record_rule(get_known("sgd").program, 0, count=6, steps=24)
    shown = table(traces)
    compared = 0
    for seed in range(700):
        program = random_program(random.Random(seed))
        # Where equal numbers are compared, rounding decides.
        if any(sign in format_program(program) for sign in ("<", ">", "==", "!=", "%", "sign")):
            continue
        try:
            with np.errstate(all="ignore"):
                found = Bound(program, shown).predict()[:, 0]
                expected = reference(program, traces)
        except CannotBind:
            continue
        size = np.max(np.abs(expected[np.isfinite(expected)]), initial=0.0)
        same = np.isclose(found, expected, rtol=1e-5, atol=1e-9 * size, equal_nan=True)
        assert same.mean() > 0.99, format_program(program)
        compared += 1
    assert compared > 45


@pytest.mark.parametrize("name", ["sgd", "nesterov", "adam", "adabelief", "lion", "lamb"])
def test_a_rule_scores_zero_on_its_own_traces(name: str) -> None:
    program = get_known(name).program
    shown = table(record_rule(program, 0))
    assert score(Bound(program, shown).predict(), shown)[0] < 1e-12
    assert 0.2 < score(np.zeros((1, 1, 1)), shown)[0] < 0.5


def test_scores_are_numbers_from_zero_to_one() -> None:
    shown = table(record_rule(get_known("adam").program, 0))
    for seed in range(300):
        with np.errstate(all="ignore"):
            found, _ = assess(random_program(random.Random(seed)), shown)
        assert 0.0 <= found.score <= 1.0
    for update in ("log(-1 - square(g))", "1 / (g - g)", "exp(exp(exp(10 + abs(g))))"):
        with np.errstate(all="ignore"):
            program = parse(f"def f(w, g, *, lr=1e-3):\n    return lr * {update}\n")
            assert assess(program, shown)[0].score == 1.0


def test_literals_are_fitted_and_rounded() -> None:
    hidden = parse(
        "def f(w, g, m=0, *, lr=1e-3):\n    m = lerp(g, m, 0.97)\n    return lr * (m + 0.3 * g)\n"
    )
    traces = record_rule(hidden, 0, steps=24)
    shown = table(traces)
    start, bound = assess(with_literals(hidden, [0.8, 1.0]), shown)
    assert bound is not None
    found = rounded(fit(start, bound, shown, 30), shown)
    assert start.score > 0.05 and found.score < 1e-12
    assert relative_error(found.program, traces) < 1e-12
    assert 0.97 in literals(found.program)


def test_variation_and_tidying_keep_programs_well_formed() -> None:
    traces = record_rule(get_known("sgd").program, 0, count=6)
    shown = table(traces)
    rng, population = random.Random(0), [EMPTY, get_known("adam").program]
    alike = 0
    for _ in range(300):
        child = vary(rng.choice(population), population, rng, max_size=20, max_state=4)
        if child is None:
            continue
        assert parse(format_program(child)) == child
        assert child.size <= 20 and len(child.state) <= 4
        population = [*population[-40:], child]
        with np.errstate(all="ignore"):
            try:
                a = Bound(child, shown).predict()
                b = Bound(cleaned(child), shown).predict()
            except CannotBind:
                continue
        usable = np.isfinite(a) & np.isfinite(b)
        alike += bool(np.allclose(a[usable], b[usable], rtol=1e-6, atol=1e-12))
    assert alike > 250


def test_a_seed_repeats_exactly_however_it_is_cut() -> None:
    problem = pose(record_rule(get_known("adam").program, 0))
    once = advance(init(5, problem), problem, 120)
    parts = init(5, problem)
    for count in (1, 49, 70):
        parts = advance(parts, problem, count)
    other = advance(init(6, problem), problem, 120)

    def programs(population: tuple[Fitted, ...]) -> list[str]:
        return [format_program(f.program) for f in population]

    assert programs(once.population) == programs(parts.population)
    assert [f.score for f in once.population] == [f.score for f in parts.population]
    assert once.best == parts.best
    assert programs(once.population) != programs(other.population)


# Signs are all the same for many constants: those of Lion show on further traces and steps alone.
@pytest.mark.parametrize(
    "program", [SIGNSGD, *(get_known(name).program for name in ("sgd", "momentum", "lion"))]
)
def test_simple_rules_are_found_from_an_empty_program(program: Program) -> None:
    problem = pose(record_rule(program, 0))
    state = init(0, problem)
    while not state.solved and state.candidates < 6000:
        state = advance(state, problem, 100)
    answer = finish(state, problem)
    fresh = record_rule(program, 1000, steps=40)
    assert relative_error(answer, fresh) < 1e-9, format_program(answer)
    assert answer.size <= 6


def found_in(traces: Sequence[Trace], seed: int = 0) -> Program:
    problem = pose(traces)
    state = init(seed, problem)
    while not state.solved and state.candidates < 4000:
        state = advance(state, problem, 100)
    assert state.solved, format_program(state.best_ever.program)
    return finish(state, problem)


def test_an_answer_that_goes_wrong_after_the_steps_it_was_fitted_to_is_not_found() -> None:
    """Where nothing but its error after those steps tells it from the right one."""
    sgd = get_known("sgd").program
    problem = pose(record_rule(sgd, 0))
    shown = problem.table.shape[0]
    wrong = parse(
        "def distilled(w, g, t, *, lr=1e-3):\n"
        f"    return lr * g * (1 + {1e-9 * 2.0**-shown} * exp2(t))\n"
    )
    tolerance = init(0, problem).settings.tolerance
    found, _ = assess(wrong, problem.table)
    assert found.score < 1e-8
    shorter = [first_steps(trace, shown) for trace in problem.held_out]
    assert relative_error(wrong, shorter) < tolerance
    assert relative_error(wrong, problem.held_out) > tolerance
    assert relative_error(sgd, problem.held_out) == 0


def first_steps(trace: Trace, count: int) -> Trace:
    parts = [tuple(a[:count] for a in x) for x in (trace.weights, trace.gradients, trace.updates)]
    return Trace(trace.names, *parts, trace.lr[:count])


def test_a_learning_rate_may_start_and_end_at_0(tmp_path: Path) -> None:
    rates = np.minimum(np.arange(12) / 4, (11 - np.arange(12)) / 4)
    traces = []
    for trace in record_rule(SIGNSGD, 0, steps=12):
        updates = tuple(
            rates.reshape(-1, *[1] * (g.ndim - 1)) * np.sign(g) for g in trace.gradients
        )
        traces.append(dataclasses.replace(trace, updates=updates, lr=rates))
    write_traces(tmp_path / "warm.npz", traces)
    answer = found_in(read_traces(tmp_path / "warm.npz"))
    assert relative_error(answer, record_rule(SIGNSGD, 1)) < 1e-9, format_program(answer)


@pytest.mark.parametrize("decay", [0.9, 0.99, 0.95])
def test_constants_of_single_precision_become_round(decay: float) -> None:
    """The black box computes in float32, where 0.9 is 0.8999999761581421."""

    def make(lr: float) -> tuple[Any, Any]:
        def update(gradients: Any, state: Any, weights: Any) -> Any:
            state = [
                np.float32(decay) * m + g.astype(np.float32)
                for m, g in zip(state, gradients, strict=True)
            ]
            return [-np.float32(lr) * m for m in state], state

        return lambda weights: [np.zeros_like(w, np.float32) for w in weights], update

    answer = found_in(record(make, 0))
    assert any(math.isclose(x, decay, rel_tol=1e-15) for x in literals(answer)), answer
    assert all(len(repr(x)) < 8 for x in literals(answer)), format_program(answer)


def test_one_learning_rate_becomes_a_factor() -> None:
    traces = record_rule(SIGNSGD, 0, learning_rates=(0.01,))
    problem = pose(traces)
    state = init(0, problem, Settings(patience=500))
    while not state.solved and state.candidates < 6000:
        state = advance(state, problem, 100)
    answer = finish(state, problem)
    assert relative_error(answer, record_rule(SIGNSGD, 1)) < 1e-9, format_program(answer)
