"""The files that a run names: its task files, which are executed, and its traces, which are read.

Their checksums are a fact of the run, so that it goes on with what it was started with. Who starts
a run has named its task files; whoever resumes one that they have not started says so once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...dsl.errors import UserError
from ...evaluators.task_names import is_own, split_task, whole_path, whole_task
from ..config.settings import SearchConfig
from .ledger import Ledger
from .trust import is_trusted, trust

# The fact that holds the SHA-256 of each file, by its whole path.
FACT = "files"


@dataclass(frozen=True)
class NamedFile:
    """A file that a run depends on.

    Attributes:
      path: the whole one.
      option: of `evoptax resume`, that says where it is now.
    """

    path: Path
    option: str


def named_files(config: SearchConfig) -> tuple[NamedFile, ...]:
    """The files that a configuration names."""
    tasks = [
        NamedFile(file_of(task), f"--task FILE.py:{split_task(task)[1]}")
        for task in own_tasks(config)
    ]
    traces = [config.traces] if config.traces else []
    return (*tasks, *(NamedFile(whole_path(path), "--traces FILE") for path in traces))


def own_tasks(config: SearchConfig) -> tuple[str, ...]:
    """The tasks of a configuration that are in files of the user's."""
    return tuple(task for task in config.tasks if is_own(task))


def file_of(task: str) -> Path:
    """The whole path of the file of FILE.py:NAME."""
    return whole_path(split_task(task)[0])


def checksum(path: Path) -> str | None:
    """The SHA-256 of a file; None if there is no such file, or none that can be read."""
    try:
        if not path.is_file():
            return None
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def checksums(config: SearchConfig) -> dict[str, str]:
    """The checksum of each file that a configuration names, by its whole path."""
    found = {str(file.path): checksum(file.path) for file in named_files(config)}
    return {path: value for path, value in found.items() if value is not None}


def trust_tasks(tasks: Iterable[str]) -> None:
    """Remembers that this user runs these tasks, as their files are now."""
    for task in tasks:
        if (found := checksum(file_of(task))) is not None:
            trust(whole_task(task), found)


def stored_checksums(opened: Ledger) -> Mapping[str, str]:
    """The checksums of a run's files; those of runs of older versions are not known."""
    found: Mapping[str, str] = opened.fact_as(FACT, Mapping[str, str], {})
    return found


def check_files(
    name: str,
    config: SearchConfig,
    stored: Mapping[str, str],
    *,
    named: Collection[str] = (),
    trusting: bool = False,
) -> None:
    """Checks the files of a run before it goes on.

    Args:
      name: the run's. config: its. stored: the checksums in its ledger.
      named: tasks that the user has named on this command line.
      trusting: whether the user trusts the others too; they are remembered.

    Raises:
      UserError: a file is not there, has changed, or is not trusted by this user.
    """
    for file in named_files(config):
        _check_same(name, file, stored)
    tasks = own_tasks(config)
    strange = [
        whole_task(task)
        for task in tasks
        if task not in named and not is_trusted(whole_task(task), checksum(file_of(task)) or "")
    ]
    if strange and not trusting:
        raise UserError(
            f"run '{name}' trains on {' and '.join(map(repr, strange))}, which you have not run on"
            " this machine yet; a task file is a program: read it, and add --trust-tasks to run it"
        )
    trust_tasks(tasks)


def _check_same(name: str, file: NamedFile, stored: Mapping[str, str]) -> None:
    path, option = file.path, file.option
    found = checksum(path)
    if found is None:
        raise UserError(
            f"run '{name}' needs '{path}', which is not there or cannot be read; if it has moved,"
            f" say where: `evoptax resume {name} {option}`"
        )
    if stored.get(str(path), found) != found:
        raise UserError(
            f"'{path}' has changed since run '{name}' was started; put the old file back, go on"
            f" with the new one by `evoptax resume {name} {option}`, or start a new run"
        )
