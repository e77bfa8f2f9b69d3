"""A search small enough for tests: one cheap task of our own, three learning rates."""

from __future__ import annotations

import atexit
import functools
from pathlib import Path

from evoptax.search.config.files import config_from_dict
from evoptax.search.config.settings import SearchConfig
from evoptax.search.engine.loop import run_search
from evoptax.search.execution.executors.processes.workers import Workers
from evoptax.search.store.runs import Run, create_run

TASK = '''"""A noisy quadratic in twelve weights."""
import jax
import jax.numpy as jnp

CURVATURE = jnp.logspace(-2, 0, 12)


class Quadratic:
    name = "small"
    steps = 30

    def init(self, key):
        return {"a": jax.random.normal(key, (2, 3)), "b": jnp.ones(6)}

    def batch(self, key):
        return 0.1 * jax.random.normal(key, (12,))

    def loss(self, params, batch):
        w = jnp.concatenate([params["a"].ravel(), params["b"]])
        return jnp.sum(0.5 * CURVATURE * w**2 + batch * w)

    def score(self, params):
        w = jnp.concatenate([params["a"].ravel(), params["b"]])
        return jnp.sum(0.5 * CURVATURE * w**2) + 1e-3
'''


# For a task of the caller's own, beside one cheap one.
SMALL = {
    "evolution": {"population": 10, "tournament": 3, "batch": 4},
    "funnel": {
        "screen": {"tasks": ["quadratic"], "learning_rates": [1e-2, 1e-1]},
        "proxy": {"tasks": []},
        "validation": {"tasks": []},
        "target": {"tasks": []},
        "finalists": 2,
        "opponent_trials": 0,
    },
}


def write_task(folder: Path) -> str:
    """Writes the task; returns what names it on the command line."""
    path = folder / "small_task.py"
    path.write_text(TASK, encoding="utf-8")
    return f"{path}:Quadratic"


def settings(task: str, candidates: int = 40) -> dict:
    """A configuration as nested data."""
    stage = {"tasks": [task], "learning_rates": [1e-3, 1e-2, 1e-1]}
    return {
        "budget": {"candidates": candidates},
        "rivals": ["lion"],  # one, because each is compiled
        "evolution": {"population": 20, "tournament": 4, "batch": 4},
        "funnel": {
            "screen": stage,
            "proxy": {"tasks": []},
            "validation": {**stage, "seeds": 2},
            "target": {**stage, "seeds": 3},
            "finalists": 2,
            "opponent_trials": 0,
        },
    }


@functools.cache
def started_workers(task: str) -> Workers:
    """One worker process that stays until the tests end, because it takes seconds to start."""
    workers = Workers([task], 1)
    atexit.register(workers.close)
    return workers


def run_small(runs_dir: Path, name: str, task: str, **options: object) -> tuple[Run, SearchConfig]:
    """Runs a small search, with one worker that stays unless options say more.

    Options replace settings of the configuration.
    """
    config = config_from_dict(settings(task) | options)
    run = create_run(runs_dir, name, config)
    if config.workers > 1:
        with Workers([task], config.workers) as workers:
            assert run_search(run, config, workers) is not None
    else:
        assert run_search(run, config, started_workers(task)) is not None
    return run, config
