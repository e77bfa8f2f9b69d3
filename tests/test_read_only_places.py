"""A run can be read where nothing can be written, and a finished one is left as one file."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from damage import COMMANDS, TRAINING, assert_one_sentence, command_line, run_command
from evoptax.dsl.errors import UserError
from evoptax.search.store.ledger import read_content
from evoptax.search.store.runs import Run, list_runs
from small_ledger import finish, make_run

NOBODY = 65534


@contextmanager
def without_rights() -> Iterator[None]:
    """As a user whom permissions bind, which they do not bind root."""
    if os.geteuid():
        yield
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture(scope="module")
def runs_dir() -> Iterator[Path]:
    """A place that every user may enter, unlike pytest's own; see `frozen`."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    shutil.rmtree(folder)


def frozen(run: Run) -> Run:
    """The run, its files and folder readable and no more."""
    for path in run.folder.iterdir():
        path.chmod(0o444)
    run.folder.chmod(0o555)
    return run


def _log_mode(run: Run) -> None:
    """Marks the ledger as one that is written with a log, as evoptax left it before."""
    with closing(sqlite3.connect(run.ledger_path)) as database:
        database.execute("pragma journal_mode = wal")


# Reading commands; what they are asked to write they print, since nothing can be written here.
READING = [name for name in COMMANDS if name not in TRAINING]


def reading(name: str, run_name: str, runs_dir: Path) -> list[str]:
    line = command_line(name, run_name, runs_dir)
    return [word for word in line if word != "-o" and not word.endswith("/out")]


@pytest.fixture(scope="module", params=["one file", "log mode"])
def finished(request: pytest.FixtureRequest, runs_dir: Path) -> tuple[Run, dict[str, str]]:
    """A finished run in a folder that cannot be written, and what commands said before."""
    run = make_run(runs_dir, name=request.param.replace(" ", "-"), rounds=2)
    finish(run)
    # This also imports what another user may not be able to read.
    said = {name: run_command(reading(name, run.name, runs_dir)) for name in READING}
    assert [status for status, _, _ in said.values()] == [0] * len(said)
    if request.param == "log mode":
        _log_mode(run)
    assert sorted(os.listdir(run.folder)) == ["config.toml", "ledger.sqlite"]
    return frozen(run), {name: stdout for name, (_, stdout, _) in said.items()}


@pytest.mark.parametrize("name", READING)
def test_commands_read_a_finished_run(name: str, finished: tuple[Run, dict[str, str]]) -> None:
    run, said = finished
    with without_rights():
        status, stdout, stderr = run_command(reading(name, run.name, run.folder.parent))
    assert status == 0, stderr
    assert stdout == said[name] or "runs" in name  # which lists them all
    assert sorted(os.listdir(run.folder)) == ["config.toml", "ledger.sqlite"]


def test_what_would_write_says_so(finished: tuple[Run, dict[str, str]]) -> None:
    run, _ = finished
    with without_rights():
        answer = run_command(["resume", run.name, "--runs-dir", str(run.folder.parent)])
    assert_one_sentence(*answer)
    assert "Permission denied" in answer[2]


def test_a_folder_that_cannot_be_entered_hides_no_other(runs_dir: Path) -> None:
    run = make_run(runs_dir, name="open", count=3)
    closed = runs_dir / "closed"
    closed.mkdir(mode=0o700, exist_ok=True)
    closed.chmod(0o000)
    with without_rights():
        assert run in [*list_runs(runs_dir)]
        answer = run_command(["show", "closed", "--runs-dir", str(runs_dir)])
    closed.chmod(0o755)
    assert_one_sentence(*answer)


def test_a_run_in_the_middle_is_read_or_said_to_be_unreadable(runs_dir: Path) -> None:
    """Killed, its last results are in the log, which a read-only place keeps from being merged."""
    run = make_run(runs_dir, name="killed", count=5)
    code = (
        "import os, sys, pathlib; from evoptax.search.store.runs import Run\n"
        "opened = Run(pathlib.Path(sys.argv[1])).write(); opened.set_fact('last', 1)\n"
        f"os.kill(os.getpid(), {signal.SIGKILL:d})"
    )
    subprocess.run([sys.executable, "-c", code, str(run.folder)])
    index = run.folder / "ledger.sqlite-shm"
    assert index.exists() and (run.folder / "ledger.sqlite-wal").stat().st_size
    frozen(run)
    with without_rights(), closing(run.read()) as opened:
        assert opened.fact("last") == 1
    run.folder.chmod(0o755)
    index.unlink()
    run.folder.chmod(0o555)
    with (
        without_rights(),
        pytest.raises(UserError, match="part of it is still in"),
    ):
        run.read()


@pytest.mark.parametrize("name", READING)
def test_commands_read_from_a_read_only_mount(name: str, mounted: Path) -> None:
    status, _, stderr = run_command(reading(name, "mounted", mounted))
    assert status == 0, stderr


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A read-only file system with a finished run whose ledger is marked as written with a log."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("only root mounts")
    run = make_run(tmp_path_factory.mktemp("runs"), name="mounted", rounds=2)
    finish(run)
    _log_mode(run)
    place = tmp_path_factory.mktemp("mount")
    options = ("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place))
    if subprocess.run(options, capture_output=True).returncode:
        pytest.skip("this machine lets nothing be mounted")
    try:
        shutil.copytree(run.folder, place / run.name)
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_whoever_reads_at_the_end_loses_nothing(tmp_path: Path) -> None:
    """The log cannot be merged while a reader is open; the next who writes does it."""
    run = make_run(tmp_path, count=5)
    with closing(run.write()) as opened:
        opened.set_fact("last", 1)
        reader = run.read()
    assert reader.fact("last") == 1
    reader.close()
    content = read_content(run.ledger_path)
    run.write().close()
    assert read_content(run.ledger_path) == content
    assert sorted(os.listdir(run.folder)) == ["config.toml", "ledger.sqlite"]
