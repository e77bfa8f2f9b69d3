"""Which tasks this user has run or chosen to run, on this machine: a list in their own folder.

A run's folder may come from anybody, and a task file is a program. So a task that a run names is
executed only if it is in this list, or named on the command line. By its name too: of a file that
is trusted, a ledger could have any function called.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import platformdirs


def trust_file() -> Path:
    """The list, in `$EVOPTAX_DATA_DIR` or the platform's folder for a user's data."""
    override = os.environ.get("EVOPTAX_DATA_DIR")
    folder = Path(override) if override else Path(platformdirs.user_data_dir("evoptax"))
    return folder / "trusted_tasks.jsonl"


def is_trusted(task: str, checksum: str) -> bool:
    """Whether a task is in the list, its file having just this content.

    Args:
      task: FILE.py:NAME with the file's whole path. checksum: the file's SHA-256.
    """
    try:
        return _line(task, checksum) in trust_file().read_bytes().splitlines()
    except OSError:
        return False


def trust(task: str, checksum: str) -> None:
    """Puts a task into the list. Where nothing can be written, it is asked for again."""
    if is_trusted(task, checksum):
        return
    try:
        trust_file().parent.mkdir(parents=True, exist_ok=True)
        with open(trust_file(), "ab") as file:
            file.write(_line(task, checksum) + b"\n")
    except OSError:
        return


def _line(task: str, checksum: str) -> bytes:
    return json.dumps({"task": task, "sha256": checksum}).encode()
