"""A black box becomes a program from the command line, and the run is a run like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evoptax.cli.main import main
from evoptax.dsl.syntax import parse
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.settings import Budget, SearchConfig
from evoptax.search.engine.distillation import distil
from evoptax.search.execution.executors.processes.workers import Workers
from evoptax.search.store.ledger import read_content
from evoptax.search.store.runs import Run, create_run, rule_of_run
from evoptax.search.strategies.distillation.recording import record_rule
from evoptax.search.strategies.distillation.traces import relative_error, write_traces


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traces") / "momentum.npz"
    write_traces(path, record_rule(get_known("momentum").program))
    return path


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, traces: Path) -> Run:
    folder = tmp_path_factory.mktemp("runs")
    arguments = ["--name", "box", "--runs-dir", str(folder), "--workers", "2"]
    assert main(["search", "--preset", "distill", "--traces", str(traces), *arguments]) == 0
    return Run(folder / "box")


def test_the_rule_is_found_and_written(found: Run) -> None:
    program = rule_of_run(found, "best")
    assert relative_error(program, record_rule(get_known("momentum").program, seed=9)) < 1e-4
    files = {path.name for path in found.folder.iterdir()}
    assert {"best_rule.py", "best_rule_optax.py", "report.html", "config.toml"} <= files
    assert parse((found.folder / "best_rule.py").read_text()) == program


def test_whoever_reads_runs_reads_this_one(found: Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["--runs-dir", str(found.folder.parent)]
    for command in (["runs"], ["show", "box"], ["lineage", "box", "best"], ["resume", "box"]):
        assert main([*command, *folder]) == 0
    said = capsys.readouterr().out
    assert "Found: on traces that no candidate was fitted to" in said
    assert "Found:" in (found.folder / "report.html").read_text()


def test_the_outcome_does_not_depend_on_the_workers(
    found: Run, traces: Path, tmp_path: Path
) -> None:
    config = SearchConfig(budget=Budget(seconds=600.0), traces=str(traces))
    run = create_run(tmp_path, "alone", config)
    with Workers((), 1) as workers:
        # Stopped in the middle, and continued.
        assert distil(run, config, workers, should_stop=lambda: True) is None
        assert distil(run, config, workers) is not None
    ours, theirs = (read_content(r.ledger_path) for r in (run, found))
    assert ours["candidates"] == theirs["candidates"]
    assert rule_of_run(run, "best") == rule_of_run(found, "best")


def test_what_cannot_be_distilled_is_refused(
    traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.npz"
    np.savez(empty)
    folder = ["--runs-dir", str(tmp_path / "runs")]
    for arguments, words in (
        (["--preset", "distill"], "--traces FILE"),
        (["--preset", "quick", "--traces", str(traces)], "--preset distill"),
        (["--preset", "distill", "--traces", str(tmp_path / "none.npz")], "none.npz"),
        (["--preset", "distill", "--traces", str(empty)], "empty.npz"),
    ):
        assert main(["search", *arguments, *folder]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
