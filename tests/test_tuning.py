"""Tuning constants: each replicate has its own, nothing compiles, what is accepted is better."""

from __future__ import annotations

import json
import math
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evoptax.dsl.machine import machine
from evoptax.dsl.machine.bytecode import TooLarge, assemble
from evoptax.dsl.machine.constants import tunable
from evoptax.dsl.program import Program
from evoptax.dsl.syntax import parse
from evoptax.evaluators.cache import ScoreStore
from evoptax.evaluators.protocol import PREFIX, USUAL
from evoptax.evaluators.tasks import get_task
from evoptax.known_algorithms.catalogue import KNOWN
from evoptax.search.config import settings as settings_module
from evoptax.search.config.files import config_from_dict
from evoptax.search.config.seeds import ROUNDS_END, TUNED, TUNING
from evoptax.search.engine.loop import run_search
from evoptax.search.execution.executors.in_process import InProcess
from evoptax.search.execution.executors.processes.workers import Workers
from evoptax.search.execution.jobs import Memory, Trials
from evoptax.search.selection import finals
from evoptax.search.selection.pruning import prune
from evoptax.search.selection.tuning.coordinates import PROTOCOL, coordinates_of, rounded
from evoptax.search.selection.tuning.kept import tuned_once
from evoptax.search.selection.tuning.points import Points
from evoptax.search.selection.tuning.strategy import Strategy
from evoptax.search.selection.tuning.tune import Tuned, tune
from evoptax.search.store.ledger import open_to_read
from evoptax.search.store.runs import create_run
from programs import random_program
from small_search import settings
from trained import Trained

RATES = (1e-3, 1e-2, 3e-2)
# Literals in vector code, in scalar code that varies and in the schedule; one name in all three.
EVERYWHERE = parse(
    "def f(w, g, t, loss, m=0, k=1, *, lr=1e-3, b=0.9):\n"
    "    m = lerp(g, m, b) + 0.3 * sign(g)\n"
    "    k = b * k + 0.05 * loss\n"
    "    return lr * (1 - b**t) * (m + 0.01 * w) * exp(-0.02 * k) * t**0.2\n"
)
MOMENTUM = KNOWN["momentum"].program.with_defaults(mu=0.1)
TASKS = {"quadratic": None, "deep_linear": 100}


@pytest.fixture(scope="module")
def quadratic() -> Trained:
    return Trained(get_task("quadratic"))


def _programs() -> Iterator[Program]:
    yield EVERYWHERE
    yield from (KNOWN[name].program for name in ("adamw", "lion", "adagrad", "nesterov", "adan"))
    yield from (random_program(random.Random(seed)) for seed in range(40))


def _varied(program: Program, rng: random.Random) -> dict[str, list[float]]:
    """Three values of everything that can be tuned, the first as it is."""
    places = (0.0, rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5))
    return {c.name: [c.value(x) for x in places] for c in coordinates_of(tunable(program))}


def test_replicates_train_as_programs_with_their_constants(quadratic: Trained) -> None:
    rng = random.Random(0)
    compared = told_apart = 0
    for program in _programs():
        rule, values = tunable(program), _varied(program, rng)
        try:
            together = quadratic.machine(rule.program, RATES, (0,), steps=5, hyperparameters=values)
        except TooLarge:
            continue
        for i in range(len(RATES)):
            own = rule.with_values({name: found[i] for name, found in values.items()})
            alone = quadratic.machine(own, RATES, (0,), steps=5)
            np.testing.assert_allclose(together.score[0, i], alone.score[0, i], rtol=1e-5)
        as_it_is = quadratic.machine(program, RATES, (0,), steps=5)
        told_apart += not np.allclose(as_it_is.score, together.score, rtol=1e-4)
        compared += 1
    assert compared >= 40
    assert told_apart >= 15, "most constants must matter, or nothing was compared"


def test_constants_cost_no_compilation(quadratic: Trained) -> None:
    rng = random.Random(1)
    lean: Any = quadratic.backend("machine")._loops["lean"]  # type: ignore[attr-defined]
    counts = set()
    for program in _programs():
        rule = tunable(program)
        for hyperparameters in (None, _varied(program, rng)):
            try:
                quadratic.machine(
                    rule.program, RATES, (0,), steps=5, hyperparameters=hyperparameters
                )
            except TooLarge:
                continue
            compiled = (lean._begin, lean._advance, machine.schedule)
            counts.add(tuple(function._cache_size() for function in compiled))
    assert len(counts) == 1
    assert next(iter(counts))[:2] == (1, 1)


def test_bound_or_not_the_machine_computes_the_same() -> None:
    """What hyperparameters alone decide is computed in float64, as constants are folded."""
    program = KNOWN["lamb"].program
    bound = assemble(program)
    unbound = assemble(program, bound_hyperparameters=False)
    assert unbound.s_length == bound.s_length and unbound.schedule_length == bound.schedule_length
    assert sorted(unbound.constants) == sorted(bound.constants)
    np.testing.assert_array_equal(unbound.constants_for(program.defaults, 2)[1], unbound.constants)


def test_structure_is_not_tuned() -> None:
    program = parse(
        "def f(w, g, t, m=0, *, lr=1e-3, b=0.9, k=5, off=0, p=3, unread=7):\n"
        "    m = lerp(g, m, b) + 2 * g**2 - g**p + off * w\n"
        "    return lr * m / (1 - b**t) * (t % k == 0) * (t % 4 < 2.5) + 0 * w - 1 * lr\n"
    )
    rule = tunable(program)
    assert rule.values == {"b": 0.9, "off": 0.0, "c1": 2.0, "c2": 2.5}
    assert rule.shares == {"b"}
    assert rule.literals["c1"] == "2 in m = lerp(g, m, b) + 2 * g**2 - g**p + off * w"
    found = rule.with_values({"b": 0.8, "c2": 2.25})
    assert found == parse(
        "def f(w, g, t, m=0, *, lr=1e-3, b=0.8, k=5, off=0, p=3, unread=7):\n"
        "    m = lerp(g, m, b) + 2 * g**2 - g**p + off * w\n"
        "    return lr * m / (1 - b**t) * (t % k == 0) * (t % 4 < 2.25) + 0 * w - 1 * lr\n"
    )


def test_naming_constants_changes_no_program() -> None:
    for program in [*(entry.program for entry in KNOWN.values()), *_programs()]:
        rule = tunable(program)
        assert rule.with_values({}) == program
        assert "lr" not in rule.names and rule.shares <= {*rule.names} <= {*rule.program.defaults}


def test_what_is_switched_off_can_be_switched_on() -> None:
    decay = next(c for c in coordinates_of(tunable(KNOWN["lion"].program)) if c.name == "wd")
    values = [decay.value(x) for x in (-2.0, 0.0, 0.5, 1.0, 2.0)]
    assert values[:2] == [0.0, 0.0] and values == sorted(values) and 0.05 < values[-1] < 0.2
    warmup, final_rate, clip = PROTOCOL
    assert (warmup.value(0.0), final_rate.value(0.0), clip.value(0.0)) == (0.0, 0.0, math.inf)
    assert (warmup.value(50.0), final_rate.value(50.0)) == (0.5, 1.0)
    assert clip.value(1.0) > clip.value(2.0) > 0


def test_constants_cost_no_compilation_with_a_protocol(quadratic: Trained) -> None:
    lean: Any = quadratic.backend("machine")._loops["lean"]  # type: ignore[attr-defined]
    sizes = []
    for x in (0.5, 1.0, 2.0):
        values = {c.name: [c.value(0.0), c.value(x), c.value(x / 2)] for c in PROTOCOL}
        quadratic.machine(MOMENTUM, RATES, (0,), steps=5, hyperparameters=values)
        sizes.append(lean._advance._cache_size())
    assert sizes[0] == sizes[-1]


def test_coordinates_keep_to_their_side() -> None:
    rule = tunable(EVERYWHERE)
    for coordinate in coordinates_of(rule):
        values = [coordinate.value(x) for x in (-50.0, -1.0, 0.0, 1.0, 50.0)]
        assert values == sorted(values, key=lambda v: v * np.sign(coordinate.start))
        assert values[2] == pytest.approx(coordinate.start, rel=1e-3)
        assert all(np.sign(v) == np.sign(coordinate.start) for v in values)
        assert not coordinate.is_share or 0 < values[0] < values[-1] < 1
    assert rounded(0.99871, 1, is_share=True) == 0.999
    assert rounded(0.0123, 1, is_share=True) == 0.01
    assert rounded(-1.27, 2, is_share=False) == -1.3


def test_strategy_finds_a_minimum_and_repeats_exactly() -> None:
    aim = np.array([1.0, -0.5, 0.0])
    ends = []
    for _ in range(2):
        strategy = Strategy(3, 9, 0.7, seed=4)
        for generation in range(20):
            places = strategy.ask()
            values = ((places - aim) ** 2).sum(axis=1)
            values[0] = np.inf if generation % 2 else values[0]  # a point may diverge
            strategy.tell(places, values)
        ends.append(strategy.mean)
    np.testing.assert_array_equal(*ends)
    np.testing.assert_allclose(ends[0], aim, atol=0.2)


def _tuned(program: Program, workers: Workers, **options: object) -> Tuned:
    baseline = KNOWN["adamw"].program
    options = {"budget": 54, "most_gain": 1.0} | options
    trials = Trials(workers, Memory(), lambda: False, baseline)
    return tune(program, TASKS, trials, **options)  # type: ignore[arg-type]


def test_tuning_finds_better_constants_and_repeats_exactly() -> None:
    found = []
    for count in (1, 2):  # the number of workers does not matter
        with Workers(TASKS, count=count) as workers:
            found.append(_tuned(MOMENTUM, workers, seed=3))
    one, other = found
    assert one == other
    assert one.effect.mean < 0
    (change,) = one.changes
    assert (change.name, change.before) == ("mu", 0.1)
    assert change.after > 0.3
    # Nothing but the constant has changed.
    assert one.program == MOMENTUM.with_defaults(mu=change.after)


def test_a_search_that_settles_ends_and_is_kept_for_any_budget(tmp_path: Path) -> None:
    class Counted(ScoreStore):
        reads = writes = 0

        def get(self, key: str) -> str | None:
            found = super().get(key)
            self.reads += found is not None
            return found

        def put(self, key: str, value: str) -> None:
            self.writes += 1
            super().put(key, value)

    store = Counted(tmp_path / "scores.sqlite")
    told: list[int] = []
    with Workers(TASKS, count=1) as workers:
        trials = Trials(workers, Memory(), lambda: False)

        def again(budget: int, **options: Any) -> Tuned:
            return tuned_once(
                MOMENTUM, {"quadratic": 60}, trials, budget=budget, store=store, **options
            )

        found = again(900, report=told.append)
        assert 108 <= found.trials == told[-1] < 900
        assert found.rates.keys() == {"quadratic"} and found.changes
        assert again(700) == again(900) == found
        assert (store.writes, store.reads) == (1, 2)
        # What was not spent is another search.
        short = again(20, tidy=False)
        assert short.trials == 18 and store.writes == 2
        assert again(20, tidy=False) == short and store.reads == 3


def test_the_protocol_is_tuned_with_the_constants() -> None:
    """A rule without constants has only the protocol's."""
    sgd = KNOWN["sgd"].program
    with InProcess(["quadratic"]) as workers:
        trials = Trials(workers, Memory(), lambda: False)
        options: dict[str, Any] = {"budget": 54, "protocol": True, "seed": 1, "seeds": 3}
        found = tune(sgd, {"quadratic": 40}, trials, **options)
    assert found.program == sgd
    assert found.protocol != USUAL and found.effect.mean < 0
    assert {change.name for change in found.changes} == {
        f"{PREFIX}{name}" for name in found.protocol.changed
    }


def test_what_is_no_better_is_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    worse = np.array([[0.1, 0.2], [-0.05, 0.1]])
    monkeypatch.setattr(Points, "differences", lambda *args: worse)
    with Workers(TASKS, count=1) as workers:
        found = _tuned(MOMENTUM, workers, budget=18)
        assert found.program == MOMENTUM and found.changes == ()
        assert found.effect.mean == pytest.approx(worse.mean())
        nothing = parse("def f(w, g, *, lr=1e-3):\n    return lr * g\n")
        assert _tuned(nothing, workers).runs == 0
        assert _tuned(MOMENTUM, workers, budget=0).program == MOMENTUM


class Asked(InProcess):
    """Notes the first seeds of the jobs that it is asked to train."""

    def __init__(self, tasks: list[str]) -> None:
        self.seeds: list[int] = []
        super().__init__(tasks)

    def submit(self, request: Any, what: str, **how: Any) -> Any:
        if request["do"] == "score":
            self.seeds.append(request["job"]["fidelity"]["seeds"][0])
        return super().submit(request, what, **how)


def test_what_tuning_and_pruning_train_is_in_the_ledger(
    small_task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Briefly: one task, few seeds and steps.
    monkeypatch.setattr(finals, "tune", partial(tune, budget=9, seeds=2))
    monkeypatch.setattr(finals, "prune", partial(prune, seeds=2, most_steps=20))
    monkeypatch.setattr(settings_module, "tasks_for", lambda taken: ("cancer_logistic",))
    nested = settings(small_task, candidates=12)
    nested["funnel"] |= {"tuned": 1, "pruned": True}
    config = config_from_dict(nested)
    run = create_run(tmp_path, "tuned", config)
    with Asked([*config.loaded_tasks]) as asked:
        outcome = run_search(run, config, asked)
    ledger = run.ledger_path
    with closing(open_to_read(ledger)) as opened:
        stored = [json.loads(fidelity) for _, _, fidelity, _, _ in opened.results()]
    assert any("hyperparameters" in fidelity for fidelity in stored)
    kept = {fidelity["seeds"][0] for fidelity in stored}
    late = {seed for seed in asked.seeds if seed >= ROUNDS_END}
    assert any(TUNING <= seed < TUNED for seed in late) and late <= kept
    # Killed before it had stored what it had chosen, it goes on without training any of it again.
    with sqlite3.connect(ledger) as changed:
        changed.execute(
            "delete from facts where key = 'outcome' or key like 'tuned %' or key like 'pruned %'"
        )
    with Asked([small_task, "cancer_logistic"]) as again:
        assert run_search(run, config, again) == outcome
    assert not [seed for seed in again.seeds if seed >= ROUNDS_END]


def test_a_rule_for_which_the_machine_is_slow_is_tuned_by_compiling_it() -> None:
    """Full machine's matrix products; and more constants than any machine has room for."""
    crowded = " + ".join(f"{1 + k / 64} * tanh({k / 32} + g)" for k in range(1, 30))
    for program in (
        KNOWN["muon_moonlight"].program,
        parse(f"def crowded(w, g, *, lr=1e-2, b=0.5):\n    return lr * b * ({crowded})\n"),
    ):
        jobs: list[str] = []

        class Watched(InProcess):
            def submit(self, request: Any, what: str, **how: Any) -> Any:
                if request["do"] == "score":
                    jobs.append(request["job"]["path"])  # noqa: B023
                return super().submit(request, what, **how)

        with Watched(["quadratic"]) as workers:
            trials = Trials(workers, Memory(), lambda: False)
            found = tune(program, {"quadratic": 10}, trials, budget=9, seeds=2, tidy=False)
        assert found.trials == 9 and set(jobs) == {"fused"}
