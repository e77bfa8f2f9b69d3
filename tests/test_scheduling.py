"""How `evaluate` trains: a seed at a time, in an order that ends soon, and nothing twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from evoptax.evaluators.fidelity import Fidelity
from evoptax.evaluators.scores.evaluate import Evaluator
from evoptax.evaluators.task import load_task_file
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.execution.jobs import Job
from evoptax.search.execution.scheduling import Run, _Queue, train
from small_search import TASK, started_workers


def _jobs(rules: str, tasks: str, seeds: int, path: str = "machine") -> dict[Run, Job]:
    return {
        Run(rule, task, seed): Job(
            get_known(rule).program, task, Fidelity(seeds=(seed,), checkpoints=20), path, True
        )
        for rule in rules.split()
        for task in tasks.split()
        for seed in range(seeds)
    }


@pytest.mark.parametrize("path", ["machine", "fused"])
def test_a_seed_at_a_time_gives_what_all_at_once_give(small_task: str, path: str) -> None:
    (found,) = train(_jobs("lion", small_task, 3, path), started_workers(small_task)).values()
    evaluator = Evaluator({small_task: load_task_file(small_task)})
    fidelity = Fidelity(seeds=(0, 1, 2), checkpoints=20)
    expected = evaluator.score(get_known("lion").program, small_task, fidelity, path)
    assert (found.seeds, found.curve_steps) == (expected.seeds, expected.curve_steps)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
    np.testing.assert_allclose(found.curve, expected.curve, rtol=1e-5)


def _taken(queue: _Queue, workers: int) -> list[list[Run]]:
    """What each worker gets if all runs take the same time."""
    taken: list[list[Run]] = [[] for _ in range(workers)]
    idle: set[int] = set()
    while len(idle) < workers:
        for i, runs in enumerate(taken):
            run = None if i in idle else queue.take(runs[-1] if runs else None)
            if run is None:
                idle.add(i)
            else:
                runs.append(run)
    return taken


def test_longest_tasks_come_first_and_one_worker_compiles_a_loop() -> None:
    jobs = _jobs("lion adamw", "quadratic digits_mlp text_gru digits_vit", 2)
    first, second = _taken(_Queue(jobs), 2)
    assert [run.task for run in first] == ["text_gru"] * 4 + ["digits_mlp"] * 4
    assert [run.task for run in second] == ["digits_vit"] * 4 + ["quadratic"] * 4
    assert first[:2] == [Run("lion", "text_gru", 0), Run("lion", "text_gru", 1)]
    jobs = _jobs("lion adamw", "digits_mlp", 2, "fused")
    assert [{run.rule for run in runs} for runs in _taken(_Queue(jobs), 2)] == [{"lion"}, {"adamw"}]


def test_idle_workers_help_where_much_is_left() -> None:
    slow = _taken(_Queue(_jobs("lion", "digits_diffusion", 5, "fused")), 2)
    assert sorted(map(len, slow)) == [2, 3]
    quick = _taken(_Queue(_jobs("lion", "quadratic", 5)), 2)
    assert sorted(map(len, quick)) == [0, 5], "to compile again would take longer"


def test_ctrl_c_keeps_what_is_finished(small_task: str, tmp_path: Path) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text(TASK.replace("steps = 30", "steps = 1_000_000"))
    options = ["--tasks", f"{small_task},{slow}:Quadratic", "--seeds", "1", "--workers", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "evoptax.cli.main", "evaluate", "sgd", *options],
        env={**os.environ, "EVOPTAX_CACHE_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    done = [process.stderr.readline(), process.stderr.readline()]
    assert [line.split(" on ")[0] for line in done] == ["sgd", "adamw"]
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert "finished training is kept" in error
    assert "Traceback" not in error
    with sqlite3.connect(tmp_path / "scores.sqlite") as kept:
        assert kept.execute("select count(*) from scores").fetchone() == (2,)
