"""Ledgers that earlier versions have written can be read: the worked example is of the first."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from evoptax.cli.main import main

RUNS = Path(__file__).parent.parent / "runs"
COMMANDS = (
    ["runs"],
    ["runs", "--format", "json"],
    ["show", "hour"],
    ["show", "hour", "--format", "json"],
    ["show", "hour:best"],
    ["export", "hour:best", "--to", "optax"],
    ["export", "hour:best", "--to", "json"],
    ["lineage", "hour"],
    ["lineage", "hour", "best", "--format", "json"],
    ["lineage", "hour", "--format", "graphml"],
    ["simplify", "hour:best", "--exact"],
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(RUNS / "hour", folder / "hour")
    return folder


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_reading_command(
    command: list[str], runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--runs-dir", str(runs)]) == 0
    out, error = capsys.readouterr()
    assert out.strip() and "Traceback" not in error
    if command[-1] == "json":
        json.loads(out)


def test_resuming_is_refused_in_a_sentence(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--budget.candidates", "100000", "--runs-dir", str(runs)]
    assert main(["resume", "hour", *options]) == 2
    error = capsys.readouterr().err
    assert "cannot go on" in error and len(error.splitlines()) == 1
