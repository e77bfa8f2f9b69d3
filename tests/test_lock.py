"""One process at a time writes a run; the others are told which."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from socket import gethostname

import pytest
from damage import COMMANDS, TRAINING, assert_one_sentence, command_line, run_command
from evoptax.dsl.errors import UserError
from evoptax.search.config.settings import Budget, SearchConfig
from evoptax.search.engine.loop import run_search
from evoptax.search.execution.executors.processes.workers import Workers
from evoptax.search.store.lock import hold
from evoptax.search.store.runs import Run, create_run
from small_ledger import finish, make_run


@contextmanager
def held(run: Run) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a run open to write."""
    code = """
        import sys
        from pathlib import Path
        from evoptax.search.store.runs import Run
        opened = Run(Path(sys.argv[1])).write()
        print("open", flush=True)
        sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(run.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that is not finished, one that is, and a distillation."""
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder, name="begun", count=10)
    for name in ("done", "read"):
        finish(make_run(folder, name=name, count=30))
    traces = folder / "traces.npz"
    create_run(folder, "box", SearchConfig(budget=Budget(seconds=600.0), traces=str(traces)))
    return folder


@pytest.fixture(scope="module", params=["begun", "done", "box"])
def busy(request: pytest.FixtureRequest, runs_dir: Path) -> Iterator[tuple[Run, int]]:
    """A run that another process writes, and that process's number."""
    run = Run(runs_dir / request.param)
    with held(run) as process:
        yield run, process.pid


def _says_who(message: str, run: Run, pid: int) -> bool:
    who = f"run '{run.name}' is being written by process {pid} on {gethostname()};"
    return who in message


@pytest.mark.parametrize("options", [[], ["--budget.seconds", "999999"], ["--workers", "1"]])
def test_a_second_coordinator_is_refused_by_name(busy: tuple[Run, int], options: list[str]) -> None:
    run, pid = busy
    answer = run_command(["resume", run.name, *options, "--runs-dir", str(run.folder.parent)])
    assert_one_sentence(*answer)
    assert _says_who(answer[2], run, pid)


def test_so_is_one_that_calls_python(busy: tuple[Run, int]) -> None:
    run, pid = busy
    with Workers((), 1) as workers, pytest.raises(UserError) as refused:
        run_search(run, SearchConfig(), workers)
    assert _says_who(str(refused.value), run, pid)


@pytest.fixture(scope="module")
def written(runs_dir: Path) -> Iterator[Run]:
    """A finished run that another process writes."""
    run = Run(runs_dir / "read")
    with held(run):
        yield run


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in TRAINING])
def test_reading_is_not_hindered(name: str, written: Run) -> None:
    status, _, stderr = run_command(command_line(name, written.name, written.folder.parent))
    assert status == 0, stderr


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=3)
    with held(run) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert "ledger.sqlite-lock" in os.listdir(run.folder)
        run.write().close()
    assert sorted(os.listdir(run.folder)) == ["config.toml", "ledger.sqlite"]


def test_a_thread_may_take_its_lock_again_and_no_other_thread(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=3)
    said: list[str] = []

    def other() -> None:
        try:
            run.write().close()
        except UserError as error:
            said.append(str(error))

    with run.writing():
        with closing(run.write()):
            pass
        for _ in range(2):
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
    assert len(said) == 2 and all(_says_who(words, run, os.getpid()) for words in said)
    run.write().close()


def test_what_a_lock_file_says_is_only_shown_if_it_names_a_process(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    for text in ("\x1b[2J 1", "12 host\nand more", "", "x" * 10_000):
        with held_by(lock, text), pytest.raises(UserError) as refused, hold(lock, "it is done"):
            pass
        assert str(refused.value).startswith("it is done by another process;")


@contextmanager
def held_by(path: Path, text: str) -> Iterator[None]:
    """A lock that another open file holds, with some text in it."""
    fcntl = pytest.importorskip("fcntl")
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(text)
        file.flush()
        yield


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=3)
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    (run.folder / "ledger.sqlite-lock").symlink_to(precious)
    with pytest.raises(UserError, match="cannot write to"):
        run.write()
    assert precious.read_text() == "keep me"


def test_no_two_processes_hold_it_while_it_is_removed_and_made_again(tmp_path: Path) -> None:
    """Each adds to a number a hundred times, reading and writing it under the lock."""
    code = """
        import sys
        from pathlib import Path
        from evoptax.search.store.lock import hold
        folder = Path(sys.argv[1])
        for _ in range(100):
            with hold(folder / "lock", "it is counted", wait=60):
                number = int((folder / "number").read_text())
                (folder / "number").write_text(str(number + 1))
    """
    (tmp_path / "number").write_text("0")
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert (tmp_path / "number").read_text() == "400"
    assert not (tmp_path / "lock").exists()
