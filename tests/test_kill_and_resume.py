"""A search killed with SIGKILL at random moments ends as one that was not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from evoptax.dsl.errors import UserError
from evoptax.search.config_file import config_from_dict, config_to_toml
from evoptax.search.ledger import read_content
from small_search import run_small, settings

KILLS = 10


def _evoptax(*args: str, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "evoptax.cli.main", *args]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ
    )


def test_killed_ten_times_and_resumed(tmp_path: Path, small_task: str) -> None:
    candidates = 120
    options = settings(small_task, candidates) | {"workers": 1}  # fewer processes to start
    whole, _ = run_small(tmp_path, "whole", small_task, **options)
    config = tmp_path / "config.toml"
    config.write_text(config_to_toml(config_from_dict(options)))
    # Drawn afresh each time: any moment must do. The seed is printed if the test fails.
    seed = random.SystemRandom().randrange(10**6)
    print(f"moments drawn with seed {seed}")
    rng = random.Random(seed)
    ledger = tmp_path / "runs" / "killed" / "ledger.sqlite"
    command = ["search", str(config), "--name", "killed"]
    killed = 0
    while killed < KILLS:
        process = _evoptax(*command, folder=tmp_path)
        # Most of a start is imports and compilation, where a kill proves little: wait until it
        # gets further than the last time, if it has any further to go.
        before = _rows(ledger)
        while process.poll() is None and _rows(ledger) == before:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        if process.returncode == 0:
            break  # it had come to its end
        assert process.returncode == -signal.SIGKILL, process.stderr.read().decode()
        if ledger.exists():
            command = ["resume", "killed"]
    assert killed > 3
    process = _evoptax("resume", "killed", folder=tmp_path)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    assert read_content(ledger) == read_content(whole.ledger_path)


def _rows(ledger: Path) -> int:
    """How many candidates and results there are."""
    try:
        content = read_content(ledger)
    except UserError:
        return 0  # it is being created
    return len(content["candidates"]) + len(content["results"])
