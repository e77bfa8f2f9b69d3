"""The command as a process: signals at any moment, streams that fail, errors nobody expected."""

from __future__ import annotations

import errno
import os
import pty
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import evoptax.cli.entry
import pytest
from damage import rows
from evoptax.cli.main import main
from evoptax.search.config.files import config_from_dict, config_to_toml
from evoptax.search.store.runs import Run
from small_search import settings

# What the installed command does.
EVOPTAX = [sys.executable, "-c", "import sys; from evoptax.cli.entry import run; sys.exit(run())"]
CLI = str(Path(evoptax.cli.entry.__file__).parent)


def _run(
    *args: str, code: str = "", stdout: int | str = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs the command; `code` runs before it in the same process."""
    script = f"{textwrap.dedent(code)}\n{EVOPTAX[2]}"
    command = [sys.executable, "-c", script, *args]
    env = {**os.environ, **environment}
    if isinstance(stdout, str):
        with open(stdout, "w") as file:
            return subprocess.run(command, stdout=file, stderr=subprocess.PIPE, text=True, env=env)
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=env)


# --- signals ---

QUICKLY = {
    "known": ["known"],
    "doctor": ["doctor"],
    "search": ["search", "--preset", "quick"],
    "export": ["export", "lion", "--to", "optax"],
}


@pytest.mark.parametrize("name", QUICKLY)
@pytest.mark.parametrize("milliseconds", [0, 20, 50, 100, 200, 300, 500, 1200])
def test_ctrl_c_soon_after_the_start(name: str, milliseconds: int, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*EVOPTAX, *QUICKLY[name]],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(milliseconds / 1000)
    process.send_signal(signal.SIGINT)
    try:
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    # Before any line of ours runs, Python itself dies of it, and may print where it was.
    assert "Traceback" not in error or CLI not in error
    if process.returncode == 130 and "stopped and saved; continue with" in error:
        # The search had started before the signal came, so there is a run to continue.
        assert name == "search" and list((tmp_path / "runs").iterdir())
    elif process.returncode == 130:
        assert error.endswith("evoptax: stopped\n")
        assert error.count("\n") == 1
    else:
        assert process.returncode in (0, 1, -signal.SIGINT)
        assert "Traceback" in error or not error


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    code = """
        import time
        import evoptax.cli.known
        def wait(args):
            try:
                print("waiting", flush=True)
                time.sleep(60)
            finally:
                print("tidying up", flush=True)
                time.sleep(60)
        evoptax.cli.known.run = wait
    """
    command = [sys.executable, "-c", f"{textwrap.dedent(code)}\n{EVOPTAX[2]}", "known"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in ("waiting\n", "tidying up\n"):
            assert process.stdout.readline() == line
            process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr.read() == "evoptax: stopped\n"


def test_ctrl_c_that_python_can_only_print_still_stops() -> None:
    code = """
        import evoptax.cli.known, os, signal, time
        class Interrupted:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(1)
        def run(args):
            Interrupted()
            time.sleep(60)
        evoptax.cli.known.run = run
    """
    done = _run("known", code=code)
    assert (done.returncode, done.stderr) == (130, "evoptax: stopped\n")


@pytest.mark.parametrize("handled", ["nullcontext", "interrupted_by_signals"])
def test_no_exception_is_raised_in_the_middle_of_an_import(handled: str, tmp_path: Path) -> None:
    """JAX aborts with "Critical nanobind error" where it meets one."""
    module = tmp_path / "slowly_imported.py"
    module.write_text(
        "import os, signal, time\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(0.5)\n"
        "except KeyboardInterrupt:\n    print('raised')\n    raise\n"
        "print('imported', flush=True)\n"
    )
    code = f"""
        import sys, time
        from contextlib import nullcontext
        from evoptax.cli.signals import interrupted_by_signals
        import evoptax.cli.known
        sys.path.insert(0, {str(tmp_path)!r})
        def run(args):
            with {handled}():
                import slowly_imported
                time.sleep(60)
        evoptax.cli.known.run = run
    """
    done = _run("known", code=code)
    # What writes files ends after the import; the rest at once.
    expected = "" if handled == "nullcontext" else "imported\n"
    assert (done.returncode, done.stdout, done.stderr) == (130, expected, "evoptax: stopped\n")


def _searching(tmp_path: Path, task: str, stream: int, code: str = "") -> subprocess.Popen[bytes]:
    """A search without end; `code` runs before it in the same process."""
    config = tmp_path / "config.toml"
    config.write_text(config_to_toml(config_from_dict(settings(task, 10**6) | {"workers": 1})))
    return subprocess.Popen(
        [sys.executable, "-c", f"{code}\n{EVOPTAX[2]}", "search", str(config), "--name", "stopped"],
        cwd=tmp_path,
        stdin=stream,
        stdout=stream,
        stderr=stream,
        start_new_session=True,
    )


def _until_searching(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    ledger = tmp_path / "runs" / "stopped" / "ledger.sqlite"
    until = time.monotonic() + 120
    while not ledger.exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    time.sleep(1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_search_that_is_stopped_says_how_to_go_on(
    number: int, tmp_path: Path, small_task: str
) -> None:
    reader, writer = os.pipe()
    process = _searching(tmp_path, small_task, writer)
    os.close(writer)
    _until_searching(tmp_path, process)
    process.send_signal(number)
    with os.fdopen(reader) as lines:
        said = lines.read()
    assert process.wait(30) == 130
    assert "stopped and saved; continue with `evoptax resume stopped`" in said
    assert "Traceback" not in said


def test_a_search_whose_terminal_closes_is_saved(tmp_path: Path, small_task: str) -> None:
    terminal, stream = pty.openpty()
    process = _searching(tmp_path, small_task, stream)
    os.close(stream)
    _until_searching(tmp_path, process)
    # The terminal goes first: what is written from now on fails.
    os.close(terminal)
    process.send_signal(signal.SIGHUP)
    assert process.wait(30) == 130


@pytest.mark.parametrize("how", ["pipe", "terminal"])
def test_a_search_goes_on_when_nobody_reads_its_progress(
    how: str, tmp_path: Path, small_task: str
) -> None:
    reader, stream = os.pipe() if how == "pipe" else pty.openpty()
    often = "import evoptax.cli.progress\nevoptax.cli.progress.SECONDS_BETWEEN_LINES = 0.2"
    process = _searching(tmp_path, small_task, stream, often)
    os.close(stream)
    _until_searching(tmp_path, process)
    os.close(reader)
    run = Run(tmp_path / "runs" / "stopped")
    before, until = rows(run), time.monotonic() + 120
    while rows(run) < before + 20:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    time.sleep(0.5)  # lines of progress are due
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 130


# --- streams ---


@pytest.mark.parametrize("wrapped", ["print", "rich"])
def test_output_that_cannot_be_written_is_one_sentence(wrapped: str) -> None:
    code = f"""
        import evoptax.cli.known, evoptax.cli.output
        table = evoptax.cli.output.print_table
        show = {{"print": print, "rich": lambda text: table(["a"], [[text]])}}[{wrapped!r}]
        evoptax.cli.known.run = lambda args: show("\\u2212") or 0
    """
    done = _run("known", code=code, stdout="/dev/full")
    assert done.returncode == 2
    no_room = os.strerror(errno.ENOSPC)
    assert done.stderr == f"evoptax: cannot write the output: {no_room}\n"


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_stream_is_no_file_of_ours(closed: int, tmp_path: Path) -> None:
    """The lowest free number goes to the next file that is opened, and what is printed into it."""
    code = f"""
        import os, sys
        import evoptax.cli.known
        def show(args):
            with open({str(tmp_path / "file")!r}, "w") as file:
                assert file.fileno() > 2
                print("output")
                print("progress", file=sys.stderr)
            return 0
        evoptax.cli.known.run = show
    """
    script = f"{textwrap.dedent(code)}\n{EVOPTAX[2]}"
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}>&-', "sh", sys.executable, "-c", script, "known"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert done.stdout == ("" if closed == 1 else "output\n")
    assert done.stderr == ("" if closed == 2 else "progress\n")
    assert (tmp_path / "file").read_text() == ""


# --- errors ---

FAULTS = {
    "RecursionError()": (2, "evoptax: the input is nested too deeply"),
    "MemoryError('8 TiB')": (2, "evoptax: out of memory: 8 TiB"),
    "OSError(28, 'No space left', 'x')": (2, "evoptax: 'x': No space left"),
    "KeyError('\\nslot')": (1, "evoptax: internal error: KeyError: '\\nslot'"),
    "ValueError('one\\ntwo')": (1, "evoptax: internal error: ValueError: one"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("debug", ["", "--debug known", "known --debug", "EVOPTAX_DEBUG"])
def test_an_error_is_one_sentence_and_its_traceback_where_it_is_wanted(
    fault: str, debug: str
) -> None:
    status, expected = FAULTS[fault]
    code = f"""
        import evoptax.cli.known
        def fail(args):
            raise {fault!s}
        evoptax.cli.known.run = fail
    """
    args = debug.split() if " " in debug else ["known"]
    done = _run(*args, code=code, EVOPTAX_DEBUG="1" if "_" in debug else "0")
    assert done.returncode == status
    *before, last = done.stderr.splitlines()
    assert last.startswith(expected)
    if debug:
        assert before[0].startswith("Traceback") and any("in fail" in line for line in before)
    else:
        assert not before
        assert ("--debug" in last) == (status == 1)


def test_tests_see_unexpected_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evoptax.cli.known.run", lambda args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["known"])
