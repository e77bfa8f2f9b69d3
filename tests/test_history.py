"""What a search remembers is a value: cheap to grow, and old states of it stay as they were."""

from __future__ import annotations

import gc
import math
import random
import sys
from collections.abc import Iterator
from hashlib import blake2b

import pytest
from evoptax.dsl.program import Program
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config import Evolution
from evoptax.search.evolution import Status, ask, init, should_ask, tell
from evoptax.search.history import History, empty_history


def _digest(number: int) -> str:
    return blake2b(str(number).encode(), digest_size=12).hexdigest()


def test_states_that_branch_do_not_see_each_other() -> None:
    """A random tree of states, each compared with a plain dictionary of its own."""
    rng = random.Random(0)
    states: list[tuple[History, dict[str, int], list[float]]] = [(empty_history(), {}, [])]
    for _ in range(2000):
        history, ordinals, told = rng.choice(states[-5:] if rng.random() < 0.9 else states)
        if len(told) == len(ordinals) or rng.random() < 0.6:
            # From few numbers, so that branches repeat what others did, in the same order or not.
            digest = _digest(rng.randrange(150))
            if digest in ordinals:
                continue
            ordinal = rng.choice((len(ordinals), 1000 + len(ordinals)))
            history, ordinals = (
                history.with_candidate(digest, ordinal),
                ordinals | {digest: ordinal},
            )
        else:
            value = rng.choice((0.25, 0.5, math.inf))
            history, told = history.with_fitness(value), [*told, value]
        states.append((history, ordinals, told))
    everything = {_digest(number) for number in range(150)}
    assert max(history.asked for history, _, _ in states) > 40
    for history, ordinals, told in states:
        assert (history.asked, history.told) == (len(ordinals), len(told))
        assert {d: history.ordinal(d) for d in ordinals} == ordinals
        assert all(history.ordinal(d) is None for d in everything - ordinals.keys())
        assert [history.fitness(d) for d in list(ordinals)[: len(told)]] == told
        for digest in list(ordinals)[len(told) :]:
            with pytest.raises(KeyError):
                history.fitness(digest)


def test_fitness_that_is_not_a_number_is_infinite() -> None:
    history = empty_history().with_candidate(_digest(0), 0).with_fitness(math.nan)
    assert history.fitness(_digest(0)) == math.inf
    with pytest.raises(ValueError, match="has a fitness already"):
        history.with_fitness(0.0)


def _reachable(root: object) -> Iterator[object]:
    seen = {id(root)}
    stack = [root]
    while stack:
        found = stack.pop()
        yield found
        for inner in gc.get_referents(found):
            if id(inner) not in seen and not isinstance(inner, type):
                seen.add(id(inner))
                stack.append(inner)


def test_a_candidate_takes_few_bytes() -> None:
    history = empty_history()
    for number in range(20_000):
        history = history.with_candidate(_digest(number), number).with_fitness(0.5)
    assert sum(sys.getsizeof(found) for found in _reachable(history)) < 40 * 20_000


def _evolved() -> int:
    gc.collect()
    programs = (found for found in gc.get_objects() if type(found) is Program)
    return sum(program.name == "evolved" for program in programs)


def test_a_search_keeps_no_program_that_has_died() -> None:
    before = _evolved()
    settings = Evolution(population=20, batch=5)
    state = init(0, settings, [get_known("adamw").program])
    while state.trained < 300:
        while should_ask(state):
            _, state = ask(state)
        batch = state.pending[0]
        fitness = {p.ordinal: int(p.digest[:4], 16) for p in batch if p.status is Status.NEW}
        state = tell(state, fitness)
    del batch
    pending = sum(len(batch) for batch in state.pending)
    assert _evolved() - before <= settings.population + pending
