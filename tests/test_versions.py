"""A run that goes on under other versions or on another machine says so, and goes on."""

from __future__ import annotations

import platform
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from damage import run_command
from evoptax.search.config.files import config_from_dict
from evoptax.search.engine.loop import run_search
from evoptax.search.engine.progress import Progress
from evoptax.search.engine.versions import FACT, changed_versions, present_versions
from evoptax.search.execution.executors.processes.workers import Workers
from evoptax.search.store.runs import Run, create_run
from small_ledger import make_run
from small_search import settings, started_workers


@pytest.fixture(scope="module")
def workers(small_task: str) -> Workers:
    return started_workers(small_task)


@pytest.fixture
def begun(tmp_path: Path, small_task: str, workers: Workers) -> Run:
    """A search that was stopped in the middle."""
    config = config_from_dict(settings(small_task, 12))
    run = create_run(tmp_path, "begun", config)
    seen: list[Progress] = []
    outcome = run_search(
        run,
        config,
        workers,
        report=seen.append,
        should_stop=lambda: bool(seen) and seen[-1].trained >= 6,
    )
    assert outcome is None
    return run


def _stored(run: Run) -> dict[str, Any]:
    with closing(run.read()) as opened:
        return opened.fact(FACT)


def _store(run: Run, versions: Any) -> None:
    with closing(run.write()) as opened:
        opened.set_fact(FACT, versions)


def test_versions_are_stored_when_a_search_begins(begun: Run) -> None:
    assert _stored(begun) == {
        **{name: version(name) for name in ("evoptax", "jax", "jaxlib", "numpy")},
        "processor": platform.machine(),
        "backend": "cpu",
    }


def test_what_was_computed_under_unknown_versions_gets_none(begun: Run, workers: Workers) -> None:
    """An old run that is resumed was not begun with the present ones."""
    _store(begun, None)
    with closing(begun.read()) as opened:
        config = config_from_dict(opened.fact("config"))
    assert run_search(begun, config, workers) is not None
    assert _stored(begun) is None


@pytest.fixture
def made(tmp_path: Path) -> Run:
    """A run of a few candidates."""
    return make_run(tmp_path, count=3)


@pytest.mark.parametrize("name", ["evoptax", "jax", "jaxlib", "numpy", "processor", "backend"])
def test_each_change_is_named(name: str, made: Run, workers: Workers) -> None:
    present = present_versions(workers)
    _store(made, present | {name: "another\n\x1b[2J"})
    with closing(made.read()) as opened:
        said = changed_versions(opened, workers)
    assert f"started with {name} another" in said
    assert f"continues with {name} {present[name]}:" in said
    assert said.count(name) == 2 and "\n" not in said and "\x1b" not in said


@pytest.mark.parametrize("stored", [None, {}, [], 3, "jax", {"jax": None}, {"jax": {"a": []}}])
def test_what_is_stored_is_only_data(stored: Any, made: Run, workers: Workers) -> None:
    _store(made, stored)
    with closing(made.read()) as opened:
        said = changed_versions(opened, workers)
    assert bool(said) == (isinstance(stored, dict) and "jax" in stored)


@pytest.mark.parametrize("changed", [False, True])
def test_resume_says_so_in_a_line_and_goes_on(changed: bool, begun: Run, workers: Workers) -> None:
    if changed:
        _store(begun, present_versions(workers) | {"jax": "0.3.1", "processor": "pdp11"})
    before = _stored(begun)
    status, _, stderr = run_command(
        ["resume", "begun", "--workers", "1", "--runs-dir", str(begun.folder.parent)]
    )
    assert status == 0, stderr
    said = [line for line in stderr.splitlines() if "was started with" in line]
    assert len(said) == changed
    if changed:
        now = f"continues with jax {version('jax')}, processor {platform.machine()}"
        assert "jax 0.3.1, processor pdp11" in said[0] and now in said[0]
    assert _stored(begun) == before, "they are what it was started with"
