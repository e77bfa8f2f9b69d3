"""Other revisions of evoptax, to be measured beside this one."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("dsl", "known_algorithms", "evaluators", "search", "cli")


def source_of(revision: str, folder: Path) -> Path:
    """The files of a revision, put into a folder."""
    folder.mkdir()
    archive = subprocess.run(
        ["git", "archive", revision], cwd=ROOT, check=True, capture_output=True
    )
    subprocess.run(["tar", "x", "-C", folder], input=archive.stdout, check=True)
    return folder


def import_folder(source: Path, folder: Path) -> Path:
    """A folder to import evoptax from, with its packages linked to a source tree."""
    (folder / "evoptax").mkdir(parents=True)
    api = source / "api"  # is evoptax itself; an earlier revision has none
    for path in [source / package for package in PACKAGES] + [*api.glob("*.py")]:
        (folder / "evoptax" / path.name).symlink_to(path)
    return folder
