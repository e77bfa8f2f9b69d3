"""Between rounds: who is validated, and when a search starts afresh."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from evoptax.evaluators.tasks.baselines import baselines
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config import Evolution
from evoptax.search.evolution import Individual, SearchState, init, tell
from evoptax.search.jobs import first_grid
from evoptax.search.rounds import Standing, after_validation, champions


def _state(*fitness: float, patience: int = 2) -> SearchState:
    starter = get_known("sgd").program
    state = tell(init(0, Evolution(patience=patience), [starter]), {0: 0.0})
    living = tuple(Individual(i, starter, "00", i, value) for i, value in enumerate(fitness))
    return replace(state, islands=(living,))


def test_the_fittest_that_were_not_validated_yet() -> None:
    state = _state(0.3, -0.2, math.inf, -0.1, -0.2)
    assert [i.ordinal for i in champions(state, Standing(), 3)] == [1, 4, 3]
    seen = Standing(seen=frozenset({1, 3}))
    assert [i.ordinal for i in champions(state, seen, 3)] == [4, 0]


def test_a_duplicate_is_validated_once() -> None:
    state = _state(-0.3, -0.2)
    twin = replace(state.population[0], ordinal=7)
    state = replace(state, islands=((*state.population, twin),))
    assert [i.candidate for i in champions(state, Standing(), 5)] == [0, 1]


def test_a_search_that_finds_nothing_better_starts_afresh_by_turns() -> None:
    state = _state(-0.1, -0.2)
    first, second = state.population
    standing, fresh = after_validation(state, Standing(), [(first, -0.05), (second, -0.2)])
    assert (standing.best, standing.value, standing.stale) == (second, -0.2, 0)
    assert fresh == ()
    starts = []
    for _ in range(5):
        standing, fresh = after_validation(state, standing, [(first, -0.1)])
        starts.append(fresh)
    # The first round after a fresh start is the best of its time.
    assert starts[0] == ()
    assert starts[1] == state.starters
    assert starts[2] == starts[3] == ()
    assert starts[4] == (second,), "the best of all, not of its time"
    assert standing.best == second
    assert standing.restarts == 2


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
