"""A search repeats exactly, and nothing about how it ran changes what it found."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from evoptax.dsl.algebra.canonical import program_digest
from evoptax.dsl.errors import UserError
from evoptax.dsl.syntax import parse
from evoptax.search.config.files import config_from_dict
from evoptax.search.engine.loop import run_search
from evoptax.search.engine.progress import Progress
from evoptax.search.store.ledger import open_to_read, read_content
from evoptax.search.store.runs import create_run, extend, rule_of_run
from small_search import run_small, settings, started_workers


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, small_task: str):
    """A finished small search."""
    return run_small(tmp_path_factory.mktemp("runs"), "first", small_task)


def test_same_seed_gives_the_same_ledger_whatever_the_workers(
    finished, tmp_path: Path, small_task: str
) -> None:
    run, _ = finished
    # Two workers: see test_workers.py.
    for name, options in (("again", {}), ("three", {"workers": 3})):
        other, _ = run_small(tmp_path, name, small_task, **options)
        first, second = read_content(run.ledger_path), read_content(other.ledger_path)
        for content in (first, second):  # workers are stored, and alone may differ
            content["facts"] = [row for row in content["facts"] if row[0] != "config"]
        assert first == second
        assert rule_of_run(run, "best") == rule_of_run(other, "best")


def test_a_search_leaves_its_ledger_as_one_file(finished) -> None:
    assert {p.name for p in finished[0].folder.iterdir()} == {"config.toml", "ledger.sqlite"}


def test_another_seed_gives_other_candidates(finished, tmp_path: Path, small_task: str) -> None:
    other, _ = run_small(tmp_path, "other", small_task, seed=1)
    programs = [
        [row[3] for row in read_content(r.ledger_path)["candidates"]] for r in (finished[0], other)
    ]
    assert programs[0][0] == programs[1][0]  # the starter
    assert programs[0][1:20] != programs[1][1:20]


def test_budget_of_candidates_is_met_exactly(finished) -> None:
    with closing(open_to_read(finished[0].ledger_path)) as ledger:
        assert ledger.counts()["new"] == 40
        assert ledger.fact("outcome")["finalists"]


def test_best_rule_was_confirmed_by_the_fused_path_on_fresh_seeds(finished) -> None:
    run, _ = finished
    with closing(open_to_read(run.ledger_path)) as ledger:
        outcome = ledger.fact("outcome")
    confirmed = [f for f in outcome["finalists"] if f["ordinal"] == outcome["ordinal"]]
    assert outcome["confirmed"]
    assert confirmed[0]["confirmation"] <= 0
    digest = program_digest(parse(outcome["simplified"]))
    own, trained = [], set()
    for of, _, _, fidelity, path, _ in read_content(run.ledger_path)["results"]:
        seeds = json.loads(fidelity)["seeds"]
        if path == "machine":
            trained |= set(seeds)
        elif of == digest:
            own += seeds
    assert own, "the simplified rule itself was trained on the fused path"
    assert not trained & set(own)


def test_search_finds_something_better_than_its_start(finished) -> None:
    with closing(open_to_read(finished[0].ledger_path)) as ledger:
        best = ledger.best_fitness()
    assert best is not None
    assert best < 0


def test_stopped_search_continues_to_the_same_content(
    finished, tmp_path: Path, small_task: str
) -> None:
    config = config_from_dict(settings(small_task))
    run = create_run(tmp_path, "stopped", config)
    workers = started_workers(small_task)
    seen: list[Progress] = []
    for stop_after in (5, 9, 30):
        seen.clear()
        outcome = run_search(
            run,
            config,
            workers,
            report=seen.append,
            should_stop=lambda: bool(seen) and seen[-1].trained >= stop_after,  # noqa: B023
        )
        assert outcome is None
    assert run_search(run, config, workers) is not None
    assert read_content(run.ledger_path) == read_content(finished[0].ledger_path)


def test_finished_search_only_reads_when_resumed(finished, small_task: str) -> None:
    run, config = finished
    before = read_content(run.ledger_path)
    outcome = run_search(run, config, started_workers(small_task))
    assert outcome is not None
    assert read_content(run.ledger_path) == before


def test_ledger_of_another_search_is_refused(tmp_path: Path, small_task: str) -> None:
    run, _ = run_small(tmp_path, "mine", small_task)
    config = config_from_dict(settings(small_task) | {"seed": 5})
    with pytest.raises(UserError, match="cannot be continued: candidate 1 "):
        run_search(run, config, started_workers(small_task))


def test_no_time_trains_the_starter_alone_or_nothing(tmp_path: Path, small_task: str) -> None:
    run, _ = run_small(tmp_path, "none", small_task, budget={"seconds": 1e-9})
    with closing(open_to_read(run.ledger_path)) as ledger:
        assert ledger.counts()["new"] <= 1
        assert "adamw" in ledger.fact("outcome")["program"]


def test_seconds_that_are_spent_end_no_replay(tmp_path: Path, small_task: str) -> None:
    """Stopped in the finals of a search that its clock had ended, and continued."""
    config = config_from_dict(settings(small_task) | {"budget": {"seconds": 4.0}})
    run = create_run(tmp_path, "late", config)
    workers = started_workers(small_task)
    seen: list[Progress] = []
    outcome = run_search(
        run,
        config,
        workers,
        report=seen.append,
        should_stop=lambda: bool(seen) and seen[-1].phase == "confirming",
    )
    assert outcome is None
    before = read_content(run.ledger_path)
    assert run_search(run, config, workers) is not None
    after = read_content(run.ledger_path)
    assert after["candidates"] == before["candidates"]
    rounds = [dict((row[0], row[1]) for row in c["facts"])["rounds"] for c in (before, after)]
    assert rounds[0] == rounds[1]


def test_a_finished_search_goes_on_as_if_its_budget_had_been_larger(
    tmp_path: Path, small_task: str
) -> None:
    rounds = {"evolution": settings(small_task)["evolution"] | {"round": 16}}
    larger = {"budget": {"candidates": 43}}  # neither ends a round, or a batch
    whole, config = run_small(tmp_path, "whole", small_task, **rounds, **larger)
    run, _ = run_small(tmp_path, "longer", small_task, **rounds, budget={"candidates": 37})
    for limits, refused in (
        ({"candidates": 37}, "37 already"),
        ({"seconds": 1e-9}, "seconds 1e-09"),
    ):
        with pytest.raises(UserError, match=refused):
            extend(run, limits)
    assert extend(run, {"candidates": 43}) == config
    assert (run.folder / "config.toml").read_text() == (whole.folder / "config.toml").read_text()
    assert run_search(run, config, started_workers(small_task)) is not None
    with closing(run.read()) as longer, closing(whole.read()) as opened:
        assert [*longer.candidates()] == [*opened.candidates()]
        for key in ("outcome", "rounds", "config"):
            assert longer.fact(key) == opened.fact(key) is not None
