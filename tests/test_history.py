"""What a search remembers is a value: cheap to grow, and old states of it stay as they were."""

from __future__ import annotations

import gc
import math
import random
import sys
from collections.abc import Iterator
from hashlib import blake2b

import pytest
from asking import ask, init, next_round, should_ask, tell
from evoptax.dsl.program import Program
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.settings import Evolution
from evoptax.search.strategies.history import History, empty_history
from evoptax.search.strategies.regularized import round_is_over


def _digest(number: int) -> str:
    return blake2b(str(number).encode(), digest_size=12).hexdigest()


class _Plain:
    """What a history holds, as dictionaries and lists that are copied for each state."""

    def __init__(self) -> None:
        self.named: dict[str, int] = {}
        self.trials: list[tuple[int, int]] = []  # candidate and ordinal
        self.told: list[float] = []
        self.expected: dict[int, float] = {}

    def copy(self) -> _Plain:
        other = _Plain()
        other.named, other.trials, other.told = {**self.named}, [*self.trials], [*self.told]
        other.expected = {**self.expected}
        return other

    def values(self, candidate: int) -> list[float]:
        pairs = zip(self.trials, self.told, strict=False)
        return [value for (of, _), value in pairs if of == candidate]

    def fitness(self, candidate: int) -> float:
        values, expected = self.values(candidate), self.expected[candidate]
        if math.isfinite(expected):
            return (expected + sum(values)) / (1 + len(values))
        # Without a parent's, the first trial stands for what was to be expected.
        return values[0] if len(values) == 1 else (values[0] + sum(values)) / (1 + len(values))


def test_states_that_branch_do_not_see_each_other() -> None:
    """A random tree of states, each compared with plain dictionaries of its own."""
    rng = random.Random(0)
    states: list[tuple[History, _Plain]] = [(empty_history(), _Plain())]
    for _ in range(3000):
        history, plain = rng.choice(states[-5:] if rng.random() < 0.9 else states)
        plain = plain.copy()
        # From few numbers, so that branches repeat what others did, in the same order or not.
        digest = _digest(rng.randrange(150))
        ordinal = rng.choice((len(plain.trials), 1000 + len(plain.trials)))
        move = rng.random()
        if move < 0.4 and len(plain.told) < len(plain.trials):
            value = rng.choice((0.25, 0.5, math.inf))
            candidate = plain.trials[len(plain.told)][0]
            expected = rng.choice((-0.25, math.inf, math.nan))
            history = history.with_fitness(value, expected)
            if not plain.values(candidate):
                plain.expected[candidate] = expected
            plain.told.append(value)
        elif digest not in plain.named and plain.trials and move < 0.55:
            candidate = rng.randrange(history.candidates)
            history = history.with_digest(digest, candidate)
            plain.named[digest] = candidate
        elif digest not in plain.named:
            plain.trials.append((history.candidates, ordinal))
            plain.named[digest] = history.candidates
            history = history.with_candidate(digest, ordinal)
        else:
            history = history.with_trial(plain.named[digest], ordinal)
            plain.trials.append((plain.named[digest], ordinal))
        states.append((history, plain))
    everything = {_digest(number) for number in range(150)}
    assert max(history.asked for history, _ in states) > 40
    for history, plain in states[::7]:
        assert (history.asked, history.told) == (len(plain.trials), len(plain.told))
        assert {d: history.candidate(d) for d in plain.named} == plain.named
        assert all(history.candidate(d) is None for d in everything - plain.named.keys())
        for candidate in set(plain.named.values()):
            ordinals = [ordinal for of, ordinal in plain.trials if of == candidate]
            assert history.first_ordinal(candidate) == ordinals[0]
            assert history.last_ordinal(candidate) == ordinals[-1]
            values = plain.values(candidate)
            assert history.tries(candidate) == len(values)
            assert history.is_told(candidate) == (len(values) == len(ordinals))
            if values:
                assert history.fitness(candidate) == pytest.approx(plain.fitness(candidate))
            else:
                with pytest.raises(KeyError):
                    history.fitness(candidate)


def test_fitness_that_is_not_a_number_is_infinite() -> None:
    history = empty_history().with_candidate(_digest(0), 0).with_fitness(math.nan)
    assert history.fitness(0) == math.inf
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
        history = history.with_digest(_digest(-number - 1), number)
    assert sum(sys.getsizeof(found) for found in _reachable(history)) < 80 * 20_000


def _evolved() -> int:
    gc.collect()
    programs = (found for found in gc.get_objects() if type(found) is Program)
    return sum(program.name == "evolved" for program in programs)


def test_a_search_keeps_no_program_that_has_died() -> None:
    before = _evolved()
    settings = Evolution(population=20, batch=5, round=60)
    state = init(0, settings, [get_known("adamw").program])
    while state.trained < 300:
        if round_is_over(state):
            state = next_round(state)
        while should_ask(state):
            _, state = ask(state)
        batch = state.pending[0]
        fitness = {p.ordinal: int(p.digest[:4], 16) for p in batch if p.status.is_trained}
        state = tell(state, fitness)
    del batch
    pending = sum(len(batch) for batch in state.pending)
    latest = 5  # that caches of the last few may hold
    assert _evolved() - before <= settings.population + pending + latest
