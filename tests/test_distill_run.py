"""A black box becomes a program from the command line, and the run is a run like any other."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from evoptax.cli.main import main
from evoptax.dsl.syntax import parse
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.files import config_from_dict
from evoptax.search.engine.loop import run_search
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
    config = config_from_dict({"budget": {"seconds": 600}, "traces": str(traces)})
    run = create_run(tmp_path, "alone", config)
    with Workers((), 1) as workers:
        # Stopped in the middle, and continued.
        assert run_search(run, config, workers, should_stop=lambda: True) is None
        assert run_search(run, config, workers) is not None
    ours, theirs = (read_content(r.ledger_path) for r in (run, found))
    assert ours["candidates"] == theirs["candidates"]
    assert rule_of_run(run, "best") == rule_of_run(found, "best")


def _aged(run: Run, folder: Path) -> Run:
    """The run as older versions stored it: its traces alone say that it is a distillation."""
    old = Run(shutil.copytree(run.folder, folder / run.name))
    with closing(old.write()) as opened:
        config = opened.fact("config")
        assert config["evolution"].pop("strategy") == "distillation"
        config["evolution"]["strategy"] = "evolution"
        opened.set_fact("config", config)
    return old


def test_older_ones_are_read_and_resumed(
    found: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = _aged(found, tmp_path)
    folder = ["--runs-dir", str(tmp_path)]
    for command in (
        *(["runs"], ["show", "box"], ["export", "box:best", "--to", "optax"]),
        *(["lineage", "box"], ["resume", "box"]),
    ):
        assert main([*command, *folder]) == 0
    assert "Found: on traces that no candidate was fitted to" in capsys.readouterr().out
    assert main(["resume", "box", "--budget.seconds", "900", *folder]) == 2
    assert "is a distillation, which takes no other budget" in capsys.readouterr().err
    before = read_content(old.ledger_path)
    with closing(old.write()) as opened:
        opened.set_fact("outcome", None)
    assert main(["resume", "box", "--workers", "1", *folder]) == 0
    assert read_content(old.ledger_path) == before


def test_an_unfinished_one_is_shown(
    traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create_run(tmp_path, "begun", config_from_dict({"traces": str(traces)}))
    for command in (["runs"], ["show", "begun"], ["show", "begun", "--format", "json"]):
        assert main([*command, "--runs-dir", str(tmp_path)]) == 0
    assert "not finished" in capsys.readouterr().out


def test_a_configuration_can_be_a_distillation(
    traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "box.toml"
    rest = [str(path), "--runs-dir", str(tmp_path / "runs"), "--name", "box", "--workers", "1"]
    path.write_text(f"traces = '{traces}'\nevolution.strategy = 'random'\n")
    assert main(["search", *rest]) == 2
    assert "reads none" in capsys.readouterr().err
    path.write_text("evolution.strategy = 'distillation'\n")
    assert main(["search", *rest]) == 2
    assert "needs traces" in capsys.readouterr().err
    path.write_text(f"traces = '{traces.name}'\nevolution.strategy = 'distillation'\n")
    # The options go before the file.
    options = ["--preset", "distill", "--traces", str(traces), "--budget.candidates", "1"]
    assert main(["search", *rest, *options]) == 0
    path.write_text(f"traces = '{traces}'\nbudget.candidates = 1\n")
    assert main(["search", *rest, "--name", "other"]) == 0
    found = [read_content(tmp_path / "runs" / name / "ledger.sqlite") for name in ("box", "other")]
    assert found[0]["candidates"] == found[1]["candidates"]


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


@pytest.mark.parametrize(
    ("option", "name"),
    [
        (["--start", "lion"], "start"),
        (["--against", "lion"], "against"),
        (["--baseline", "lion"], "baseline"),
        (["--grammar", "matrix"], "grammar"),
        (["--task", "mine.py:task"], "task"),
    ],
)
def test_what_is_for_training_is_refused(
    option: list[str],
    name: str,
    traces: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = ["--runs-dir", str(tmp_path / "runs")]
    arguments = ["search", "--preset", "distill", "--traces", str(traces), *folder]
    assert main([*arguments, *option]) == 2
    assert f"'{name}' is for searches that train" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
