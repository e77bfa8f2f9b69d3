"""Between rounds: who is validated, and when a search restarts."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from asking import ask, init, next_round, should_ask, tell
from evoptax.evaluators.tasks.baselines import baselines
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.settings import Evolution
from evoptax.search.config.stages import first_grid
from evoptax.search.selection.rounds import Standing, after_validation, champions
from evoptax.search.store.records import Status
from evoptax.search.strategies.state import Individual, SearchState


def _state(*fitness: float, patience: int = 2) -> SearchState:
    starter = get_known("sgd").program
    state = tell(init(0, Evolution(patience=patience), [starter]), {0: 0.0})
    living = tuple(Individual(i, starter, "00", i, value) for i, value in enumerate(fitness))
    history = state.history
    for i in range(1, len(fitness)):
        history = history.with_candidate(f"{i:02}", i)
    return replace(state, islands=(living,), history=history)


def test_the_fittest_that_were_not_validated_yet() -> None:
    state = _state(0.3, -0.2, math.inf, -0.1, -0.2)
    assert [i.ordinal for i in champions(state, Standing(), 3)] == [1, 4, 3]
    seen = Standing(seen=frozenset({1, 3}))
    assert [i.ordinal for i in champions(state, seen, 3)] == [4, 0]


def test_those_tried_again_come_before_the_lucky() -> None:
    state = init(0, Evolution(round=6, population=6), [get_known("adamw").program])
    state = tell(state, {0: 0.0})
    while should_ask(state):
        batch, state = ask(state)
        state = tell(state, {p.ordinal: -1.0 for p in batch if p.status.is_trained})
    state = next_round(state)
    (survivors,) = state.pending
    state = tell(state, {p.ordinal: -1.0 for p in survivors})
    while should_ask(state):
        batch, state = ask(state)
        lucky = {p.ordinal: -2.0 for p in batch if p.status is Status.NEW}
        state = tell(state, lucky | {p.ordinal: -1.0 for p in batch if p.status is Status.AGAIN})
    found = champions(state, Standing(), len(state.population))
    tries = [state.history.tries(i.candidate) for i in found]
    assert tries == sorted(tries, key=lambda n: n < 2) and 1 in tries and tries[0] > 1
    fitness = [i.fitness for i, n in zip(found, tries, strict=True) if n == 1]
    assert fitness == sorted(fitness) and fitness[0] < found[0].fitness


def test_a_duplicate_is_validated_once() -> None:
    state = _state(-0.3, -0.2)
    duplicate_of = replace(state.population[0], ordinal=7)
    state = replace(state, islands=((*state.population, duplicate_of),))
    assert [i.candidate for i in champions(state, Standing(), 5)] == [0, 1]


def test_a_search_that_is_stuck_starts_afresh_by_turns() -> None:
    state = _state(-0.1, -0.2)
    first, second = state.population
    standing, fresh = after_validation(state, Standing(), [(first, -0.05), (second, -0.2)])
    assert (standing.best, standing.value, standing.values) == (second, -0.2, (-0.2,))
    assert fresh == ()
    starts = []
    for _ in range(7):
        standing, fresh = after_validation(state, standing, [(first, -0.1)])
        starts.append(fresh)
    assert starts[2] == state.starters
    assert starts[6] == (second,), "the best of all, not of its time"
    assert not any(starts[i] for i in (0, 1, 3, 4, 5))
    assert standing.best == second
    assert standing.restarts == 2


@pytest.mark.parametrize(
    ("values", "is_stuck"),
    [
        ((-0.1, -0.1, -0.1, -0.1), True),
        ((-0.1, -0.1, -0.11, -0.11), False),
        ((-0.1, -0.5, -0.1, -0.2, -0.2, -0.2), False),  # a lucky round is no reason
        ((-0.1, -0.1, -0.2, -0.2, -0.2), False),  # not in the middle of a stretch
        ((-0.1, math.inf, math.inf, -0.2), True),
    ],
)
def test_stuck_is_who_does_no_better_than_before(values: tuple[float, ...], is_stuck: bool) -> None:
    patience = 3 if len(values) == 6 else 2
    state = _state(-0.1, patience=patience)
    standing = Standing()
    for value in values:
        standing, fresh = after_validation(state, standing, [(state.population[0], value)])
    assert bool(fresh) is is_stuck


def test_without_patience_a_search_never_starts_afresh() -> None:
    state = _state(-0.1, patience=0)
    standing = Standing()
    for _ in range(10):
        standing, fresh = after_validation(state, standing, [])
        assert fresh == ()


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_what_diverges_on_held_out_tasks_is_never_the_best(value: float) -> None:
    state = _state(-0.1)
    standing, _ = after_validation(state, Standing(), [(state.population[0], value)])
    assert standing.best is None


def test_every_rule_is_tuned_from_the_same_few_rates_around_adamws_best() -> None:
    for task in ("quadratic", "digits_mlp", "FILE.py:unknown"):
        grid = first_grid(task)
        assert len(grid) == 5
        known = baselines().get(task)
        assert grid[2] == (known.learning_rate if known else 1e-2)
        assert all(2.9 < b / a < 3.4 for a, b in pairwise(grid))
