"""Structures: programs up to their constants, and the strategy that tunes each of them."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from asking import ask, init, next_round, should_ask, tell
from evoptax.dsl.algebra.canonical import structure_digest
from evoptax.dsl.program import Program
from evoptax.dsl.syntax import parse
from evoptax.known_algorithms.catalogue import KNOWN, get_known
from evoptax.search.config.files import config_from_dict
from evoptax.search.config.settings import Evolution
from evoptax.search.mutation.mutate import mutate
from evoptax.search.strategies.state import SearchState

ADAMW = get_known("adamw").program


def _structure(update: str, signature: str = "w, g, t, *, lr=1e-3, b=0.9") -> str:
    return structure_digest(parse(f"def f({signature}):\n    return {update}\n"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("lr * g", "2 * lr * g"),
        ("lr * g", "lr * g / 3"),
        ("lr * g", "-lr * g"),
        ("lr * (g + b * w)", "lr * (g + 1e-4 * w)"),
        ("lr * g / (1 - b**t)", "lr * g / (1 - 0.5**t)"),
        ("lr * (g + w)", "lr * (w + g)"),
    ],
)
def test_constants_are_no_structure(one: str, other: str) -> None:
    assert _structure(one) == _structure(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("lr * g", "lr * sign(g)"),
        ("lr * g**2", "lr * g**3"),
        ("lr * (g > 0)", "lr * (g > 0.5)"),
        ("lr * (g + b * w)", "lr * (g + 0 * w)"),
        ("lr * g / t", "lr * g"),
        ("lr * (g + b * w)", "lr * (g - w * g)"),
    ],
)
def test_all_else_is(one: str, other: str) -> None:
    assert _structure(one) != _structure(other)


def test_states_are_told_apart_by_what_they_do() -> None:
    """Their names do not matter, nor the numbers that they start at, unless that is 0."""
    text = "def f(w, g, {0}={1}, *, lr=1e-3):\n    {0} = lerp(g, {0}, {2})\n    return lr * {0}\n"
    found = [
        structure_digest(parse(text.format(*case)))
        for case in (("m", 0, 0.9), ("a", 0, 0.5), ("m", 1, 0.9), ("m", 2, 0.9))
    ]
    assert found[0] == found[1] != found[2] == found[3]


def test_documented_rules_have_structures_of_their_own() -> None:
    """But Tiger, which is Lion with one constant for two."""
    found: dict[str, list[str]] = {}
    for name, rule in KNOWN.items():
        found.setdefault(structure_digest(rule.program), []).append(name)
    assert [names for names in found.values() if len(names) > 1] == [["lion", "tiger"]]


def test_a_change_of_constants_keeps_the_structure() -> None:
    space, digest = Evolution().space_of_constants, structure_digest(ADAMW)
    rng = Random(0)
    children = [mutate(ADAMW, rng, space) for _ in range(100)]
    # Of them a number that becomes 0, or an exponent that is no integer any more, would not.
    assert all(child and structure_digest(child.program) == digest for child in children)


SETTINGS = config_from_dict(
    {
        "evolution": {
            "strategy": "structure",
            "population": 12,
            "tournament": 3,
            "batch": 4,
            "round": 60,
        }
    }
).evolution


def _fitness(program: Program) -> float:
    """By structure and constants; made up."""
    return (int(structure_digest(program)[:4], 16) % 100) / 100 - program.defaults.get("b1", 0) / 10


def _run(trained: int) -> list[SearchState]:
    """The states after each batch was told."""
    state, states = init(0, SETTINGS, [ADAMW]), []
    while state.trained < trained:
        if should_ask(state):
            _, state = ask(state)
        elif state.pending:
            told = {p.ordinal: _fitness(p.program) for p in state.pending[0] if p.status.is_trained}
            state = tell(state, told)
            states.append(state)
        else:
            state = next_round(state)
    return states


@pytest.fixture(scope="module")
def states() -> list[SearchState]:
    return _run(200)


def test_each_structure_has_one_place(states: list[SearchState]) -> None:
    for state in states:
        (population,) = state.islands
        assert len({structure_digest(i.program) for i in population}) == len(population)
        assert len(population) <= SETTINGS.population
    assert max(len(state.population) for state in states) == SETTINGS.population


def test_its_best_setting_is_kept_and_its_settings_are_counted(states: list[SearchState]) -> None:
    for before, after in pairwise(states):
        if after.round > before.round:
            continue
        now = {i.structure: i for i in after.population}
        for individual in before.population:
            if (found := now.get(individual.structure)) is not None:
                assert found.fitness <= individual.fitness
                assert found.settings >= individual.settings
    assert max(i.settings for state in states for i in state.population) > 5


def test_half_of_the_proposals_change_constants_alone(states: list[SearchState]) -> None:
    seen: dict[int, Program] = {}
    same = other = 0
    for state in states:
        for batch in state.pending:
            for p in batch:
                parent = seen.get(p.parent) if p.parent is not None else None
                if parent is not None and p.ordinal not in seen:
                    is_same = structure_digest(parent) == structure_digest(p.program)
                    same, other = same + is_same, other + (not is_same)
                seen[p.ordinal] = p.program
    assert 0.3 < same / (same + other) < 0.8
