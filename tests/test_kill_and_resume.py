"""A search killed with SIGKILL at random moments ends as one that was not."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

from damage import rows, start_command
from evoptax.search.config.files import config_from_dict, config_to_toml
from evoptax.search.store.ledger import read_content
from evoptax.search.store.runs import Run
from small_search import run_small, settings

KILLS = 10


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
    run = Run(tmp_path / "runs" / "killed")
    runs_dir = ["--runs-dir", str(run.folder.parent)]
    command = ["search", str(config), "--name", "killed", *runs_dir]
    killed = 0
    while killed < KILLS:
        process = start_command(command)
        # Most of a start is imports and compilation, where a kill proves little: wait until it
        # gets further than the last time, if it has any further to go.
        before = rows(run)
        while process.poll() is None and rows(run) == before:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        if process.returncode == 0:
            break  # it had come to its end
        assert process.returncode == -signal.SIGKILL, process.stderr.read()
        if run.ledger_path.exists():
            command = ["resume", "killed", *runs_dir]
    assert killed > 3
    process = start_command(["resume", "killed", *runs_dir])
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert read_content(run.ledger_path) == read_content(whole.ledger_path)
