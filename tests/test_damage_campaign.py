"""The damage campaign: runs are damaged in every way we know, and every command is tried on each.

    python -m pytest -m slow tests/test_damage_campaign.py

Here are deaths in a run's creation, kills of a search, and every damaged file and edited content of
`test_damaged.py` with all commands, also those that train: about half an hour on two cores.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
from creation_deaths import deaths_in_creation
from damage import (
    COMMANDS,
    assert_no_traceback,
    command_line,
    every_command,
    rows,
    run_command,
    start_command,
)
from evoptax.search.config.files import config_from_dict, config_to_toml
from evoptax.search.store.ledger import read_content
from evoptax.search.store.runs import Run, create_run, list_runs
from small_search import run_small, settings
from test_damaged import CONTENTS, FILES, edit, healthy, runs_dir

__all__ = ["healthy", "runs_dir"]  # fixtures

pytestmark = pytest.mark.slow

DEATHS = 6
KILLS = 30


def test_deaths_in_creation(tmp_path: Path, small_task: str) -> None:
    config = config_from_dict(settings(small_task, 8) | {"workers": 1})
    (tmp_path / "deaths").mkdir()
    left = deaths_in_creation(tmp_path / "deaths", config)
    whole, _ = run_small(tmp_path, "whole", small_task, **settings(small_task, 8), workers=1)
    for folder in (left[len(left) * n // DEATHS] for n in range(DEATHS)):
        is_made = bool([*list_runs(folder)])
        for line in every_command("made", folder, training=is_made):
            answer = run_command(line)
            assert_no_traceback(*answer)
            assert answer[0] == 0 or not is_made or "no trained candidate" in answer[2], line
        if not is_made:
            create_run(folder, "made", config)
            assert run_command(["resume", "made", "--runs-dir", str(folder)])[0] == 0
        assert read_content(folder / "made" / "ledger.sqlite") == read_content(whole.ledger_path)


def test_kills_of_a_search(tmp_path: Path, small_task: str) -> None:
    options = settings(small_task, 150) | {"workers": 1}
    whole, _ = run_small(tmp_path, "whole", small_task, **options)
    config = tmp_path / "config.toml"
    config.write_text(config_to_toml(config_from_dict(options)))
    # Drawn afresh each time: any moment must do. The seed is printed if the test fails.
    seed = random.SystemRandom().randrange(10**6)
    print(f"moments drawn with seed {seed}")
    rng = random.Random(seed)
    runs_dir, killed, number = tmp_path / "runs", 0, 0
    while killed < KILLS:
        run = Run(runs_dir / f"run-{number}")
        start = ["resume", run.name] if run.ledger_path.exists() else ["search", str(config)]
        name = [] if start[0] == "resume" else ["--name", run.name]
        process = start_command([*start, *name, "--runs-dir", str(runs_dir)])
        # Most of a start is imports and compilation, where a kill proves little: wait until it
        # gets further than the last time, if it has any further to go.
        before = rows(run)
        while process.poll() is None and rows(run) == before:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.4))
        seen = rows(run)
        process.send_signal(signal.SIGKILL)
        _, stderr = process.communicate()
        if process.returncode == 0:
            assert read_content(run.ledger_path) == read_content(whole.ledger_path)
            assert not [name for name in os.listdir(run.folder) if name.startswith(".")]
            number += 1
            continue
        assert process.returncode == -signal.SIGKILL, stderr
        killed += 1
        assert rows(run) >= seen, "what was stored is there"
        for line in every_command(run.name, runs_dir):
            if line[0] != "resume":  # which comes next, and is killed in turn
                answer = run_command(line)
                assert_no_traceback(*answer)
                assert answer[0] == 0 or "no trained candidate" in answer[2], (line, answer[2])
    for run in list_runs(runs_dir):
        status, _, stderr = run_command(["resume", run.name, "--runs-dir", str(runs_dir)])
        assert status == 0, stderr
        assert read_content(run.ledger_path) == read_content(whole.ledger_path)


def check_all_commands(runs_dir: Path) -> None:
    """Every command on a damaged run answers or refuses in one sentence, and nothing is lost.

    `resume` alone may write to the run, and comes last.
    """
    trial, neighbour = (runs_dir / name / "ledger.sqlite" for name in ("trial", "neighbour"))
    before, beside = _bytes(trial), read_content(neighbour)
    for name in COMMANDS:
        if name == "resume":
            assert _bytes(trial) == before
        assert_no_traceback(*run_command(command_line(name, "trial", runs_dir)))
    assert list(COMMANDS)[-1] == "resume"
    assert read_content(neighbour) == beside
    left = [path for path in runs_dir.rglob(".*") if path.name.startswith(".evoptax")]
    assert not left


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


@pytest.mark.parametrize("damage", FILES)
def test_damaged_files(damage: str, runs_dir: Path) -> None:
    FILES[damage](runs_dir / "trial" / "ledger.sqlite")
    check_all_commands(runs_dir)


@pytest.mark.parametrize("case", CONTENTS)
def test_edited_contents(case: str, runs_dir: Path) -> None:
    edit(runs_dir / "trial", CONTENTS[case][0])
    check_all_commands(runs_dir)
