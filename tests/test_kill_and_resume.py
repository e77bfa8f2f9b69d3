"""A search killed with SIGKILL at random moments ends as one that was not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from evoptax.search.config import config_from_dict, config_to_toml
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
    whole, _ = run_small(tmp_path, "whole", small_task, budget={"candidates": candidates})
    config = tmp_path / "config.toml"
    config.write_text(config_to_toml(config_from_dict(settings(small_task, candidates))))
    # Drawn afresh each time: any moment must do. The seed is printed if the test fails.
    seed = random.SystemRandom().randrange(10**6)
    print(f"moments drawn with seed {seed}")
    rng = random.Random(seed)
    ledger = tmp_path / "runs" / "killed" / "ledger.sqlite"
    command = ["search", str(config), "--name", "killed"]
    killed = 0
    longest = 0.5  # seconds from the first write to the kill; grows so that some hit the finals
    while killed < KILLS:
        process = _evoptax(*command, folder=tmp_path)
        # Most of a start is imports, where a kill proves little: wait until it writes.
        writes = _last_write(ledger)
        while process.poll() is None and _last_write(ledger) == writes:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, longest))
        process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            killed += 1
        else:
            longest /= 2  # it had finished: kill sooner, which a resumed run allows too
            assert process.returncode == 0, process.stderr.read().decode()
        if ledger.exists():
            command = ["resume", "killed"]
    process = _evoptax("resume", "killed", folder=tmp_path)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    assert read_content(ledger) == read_content(whole.ledger_path)


def _last_write(ledger: Path) -> float:
    wal = ledger.with_name(ledger.name + "-wal")
    return max((p.stat().st_mtime_ns for p in (ledger, wal) if p.exists()), default=0)
