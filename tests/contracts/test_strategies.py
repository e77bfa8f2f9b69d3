"""What every strategy keeps, and that a further one is one file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from evoptax.dsl.algebra.canonical import program_digest
from evoptax.dsl.errors import UserError
from evoptax.dsl.plugins import names_in
from evoptax.dsl.syntax import check
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.files import config_from_dict
from evoptax.search.config.settings import DISTILLATION, STRATEGIES, SearchConfig
from evoptax.search.engine.loop import run_search
from evoptax.search.execution.base import Executor, open_executor
from evoptax.search.store.outcome import read_outcome
from evoptax.search.store.records import Proposal
from evoptax.search.store.runs import create_run
from evoptax.search.strategies import kinds as folder
from evoptax.search.strategies.base import strategy
from evoptax.search.strategies.distillation.recording import record_rule
from evoptax.search.strategies.distillation.traces import write_traces
from evoptax.search.strategies.kinds import distillation
from small_search import settings as small_settings
from small_search import write_task

STARTERS = [get_known("adamw").program, get_known("momentum").program]
# What a strategy must be told besides the seed, by its name.
NEEDED: dict[str, dict[str, Any]] = {}
# A state, and the batches that it was told.
Told = tuple[list[tuple[Any, ...]], Any]


@pytest.fixture(scope="module", autouse=True)
def traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    path = tmp_path_factory.mktemp("traces") / "momentum.npz"
    write_traces(path, record_rule(get_known("momentum").program))
    NEEDED[DISTILLATION] = {"traces": str(path)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distillation, "TURN", 10)
        yield


@pytest.fixture(params=names_in(STRATEGIES))
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(params=[n for n in names_in(STRATEGIES) if strategy(n).trains])
def training(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(params=[n for n in names_in(STRATEGIES) if not strategy(n).trains])
def asking(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def _config(name: str, seed: int = 0) -> SearchConfig:
    small = {"population": 20, "tournament": 3, "batch": 4, "round": 12, "islands": 2}
    data = {"seed": seed, "evolution": {"strategy": name, **small}}
    return config_from_dict(data | NEEDED.get(name, {}))


def _begun(name: str, seed: int = 0) -> Any:
    return strategy(name).init(_config(name, seed), STARTERS)


@cache
def _answerer(name: str) -> Callable[..., Any]:
    found: Any = strategy(name)
    return found.answerer(lambda: None)


def _answers(name: str, batch: tuple[Any, ...]) -> dict[int, Any]:
    """To questions what a worker answers. A fitness is made up, and the same everywhere; some
    diverge.
    """
    if not strategy(name).trains:
        return {q.ordinal: _answerer(name)(**q.request) for q in batch}
    found = {}
    for p in batch:
        if p.status.is_trained:
            digest = blake2b(p.digest.encode(), digest_size=4).digest()
            value = int.from_bytes(digest, "big") / 2**32
            found[p.ordinal] = math.inf if value > 0.9 else value
    return found


def _run(name: str, seed: int, batches: int) -> Told:
    """So many batches that were told, and the state after them when it is time to ask."""
    found, told, state = strategy(name), [], _begun(name, seed)
    while len(told) < batches or not found.should_ask(state):
        if found.should_ask(state):
            _, state = found.ask(state)
        elif state.pending:
            told.append(state.pending[0])
            state = found.tell(state, _answers(name, state.pending[0]))
        else:
            state = found.next_round(state)
    return told, state


@cache
def _shared(name: str, batches: int) -> Told:
    """Such a run with seed 0, made once: whoever reads it changes nothing."""
    return _run(name, 0, batches)


def _candidates(name: str, run: Told) -> list[Proposal]:
    """All that a run has proposed, or found."""
    told, state = run
    if strategy(name).trains:
        return [p for batch in told for p in batch]
    return [proposal for proposal, _ in state.found]


def _shown(name: str, run: Told) -> list[tuple[object, ...]]:
    """What can be compared: a starter expects NaN."""
    return [
        (p.ordinal, p.parent, p.change, p.program, p.status, p.duplicate_of)
        for p in _candidates(name, run)
    ]


def test_a_seed_repeats(name: str) -> None:
    first = _run(name, 3, 12)
    assert _shown(name, first) == _shown(name, _run(name, 3, 12))
    assert _shown(name, first) != _shown(name, _run(name, 4, 12))
    assert first[1].round > 0


def test_candidates_are_in_order_and_well_formed(name: str) -> None:
    told, state = _shared(name, 12)
    asked = [item.ordinal for batch in told for item in batch]
    assert asked == list(range(len(asked)))
    candidates = _candidates(name, (told, state))
    assert [p.ordinal for p in candidates] == list(range(len(candidates)))
    for p in candidates:
        assert p.parent is None or p.parent < p.ordinal
        assert p.duplicate_of is None or p.duplicate_of < p.ordinal
        if p.status.is_trained:
            check(p.program)
            assert p.digest == program_digest(p.program)


def test_ask_and_tell_change_nothing(name: str) -> None:
    found = strategy(name)
    _, state = _shared(name, 6)
    first, asked = found.ask(state)
    assert found.ask(state)[0] == first
    assert asked.pending[-1] == first
    oldest = asked.pending[0]
    answers = _answers(name, oldest)
    told, again = (found.tell(asked, answers) for _ in range(2))
    assert told.pending == again.pending == asked.pending[1:]
    assert _shown(name, ([oldest], told)) == _shown(name, ([oldest], again))
    if found.trains:
        high, low = (found.tell(asked, dict.fromkeys(answers, x)) for x in (0.5, 0.1))
        assert high.population != low.population
        assert told.population == again.population


def test_what_was_not_asked_for_is_refused(name: str) -> None:
    found = strategy(name)
    _, state = found.ask(_shared(name, 6)[1])
    answers = _answers(name, state.pending[0])
    for wrong in ({}, {**answers, 10**6: 1.0}):
        with pytest.raises(ValueError, match="asked for"):
            found.tell(state, wrong)
    with pytest.raises(ValueError, match="nothing is pending"):
        found.tell(replace(state, pending=()), {})


def test_it_finishes(name: str) -> None:
    """From the start, and after some batches."""
    found = strategy(name)
    for batches in (0, 6):
        state = _begun(name) if not batches else _shared(name, batches)[1]
        while state.pending:
            state = found.tell(state, _answers(name, state.pending[0]))
        finished = found.finish(state)
        assert finished.pending == found.finish(state).pending
        while finished.pending:
            finished = found.tell(finished, _answers(name, finished.pending[0]))
        if not found.trains:
            best = min(fitness for _, fitness in finished.found)
            assert finished.outcome.fitness <= 1.01 * best
            assert finished.found[finished.outcome.ordinal][1] == best


# --- those that train ---


def test_the_starters_come_first(training: str) -> None:
    found, state = strategy(training), _begun(training)
    assert [p.program for p in state.pending[0]] == STARTERS
    assert not found.should_ask(state)
    with pytest.raises(ValueError, match="told"):
        found.ask(state)


def test_a_budget_is_kept(training: str) -> None:
    found = strategy(training)
    batch, _ = found.ask(_shared(training, 6)[1], 1)
    assert sum(p.status.is_trained for p in batch) <= 1


def test_nan_is_worse_than_any_number(training: str) -> None:
    state = strategy(training).tell(_begun(training), {0: math.nan, 1: 5.0})
    assert {i.fitness for i in state.population} == {math.inf, 5.0}


# --- those that do not ---


def test_questions_and_answers_are_plain_data(asking: str) -> None:
    found: Any = strategy(asking)
    pieces: list[None] = []
    answerer = found.answerer(lambda: pieces.append(None))
    for question in found.ask(_begun(asking))[0]:
        assert json.loads(json.dumps(question.request)) == question.request
        answer = answerer(**question.request)
        assert json.loads(json.dumps(answer)) == answer
        # Any worker may be asked, and asked again.
        assert found.answerer(lambda: None)(**question.request) == answer
    assert pieces


# --- in a search ---


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
    config = config_from_dict(data | NEEDED.get(name, {}))
    run = create_run(tmp_path, "small", config)
    outcome = run_search(run, config, executor)
    assert outcome is not None
    with closing(run.read()) as opened:
        assert read_outcome(opened) == outcome
        trained = sum(c.status in ("new", "again") for c in opened.candidates())
        assert trained >= (12 if config.is_trained else 1)


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
    test_candidates_are_in_order_and_well_formed("oldest")
    test_ask_and_tell_change_nothing("oldest")
    test_it_finishes("oldest")
    test_a_budget_is_kept("oldest")
    test_nan_is_worse_than_any_number("oldest")
    test_what_was_not_asked_for_is_refused("oldest")
    test_a_search_uses_it("oldest", task, executor, tmp_path)
