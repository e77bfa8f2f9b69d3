"""Kills a process at each statement of a run's creation.

    python creation_deaths.py FOLDER CONFIG.json

Creates the run `made` in FOLDER/0, FOLDER/1, ...: the process that does so in FOLDER/N is killed
when it comes to the line that is the N-th new to it, until one gets through. Prints how many died.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from evoptax.dsl import files
from evoptax.known_algorithms import catalogue
from evoptax.search.config.files import config_from_dict, config_to_dict
from evoptax.search.config.settings import SearchConfig
from evoptax.search.store import database, ledger, lock, runs

# Lines of these are counted.
TRACED = {module.__file__ for module in (files, database, ledger, lock, runs)}


def deaths_in_creation(folder: Path, config: SearchConfig) -> list[Path]:
    """The runs folders that killed creations left behind, by the moment of death."""
    (folder / "config.json").write_text(json.dumps(config_to_dict(config)))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, str(folder), str(folder / "config.json")],
        check=True,
        capture_output=True,
        text=True,
    )
    return [folder / str(number) for number in range(int(done.stdout))]


def _create(runs_dir: Path, config: SearchConfig, line: int) -> None:
    seen = set()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename not in TRACED:
            return None
        seen.add((frame.f_code.co_filename, frame.f_lineno))
        if len(seen) > line:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    runs.create_run(runs_dir, "made", config)
    sys.settrace(None)


def main() -> None:
    assert catalogue.KNOWN  # imported here, once for all
    folder, config = Path(sys.argv[1]), config_from_dict(json.loads(Path(sys.argv[2]).read_text()))
    number, status = 0, 1
    while status:
        if not (child := os.fork()):
            _create(folder / str(number), config, number)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status in (0, signal.SIGKILL), status
        number += 1
    print(number - 1)


if __name__ == "__main__":
    main()
