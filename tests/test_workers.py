"""Worker processes come and go; a search neither waits for the dead nor leaves any behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from evoptax.cli.main import main
from evoptax.dsl.errors import UserError
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.files import config_from_dict, config_to_toml
from evoptax.search.config.settings import Stage
from evoptax.search.config.stages import jobs_of
from evoptax.search.engine.loop import run_search
from evoptax.search.engine.progress import Progress
from evoptax.search.execution.base import WorkerLost
from evoptax.search.execution.executors.processes import process as process_module
from evoptax.search.execution.executors.processes import workers as workers_module
from evoptax.search.execution.executors.processes.workers import Workers
from evoptax.search.store.ledger import read_content
from evoptax.search.store.runs import create_run
from small_search import TASK, run_small, settings, started_workers


def _request(task: str) -> dict[str, Any]:
    (job,) = jobs_of(get_known("adamw").program, Stage((task,)), "machine")
    return {"do": "score", "job": job.plain()}


def test_killed_workers_change_nothing(tmp_path: Path, small_task: str) -> None:
    whole, _ = run_small(tmp_path, "whole", small_task)
    config = config_from_dict(settings(small_task))
    run = create_run(tmp_path, "killed", config)
    killed: list[int] = []
    with Workers([small_task], 2) as workers:

        def kill(progress: Progress) -> None:
            due = progress.phase == "searching" and progress.trained > 12 * (len(killed) + 1)
            alive = [pid for pid in workers.pids if pid not in killed]
            if due and alive and len(killed) < 2:
                killed.append(alive[0])
                os.kill(alive[0], signal.SIGKILL)

        assert run_search(run, config, workers, report=kill) is not None
        assert len(killed) == 2
        assert not set(killed) & set(workers.pids)
    assert read_content(run.ledger_path) == read_content(whole.ledger_path)


def test_coordinator_imports_no_jax_and_takes_its_workers_along(
    tmp_path: Path, small_task: str
) -> None:
    """Workers share the coordinator's stderr, whose end is seen when the last of them ends."""
    code = """
        import sys, time
        from pathlib import Path
        from small_search import run_small, started_workers
        from test_workers import _request
        run_small(Path(sys.argv[1]), "run", sys.argv[2])
        heavy = {"jax", "sklearn", "optax"} & set(sys.modules)
        workers = started_workers(sys.argv[2])
        endless = _request(sys.argv[2])
        endless["job"]["fidelity"]["steps"] = 10**9
        workers.submit(endless, "endless")
        print(heavy, *workers.pids, file=sys.stderr, flush=True)
        time.sleep(600)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), small_task],
        cwd=Path(__file__).parent,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    heavy, _, worker = process.stderr.readline().rstrip().partition(" ")
    apart = worker.isdigit() and os.getpgid(int(worker)) != os.getpgid(process.pid)
    time.sleep(0.5)  # until the worker trains
    process.kill()
    _, rest = process.communicate(timeout=10)
    assert (heavy, rest) == ("set()", "")
    assert apart, "Ctrl-C on a terminal would reach the worker"


def test_without_a_number_there_is_a_worker_for_each_core(
    small_task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers_module, "_cores", lambda: 3)
    with Workers([small_task]) as workers:
        assert workers.count == 3


def test_stopping_does_not_wait_for_what_is_trained(small_task: str) -> None:
    workers = Workers([small_task], 2)
    endless = _request(small_task)
    endless["job"]["fidelity"] |= {"steps": 10**9}
    answers = [workers.submit(endless, "endless") for _ in range(3)]
    workers.versions()
    started = time.monotonic()
    workers.close()
    assert time.monotonic() - started < 2
    assert all(answer.cancelled() for answer in answers)
    assert workers.submit(endless, "late").cancelled()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc")
def test_worker_has_one_thread_of_linear_algebra(small_task: str) -> None:
    workers = started_workers(small_task)
    workers.submit(_request(small_task), "a job").result()
    (pid,) = workers.pids
    threads = [path.read_text().strip() for path in Path(f"/proc/{pid}/task").glob("*/comm")]
    assert threads.count("tf_XLAEigen") == 1


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc")
@pytest.mark.parametrize(("asked", "platform"), [(None, "cpu"), ("", "")])
def test_workers_train_on_the_processor_unless_asked(
    asked: str | None, platform: str, small_task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    if asked is not None:
        monkeypatch.setenv("JAX_PLATFORMS", asked)
    with Workers([small_task], 1) as workers:
        workers.versions()  # waits for one
        (pid,) = workers.pids
        environment = Path(f"/proc/{pid}/environ").read_text().split("\0")
    assert f"JAX_PLATFORMS={platform}" in environment


def _task_file(folder: Path, code: str) -> str:
    path = folder / "task.py"
    path.write_text(f"{TASK}\n{textwrap.dedent(code)}")
    return f"{path}:Quadratic"


DEADLY = """
    import os

    class Quadratic(Quadratic):
        traced = 0

        def batch(self, key):
            Quadratic.traced += 1  # once for the check when the task is loaded
            if Quadratic.traced > 1:
                os._exit(7)
            return super().batch(key)
"""


def test_candidate_that_kills_every_worker_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(workers_module, "MOST_DEATHS", 2)
    task = _task_file(tmp_path, DEADLY)
    config = tmp_path / "config.toml"
    config.write_text(config_to_toml(config_from_dict(settings(task) | {"workers": 1})))
    assert main(["search", str(config), "--runs-dir", str(tmp_path)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"adamw on {task} was given up: 2 worker processes died" in error
    assert "the last ended with status 7" in error


def test_task_that_cannot_be_loaded_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = _task_file(tmp_path, "raise RuntimeError('not today')")
    command = ["search", "--preset", "quick", "--task", task, "--runs-dir", str(tmp_path / "runs")]
    assert main([*command, "--workers", "2"]) == 2  # which both fail
    error = capsys.readouterr().err
    assert "not today" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_task_that_prints_and_task_that_is_edited_during_a_search(tmp_path: Path) -> None:
    task = _task_file(tmp_path, "print('loading the task')")
    with Workers([task], 1) as workers:
        version = workers.versions()[task]
        assert workers.submit(_request(task), "a job").result()
        _task_file(tmp_path, "print('another task')")
        (pid,) = workers.pids
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(UserError, match="has changed"):
            workers.submit(_request(task), "a job").result()
        assert workers.versions()[task] == version


@pytest.mark.parametrize("broken", ["command", "interpreter"])
def test_workers_that_cannot_start(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if broken == "command":
        monkeypatch.setattr(process_module, "_COMMAND", "raise SystemExit(3)")
    else:
        monkeypatch.setattr(sys, "executable", "/no/such/python")
    with Workers(["digits_mlp"], 2) as workers:
        answer = workers.submit({"do": "score"}, "a job")
        with pytest.raises(WorkerLost, match="cannot start"):
            workers.versions()
        with pytest.raises(WorkerLost, match="cannot start"):
            answer.result()
