"""What every strategy keeps, and that a further one is one file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import pytest
from evoptax.dsl.algebra.canonical import program_digest
from evoptax.dsl.errors import UserError
from evoptax.dsl.plugins import names_in
from evoptax.dsl.syntax import check
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.files import config_from_dict
from evoptax.search.config.settings import STRATEGIES, Evolution
from evoptax.search.engine.loop import run_search
from evoptax.search.execution.base import Executor, open_executor
from evoptax.search.store.outcome import read_outcome
from evoptax.search.store.runs import create_run
from evoptax.search.strategies import kinds as folder
from evoptax.search.strategies.base import strategy
from evoptax.search.strategies.regularized import round_is_over
from evoptax.search.strategies.state import Batch, SearchState
from small_search import settings as small_settings
from small_search import write_task

STARTERS = [get_known("adamw").program, get_known("momentum").program]


@pytest.fixture(params=names_in(STRATEGIES))
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def _settings(name: str) -> Evolution:
    return Evolution(strategy=name, population=20, tournament=3, batch=4, round=12, islands=2)


def _fitness(batch: Batch) -> dict[int, float]:
    """Made up, and the same everywhere; some diverge."""
    found = {}
    for p in batch:
        if p.status.is_trained:
            digest = blake2b(p.digest.encode(), digest_size=4).digest()
            value = int.from_bytes(digest, "big") / 2**32
            found[p.ordinal] = math.inf if value > 0.9 else value
    return found


def _run(name: str, seed: int, batches: int) -> tuple[list[Batch], SearchState]:
    """So many batches that were told."""
    found, told = strategy(name), []
    state = found.init(seed, _settings(name), STARTERS)
    while len(told) < batches:
        while found.should_ask(state):
            _, state = found.ask(state)
        if round_is_over(state):
            state = found.next_round(state)
        told.append(state.pending[0])
        state = found.tell(state, _fitness(state.pending[0]))
    return told, state


def _shown(told: list[Batch]) -> list[tuple[object, ...]]:
    """What can be compared: a starter expects NaN."""
    return [(p.ordinal, p.parent, p.program, p.status, p.twin) for batch in told for p in batch]


def test_the_starters_come_first(name: str) -> None:
    found = strategy(name)
    state = found.init(0, _settings(name), STARTERS)
    assert [p.program for p in state.pending[0]] == STARTERS
    assert not found.should_ask(state)
    with pytest.raises(ValueError, match="told"):
        found.ask(state)


def test_a_seed_repeats(name: str) -> None:
    told, state = _run(name, 3, 12)
    assert _shown(told) == _shown(_run(name, 3, 12)[0])
    assert _shown(told) != _shown(_run(name, 4, 12)[0])
    assert state.round > 0


def test_proposals_are_in_order_and_well_formed(name: str) -> None:
    proposals = [p for batch in _run(name, 0, 12)[0] for p in batch]
    assert [p.ordinal for p in proposals] == list(range(len(proposals)))
    for p in proposals:
        assert p.parent is None or p.parent < p.ordinal
        assert p.twin is None or p.twin < p.ordinal
        if p.status.is_trained:
            check(p.program)
            assert p.digest == program_digest(p.program)


def test_ask_and_tell_change_nothing(name: str) -> None:
    found = strategy(name)
    _, state = _run(name, 0, 6)
    first, asked = found.ask(state)
    assert found.ask(state)[0] == first
    oldest = asked.pending[0]
    high, low = (found.tell(asked, dict.fromkeys(_fitness(oldest), x)) for x in (0.5, 0.1))
    assert high.population != low.population
    again = found.tell(asked, dict.fromkeys(_fitness(oldest), 0.5))
    assert again.population == high.population


def test_a_budget_is_kept(name: str) -> None:
    found = strategy(name)
    _, state = _run(name, 0, 6)
    batch, _ = found.ask(state, 1)
    assert sum(p.status.is_trained for p in batch) <= 1


def test_nan_is_worse_than_any_number(name: str) -> None:
    found = strategy(name)
    state = found.init(0, _settings(name), STARTERS)
    state = found.tell(state, {0: math.nan, 1: 5.0})
    assert {i.fitness for i in state.population} == {math.inf, 5.0}


def test_what_was_not_asked_for_is_refused(name: str) -> None:
    found = strategy(name)
    state = found.init(0, _settings(name), STARTERS)
    with pytest.raises(ValueError, match="asked for"):
        found.tell(state, {0: 1.0})
    with pytest.raises(ValueError, match="nothing is pending"):
        found.tell(replace(state, pending=()), {})


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_task(tmp_path_factory.mktemp("task"))


@pytest.fixture(scope="module")
def executor(task: str) -> Iterator[Executor]:
    with open_executor([task], 1) as found:
        yield found


def test_a_search_uses_it(name: str, task: str, executor: Executor, tmp_path: Path) -> None:
    data = small_settings(task, candidates=12)
    data["evolution"] |= {"strategy": name, "round": 6}
    config = config_from_dict(data)
    run = create_run(tmp_path, "small", config)
    outcome = run_search(run, config, executor)
    assert outcome is not None
    with closing(run.read()) as opened:
        assert read_outcome(opened) == outcome
        assert sum(c.status in ("new", "again") for c in opened.candidates()) >= 12


def test_another_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="strategy is 'evolutoin'; did you mean 'evolution'"):
        config_from_dict({"evolution": {"strategy": "evolutoin"}})


TOY = '''
from evoptax.search.strategies.regularized import RegularizedEvolution


class Oldest(RegularizedEvolution):
    """The oldest has all children."""

    def parent(self, state, ordinal, rng):
        return state.islands[ordinal % len(state.islands)][0]


STRATEGY = Oldest()
'''


def test_a_further_strategy_is_one_file(
    task: str, executor: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toys").mkdir()
    (tmp_path / "toys" / "oldest.py").write_text(TOY)
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path / "toys")])
    assert "oldest" in names_in(STRATEGIES)
    test_the_starters_come_first("oldest")
    test_a_seed_repeats("oldest")
    test_proposals_are_in_order_and_well_formed("oldest")
    test_ask_and_tell_change_nothing("oldest")
    test_a_budget_is_kept("oldest")
    test_nan_is_worse_than_any_number("oldest")
    test_what_was_not_asked_for_is_refused("oldest")
    test_a_search_uses_it("oldest", task, executor, tmp_path)
