"""Every command that takes a run, to be tried on damaged runs, and what a refusal looks like."""

from __future__ import annotations

import atexit
import functools
import io
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from evoptax.cli.main import main
from evoptax.dsl.errors import UserError
from evoptax.search.store.ledger import read_content
from evoptax.search.store.runs import Run
from small_search import write_task

# By name; {run} is the run's name, {out} a new file, {task} a task that trains in no time.
COMMANDS: dict[str, str] = {
    "runs": "runs",
    "runs json": "runs --format json",
    "show": "show {run}",
    "show json": "show {run} --format json",
    "show latex": "show {run} --format latex",
    "show best": "show {run}:best",
    "show number": "show {run}:0 --format json",
    **{
        f"lineage {notation}": f"lineage {{run}} --format {notation}"
        for notation in ("text", "html", "graphml", "gexf", "dot", "json")
    },
    "lineage best": "lineage {run} best",
    "lineage to a file": "lineage {run} -o {out}",
    "export latex": "export {run}:best --to latex",
    "export json": "export {run}:best --to json",
    "export optax": "export {run}:best --to optax -o {out}",
    "simplify": "simplify {run}:best --exact",
    "evaluate": "evaluate {run}:best --tasks {task} --seeds 1 --workers 1",
    # The report is written at the end, and once more when a finished run is resumed.
    "resume": "resume {run} --workers 1",
}
# Those that start processes which train: seconds each.
TRAINING = ("evaluate", "resume")


def every_command(run_name: str, runs_dir: Path, *, training: bool = True) -> list[list[str]]:
    """The arguments of every command on one run; without those that train, if so wanted."""
    names = [name for name in COMMANDS if training or name not in TRAINING]
    return [command_line(name, run_name, runs_dir) for name in names]


def command_line(name: str, run_name: str, runs_dir: Path) -> list[str]:
    """The arguments of one of `COMMANDS` on a run."""
    words = {"run": run_name, "task": _tiny_task(), "out": str(_scratch() / "out")}
    return [w.format(**words) for w in COMMANDS[name].split()] + ["--runs-dir", str(runs_dir)]


def run_command(argv: Sequence[str]) -> tuple[int, str, str]:
    """Runs a command in this process: its exit status, stdout and stderr.

    An exception that escapes is status 1 and a traceback on stderr, as from a shell.
    """
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = main(argv)
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        except Exception:
            traceback.print_exc()
            status = 1
    return status, out.getvalue(), err.getvalue()


def start_command(argv: Sequence[str]) -> subprocess.Popen[str]:
    """Starts a command in a process of its own, which can be killed."""
    command = [sys.executable, "-m", "evoptax.cli.main", *argv]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ
    )


def rows(run: Run) -> int:
    """How many candidates and results a run has; 0 for one that does not exist."""
    try:
        content = read_content(run.ledger_path)
    except UserError:
        return 0
    return len(content["candidates"]) + len(content["results"])


def assert_one_sentence(status: int, stdout: str, stderr: str) -> None:
    """A refusal: exit status 2, nothing on stdout, one line on stderr after any progress."""
    assert "Traceback" not in stderr, stderr
    assert status == 2, (status, stderr)
    assert stdout == ""
    *_, last = stderr.splitlines() or [""]
    assert last.startswith("evoptax: "), stderr
    assert stderr.count("evoptax: ") == 1, stderr


def assert_no_traceback(status: int, stdout: str, stderr: str) -> None:
    """Done, or refused in one sentence."""
    assert "Traceback" not in stderr, stderr
    assert status in (0, 2), (status, stderr)
    if status == 2:
        assert_one_sentence(status, stdout, stderr)


@functools.cache
def _scratch() -> Path:
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def _tiny_task() -> str:
    return write_task(_scratch())
