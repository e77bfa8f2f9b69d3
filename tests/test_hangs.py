"""Workers that hang are killed; a search says so, goes on, and repeats when it is resumed."""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import textwrap
import time
from contextlib import closing
from pathlib import Path

import pytest
from evoptax.cli.main import main
from evoptax.dsl.errors import UserError
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.files import config_from_dict
from evoptax.search.config.settings import Stage
from evoptax.search.config.stages import jobs_of
from evoptax.search.engine.loop import run_search
from evoptax.search.execution.base import WorkerHung
from evoptax.search.execution.executors.processes import process
from evoptax.search.execution.executors.processes.patience import Patience, chosen_patience
from evoptax.search.execution.executors.processes.process import WorkerProcess
from evoptax.search.execution.executors.processes.workers import Workers
from evoptax.search.execution.jobs import submit
from evoptax.search.report.facts import read_facts
from evoptax.search.report.report import conclusion_of
from evoptax.search.store.runs import create_run
from small_search import TASK, settings

# A rule whose steps are as large as gradients, such as SGD, gets far away in a few steps; there,
# the score has a loop without end.
STEEP = """
    from jax import lax

    CURVATURE = CURVATURE.at[0].set(1e6)

    class Quadratic(Quadratic):
        def score(self, params):
            far = jnp.max(jnp.abs(params["a"])) > 1e10
            turns = lax.while_loop(lambda i: far, lambda i: i + 1, 0)
            return super().score(params) + turns
"""


def _short() -> Patience:
    """With what was done before, hardly any; with the first of a kind, which compiles, much."""
    return Patience(least=1.5, times=0.0, first=100.0)


def _task_file(folder: Path, code: str) -> str:
    path = folder / "task.py"
    path.write_text(f"{TASK}\n{textwrap.dedent(code)}")
    return f"{path}:Quadratic"


def test_a_candidate_that_hangs_counts_as_diverged_and_is_not_tried_again_when_resumed(
    tmp_path: Path,
) -> None:
    task = _task_file(tmp_path, STEEP)
    stage = {"tasks": [task], "learning_rates": [1e-3, 1e-2, 1e-1]}
    options = settings(task, 2) | {"start": ["adamw", "sgd"], "rivals": [], "workers": 1}
    options["funnel"] |= {"validation": {"tasks": []}, "target": {"tasks": []}, "screen": stage}
    config = config_from_dict(options)
    run = create_run(tmp_path, "run", config)
    said: list[str] = []
    with Workers([task], 1, patience=_short(), say=said.append) as workers:
        # Stopped as soon as both are trained.
        stopped = run_search(run, config, workers, should_stop=lambda: len(said) > 2)
        assert stopped is None
    hangs, again, counts = said
    assert f"candidate 1 on {task} hangs" in hangs and "tried once more" in hangs
    assert f"candidate 1 on {task} hangs" in again and "once more" not in again
    assert counts == "candidate 1 counts as diverged"
    said.clear()
    with Workers([task], 1, say=said.append) as workers:
        assert run_search(run, config, workers) is not None
    assert not said
    with closing(run.read()) as opened:
        assert opened.hung() == {"candidate 1": task}
        assert [c.fitness for c in opened.candidates()][1] == math.inf
    (caveat,) = [c for c in conclusion_of(read_facts(run)).caveats if "hung" in c]
    assert f"candidate 1 on {task}" in caveat


def test_a_baseline_that_hangs_is_one_sentence_about_the_task(tmp_path: Path) -> None:
    task = _task_file(tmp_path, STEEP)
    stage = Stage((task,), (1e-3, 1e-2))
    jobs = {
        name: jobs_of(get_known(name).program, stage, "machine")[0] for name in ("adamw", "sgd")
    }
    patience = _short()
    with Workers([task], 1, patience=patience, say=lambda text: None) as workers:
        submit(workers, jobs["adamw"], essential=True).result()
        with pytest.raises(WorkerHung, match=f"sgd on {task} was given up.*DEADLINE") as caught:
            submit(workers, jobs["sgd"], essential=True).result()
        assert "\n" not in str(caught.value)
        patience.least = 600  # a new process compiles
        submit(workers, jobs["adamw"], essential=True).result()


def test_a_task_that_hangs_at_import_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EVOPTAX_WORKER_DEADLINE", "0.3")
    task = _task_file(tmp_path, "import time\ntime.sleep(1000)")
    command = ["search", "--preset", "quick", "--task", task, "--workers", "1"]
    assert main([*command, "--runs-dir", str(tmp_path / "runs")]) == 2
    *said, error = capsys.readouterr().err.splitlines()
    assert f"loading the task {task} was given up" in error
    assert len(said) == 2 and all(f"loading the task {task} hangs" in line for line in said)
    assert not (tmp_path / "runs").exists()


def test_what_is_waited_for_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evoptax.search.execution.executors.processes.requests.QUIET_LOADING", 0.5)
    task = _task_file(tmp_path, "import time\ntime.sleep(3)")
    said: list[str] = []
    with Workers([task], 1, say=said.append) as workers:
        workers.versions()
    assert any(f"loading the task {task}: no sign of life" in text for text in said)


def test_slow_work_is_given_many_times_what_it_took_before() -> None:
    patience = Patience(least=300, times=20, first=6)
    kind = ("score", "machine", "task")
    assert patience.limit(kind) == 1800
    patience.learn(kind, 1.0)
    assert patience.limit(kind) == 300
    patience.learn(kind, 100.0)
    patience.learn(kind, 2.0)
    assert patience.limit(kind) == 2000
    assert patience.limit(("score", "fused", "task")) == 1800


def test_a_long_training_run_gives_signs_of_life(tmp_path: Path) -> None:
    task = _task_file(tmp_path, "Quadratic.steps = 10_000")
    stage = Stage((task,), (1e-3,), seeds=1000)
    (job,) = jobs_of(get_known("adamw").program, stage, "machine")
    worker = WorkerProcess()
    worker.send(json.dumps({"do": "load", "tasks": [task]}).encode() + b"\n")
    worker.send(json.dumps({"do": "score", "job": job.plain()}).encode() + b"\n")
    messages = (json.loads(line) for line in worker.lines() if line)
    loaded = next(message for message in messages if "value" in message)
    signs = list(itertools.islice(messages, 2))
    worker.end()
    assert list(loaded["value"]) == [task]
    assert signs == 2 * [{"at": task}]


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_deadlines_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match=r"EVOPTAX_WORKER_DEADLINE is '.*'; accepted: a number"):
        chosen_patience({"EVOPTAX_WORKER_DEADLINE": text})


FORKS = {
    "fork": "os.fork() or time.sleep(30)",
    "a session of its own": "os.fork() or (os.setsid(), time.sleep(30))",
    "subprocess": "subprocess.Popen(['sleep', '30'])",
    "thread": "threading.Thread(target=time.sleep, args=[30]).start()",
    "processes": "get_context('fork').Process(target=time.sleep, args=[30]).start()",
}


@pytest.mark.parametrize("how", FORKS)
def test_a_task_that_forks_does_not_delay_the_end(how: str, tmp_path: Path) -> None:
    note = tmp_path / "group"
    code = f"""
        import os, subprocess, threading, time
        from multiprocessing import get_context
        open({str(note)!r}, "w").write(str(os.getpgrp()))
        {FORKS[how]}
    """
    with Workers([_task_file(tmp_path, code)], 1) as workers:
        workers.versions()
        (pid,) = workers.pids
        # Its death is seen, whoever lives on; and another takes its place.
        os.kill(pid, 9)
        until = time.monotonic() + 60
        while workers.pids in ([], [pid]):
            assert time.monotonic() < until
            time.sleep(0.05)
        started = time.monotonic()
    assert time.monotonic() - started < 3
    living = ["pgrep", "-r", "R,S,D", "-g", note.read_text()]
    until = time.monotonic() + 10  # killed, they take a moment
    while subprocess.run(living, capture_output=True).stdout:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_dead_worker_is_noticed_though_its_pipe_is_held_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '20'], start_new_session=True)"
    monkeypatch.setattr(process, "_COMMAND", code)
    worker = WorkerProcess()
    started = time.monotonic()
    assert not any(worker.lines())
    assert worker.end() == "ended with status 0"
    assert time.monotonic() - started < 10


RAISES = {
    "while traced": ("boom()", "ValueError: not today"),
    "in a callback": (
        "jax.pure_callback(lambda: boom(), jax.ShapeDtypeStruct((), 'float32'))",
        "ValueError: not today",
    ),
}


@pytest.mark.parametrize("when", RAISES)
def test_a_task_that_raises_is_one_sentence_with_file_and_line(when: str, tmp_path: Path) -> None:
    call, expected = RAISES[when]
    code = f"""
        import traceback

        def boom():
            if len(traceback.extract_stack()) and loaded:
                raise ValueError("not today\\nnor tomorrow")
            return 0.0

        loaded = []

        class Quadratic(Quadratic):
            def score(self, params):
                calls = len(loaded)
                loaded.append(0)
                return super().score(params) + ({call} if calls else 0.0)
    """
    task = _task_file(tmp_path, code)
    (job,) = jobs_of(get_known("adamw").program, Stage((task,), (1e-3,)), "machine")
    with Workers([task], 1) as workers, pytest.raises(UserError) as caught:
        submit(workers, job).result()
    path = task.rpartition(":")[0]
    line = (
        Path(path)
        .read_text()
        .splitlines()
        .index('        raise ValueError("not today\\nnor tomorrow")')
    )
    sentence = f"task '{task}' fails while it is trained: {expected} ({path}, line {line + 1})"
    assert str(caught.value) == sentence
    assert "in boom" in str(caught.value.__cause__)
