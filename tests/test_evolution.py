"""Ask and tell: pure, repeatable, and the same trace on every machine."""

from __future__ import annotations

import json
import math
import random
from hashlib import blake2b
from pathlib import Path

import pytest
from evoptax.dsl.canonical import program_digest
from evoptax.dsl.syntax import check, format_program, parse
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config import Evolution
from evoptax.search.evolution import SearchState, Status, ask, init, tell
from evoptax.search.gates import rejection
from evoptax.search.mutation import mutate
from evoptax.search.randomness import derive

SETTINGS = Evolution(population=30, tournament=3, batch=5)
GOLDEN = Path(__file__).parent / "golden" / "search_trace.json"


def _start(seed: int = 0) -> SearchState:
    return init(seed, SETTINGS, [get_known("adamw").program, get_known("sgd").program])


def _made_up_fitness(digest: str) -> float:
    """A fitness that needs no training and is the same everywhere; some candidates diverge."""
    value = int.from_bytes(blake2b(digest.encode(), digest_size=4).digest(), "big") / 2**32
    return math.inf if value > 0.9 else value


def _run(state: SearchState, rounds: int) -> tuple[SearchState, list[dict]]:
    trace = []
    for _ in range(rounds):
        proposals, state = ask(state)
        new = {p.ordinal: _made_up_fitness(p.digest) for p in proposals if p.status is Status.NEW}
        state = tell(state, new)
        for p in proposals:
            trace.append(
                {
                    "ordinal": p.ordinal,
                    "parent": p.parent,
                    "change": p.change,
                    "digest": p.digest,
                    "status": p.status.value,
                    "reason": p.reason,
                    "twin": p.twin,
                }
            )
    return state, trace


def test_golden_trace() -> None:
    """Node by node. To renew after an intended change: EVOPTAX_RENEW_GOLDEN=1 pytest …"""
    import os

    _, trace = _run(_start(), 25)
    if os.environ.get("EVOPTAX_RENEW_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        lines = ",\n".join(json.dumps(node, ensure_ascii=False) for node in trace)
        GOLDEN.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for node, expected in zip(trace, golden, strict=True):
        assert node == expected
    statuses = {node["status"] for node in trace}
    assert statuses == {"new", "duplicate", "rejected"}


def test_ask_and_tell_do_not_change_their_arguments() -> None:
    state, _ = _run(_start(), 3)
    before = (state.population, dict(state.fitness), state.next_ordinal, state.pending)
    first, asked = ask(state)
    second, _ = ask(state)
    assert first == second
    tell(asked, {p.ordinal: 0.5 for p in first if p.status is Status.NEW})
    assert (state.population, dict(state.fitness), state.next_ordinal, state.pending) == before


def test_pending_proposals_are_asked_again() -> None:
    proposals, state = ask(_run(_start(), 2)[0])
    assert ask(state) == (proposals, state)


def test_tell_wants_exactly_what_was_asked() -> None:
    _, state = ask(_start())
    with pytest.raises(ValueError, match="asked for the fitness of"):
        tell(state, {})
    with pytest.raises(ValueError, match="asked for the fitness of"):
        tell(state, {0: 0.0, 1: 0.0, 2: 0.0})


def test_seeds_give_different_searches() -> None:
    assert _run(_start(0), 4)[1] != _run(_start(1), 4)[1]


def test_population_ages_and_fitness_is_shared_by_duplicates() -> None:
    state, trace = _run(_start(), 40)
    assert len(state.population) == SETTINGS.population
    ordinals = [individual.ordinal for individual in state.population]
    assert ordinals == sorted(ordinals)
    living = [n["ordinal"] for n in trace if n["status"] != "rejected"]
    assert ordinals == living[-SETTINGS.population :]
    for individual in state.population:
        assert individual.fitness == _made_up_fitness(individual.digest)
    assert state.trained == sum(n["status"] == "new" for n in trace)


def test_most_limits_the_new_candidates() -> None:
    state, _ = _run(_start(), 1)
    proposals, _ = ask(state, most=2)
    assert sum(p.status is Status.NEW for p in proposals) == 2


def test_draws_depend_on_seed_ordinal_and_purpose_alone() -> None:
    draws = {derive(s, o, p).random() for s in (0, 1) for o in (0, 1) for p in ("a", "b")}
    assert len(draws) == 8
    assert derive(3, 7, "x").random() == derive(3, 7, "x").random()


@pytest.mark.parametrize("name", ["adamw", "lion", "amsgrad", "sgd"])
def test_mutations_are_well_formed_and_described(name: str) -> None:
    rng = random.Random(name)
    program = get_known(name).program
    same = changes = 0
    for step in range(300):
        mutated = mutate(program, rng)
        assert mutated is not None
        check(mutated.program)
        assert parse(format_program(mutated.program)) == mutated.program
        assert mutated.change
        same += mutated.program == program
        changes += program_digest(mutated.program) != program_digest(program)
        program = get_known(name).program if step % 10 == 0 else mutated.program
    assert same < 10
    assert changes > 120, "most mutations do something"


def test_mutations_reach_every_searched_primitive() -> None:
    from evoptax.dsl.primitives import PRIMITIVES
    from evoptax.dsl.program import Call, subexpressions

    rng = random.Random(0)
    program = get_known("adamw").program
    reached = set()
    for _ in range(4000):
        mutated = mutate(program, rng)
        assert mutated is not None
        for root in mutated.program.expressions():
            reached |= {e.primitive for e in subexpressions(root) if isinstance(e, Call)}
    assert reached == {name for name, row in PRIMITIVES.items() if row.searched}


GATED = {
    "ignores the gradient": "def f(w, g, *, lr=1e-3):\n    return lr * w\n",
    "ignores the learning rate": "def f(w, g, *, lr=1e-3):\n    return 0.01 * g\n",
    "does not descend": "def f(w, g, *, lr=1e-3):\n    return -lr * g\n",
    "non-finite": "def f(w, g, *, lr=1e-3):\n    return lr * sqrt(-1 - square(g))\n",
    "too large": "def f(w, g, *, lr=1e-3):\n    return lr * square(g)\n".replace(
        "    return", "    g = g + sin(g)\n" * 40 + "    return"
    ),
}


@pytest.mark.parametrize("reason", GATED)
def test_gates(reason: str) -> None:
    assert rejection(parse(GATED[reason]), max_size=60) == reason


def test_known_rules_pass_the_gates() -> None:
    for name in ("sgd", "momentum", "adam", "adamw", "lion", "rmsprop", "adagrad", "adadelta"):
        assert rejection(get_known(name).program, max_size=60) is None, name
