"""A full disk and a folder that vanishes are one sentence each, and nothing stored is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from damage import assert_one_sentence, run_command
from evoptax.dsl.errors import UserError
from evoptax.dsl.files import replace_text
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.files import config_from_dict
from evoptax.search.config.settings import SearchConfig
from evoptax.search.engine.loop import run_search
from evoptax.search.engine.progress import Progress
from evoptax.search.store.ledger import read_content
from evoptax.search.store.runs import create_run, extend, list_runs
from evoptax.search.strategies.distillation.recording import record_rule
from evoptax.search.strategies.distillation.traces import write_traces
from small_ledger import finish, make_run
from small_search import run_small, settings, started_workers

FULL = "No space left on device"


class Disk:
    """A small file system of its own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.filler = place / "filler"

    def fill(self, leave: int = 0) -> None:
        """Leaves so many bytes."""
        stat = os.statvfs(self.place)
        with open(self.filler, "ab", buffering=0) as file, suppress(OSError):
            file.write(b"x" * max(0, stat.f_bavail * stat.f_frsize - leave))
            while not leave:
                file.write(b"x")

    def free(self) -> None:
        """Makes room again."""
        self.filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Two megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(command).returncode:
        pytest.skip("needs the right to mount a file system")
    yield Disk(place)
    subprocess.run(["umount", "--lazy", str(place)], check=True)


# --- no right is needed for these ---


def test_a_ledger_that_cannot_grow_keeps_what_it_has(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=10)
    before = read_content(run.ledger_path)
    with closing(run.write()) as opened:
        pages = opened._db.execute("pragma page_count").fetchone()[0]
        opened._db.execute(f"pragma max_page_count = {pages}").fetchone()
        rows = [(str(n), "task", 1, "{}", "machine", "x" * 10_000) for n in range(10)]
        with pytest.raises(UserError, match=r"the disk is full; .*`evoptax resume trial`"):
            opened.record(rows)
    assert read_content(run.ledger_path) == before
    with closing(run.write()) as opened:
        opened.record(rows)
    assert len(read_content(run.ledger_path)["results"]) == len(before["results"]) + 10


def test_a_budget_is_extended_whole_or_not_at_all(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=30, rounds=2)
    finish(run)
    with closing(sqlite3.connect(run.ledger_path)) as database:
        database.execute(
            "create trigger full before insert on facts when new.key = 'rounds'"
            " begin select raise(abort, 'no more'); end"
        )
    before = read_content(run.ledger_path)
    with pytest.raises(UserError, match="no more"):
        extend(run, {"candidates": 1000})
    assert read_content(run.ledger_path) == before


@pytest.mark.parametrize("command", ["export lion --to json", "lineage trial"])
def test_output_to_a_full_device(command: str, tmp_path: Path) -> None:
    make_run(tmp_path, count=3)
    answer = run_command([*command.split(), "--runs-dir", str(tmp_path), "-o", "/dev/full"])
    assert_one_sentence(*answer)
    assert f"cannot write '/dev/full': {FULL}" in answer[2]


def test_a_folder_that_is_deleted_during_a_search_ends_it(tmp_path: Path, small_task: str) -> None:
    config = config_from_dict(settings(small_task))
    run = create_run(tmp_path / "runs", "gone", config)
    seen: list[Progress] = []

    def delete(progress: Progress) -> None:
        seen.append(progress)
        if progress.trained > 8 and run.folder.exists():
            shutil.rmtree(run.folder)

    with pytest.raises(UserError, match="was deleted or replaced while it was being written"):
        run_search(run, config, started_workers(small_task), report=delete)
    assert seen[-1].trained < 20, "it is noticed at once"
    assert not run.folder.exists()


def test_what_a_killed_process_left_beside_a_file_is_removed(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=20)
    finish(run)
    (run.folder / ".evoptax-0123456789abcdef.tmp").write_text("half a rep")
    assert run_command(["resume", run.name, "--runs-dir", str(tmp_path)])[0] == 0
    assert not [name for name in os.listdir(run.folder) if name.startswith(".")]


# --- a real full disk ---


@pytest.mark.parametrize("room", [0, 4096, 20_000, 40_000])
def test_creating_a_run_on_a_full_disk(disk: Disk, room: int) -> None:
    runs_dir = disk.place / "runs"
    runs_dir.mkdir()
    disk.fill(leave=room)
    with pytest.raises(UserError, match=r"disk is full|No space left on device"):
        create_run(runs_dir, "mine", SearchConfig())
    assert os.listdir(runs_dir) == []
    disk.free()
    assert create_run(runs_dir, "mine", SearchConfig()) in [*list_runs(runs_dir)]
    assert os.listdir(runs_dir) == ["mine"]


def test_files_of_a_finished_run_on_a_full_disk(disk: Disk) -> None:
    run = make_run(disk.place, count=20)
    finish(run)
    command = ["resume", run.name, "--runs-dir", str(disk.place)]
    assert run_command(command)[0] == 0
    before = {path: path.read_bytes() for path in run.folder.iterdir()}
    disk.fill()
    answer = run_command(command)
    assert_one_sentence(*answer)
    assert "disk is full" in answer[2] or FULL in answer[2]
    assert {path: path.read_bytes() for path in run.folder.iterdir()} == before
    for text in (["show", run.name], ["runs"], ["lineage", run.name]):
        assert run_command([*text, "--runs-dir", str(disk.place)])[0] == 0
    output = disk.place / "out.json"
    answer = run_command(["lineage", *command[1:], "--format", "json", "-o", str(output)])
    assert_one_sentence(*answer)
    assert not output.exists()
    disk.free()
    assert run_command(command)[0] == 0


def test_traces_on_a_full_disk(disk: Disk) -> None:
    path = disk.place / "traces.npz"
    replace_text(path, "what was there")
    disk.fill()
    with pytest.raises(UserError, match=FULL):
        write_traces(path, record_rule(get_known("sgd").program))
    assert path.read_text() == "what was there"
    assert sorted(os.listdir(disk.place)) == ["filler", "traces.npz"]


@pytest.mark.parametrize("room", [30_000, 120_000])
def test_a_search_that_fills_the_disk_goes_on_when_there_is_room(
    disk: Disk, tmp_path: Path, small_task: str, room: int
) -> None:
    whole, config = run_small(tmp_path, "whole", small_task)
    run = create_run(disk.place, "full", config)
    workers = started_workers(small_task)
    disk.fill(leave=room)
    with pytest.raises(UserError, match="the disk is full"):
        run_search(run, config, workers)
    assert run_command(["show", "full", "--runs-dir", str(disk.place)])[0] == 0
    disk.free()
    assert run_search(run, config, workers) is not None
    assert read_content(run.ledger_path) == read_content(whole.ledger_path)
    assert sorted(os.listdir(run.folder)) == ["config.toml", "ledger.sqlite"]


# --- JAX's cache, without which everything only takes longer ---


@pytest.mark.slow
@pytest.mark.parametrize("place", ["a file", "a full disk"])
def test_a_cache_that_cannot_be_written_costs_time_alone(
    place: str, request: pytest.FixtureRequest, tmp_path: Path, small_task: str
) -> None:
    cache = tmp_path / "file"
    cache.write_text("in the way")
    if place == "a full disk":
        disk = request.getfixturevalue("disk")
        disk.fill()
        cache = disk.place
    env = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    words = ["evaluate", "lion", "--tasks", small_task, "--seeds", "1", "--workers", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "evoptax.cli.main", *words],
        env=env | {"EVOPTAX_CACHE_DIR": str(cache / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
