"""What all tests share: the order of the files, and a cache folder kept between runs."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# A user's cached scores must not reach the tests; compiled functions are kept, to save minutes.
CACHE = Path(os.environ.get("EVOPTAX_TEST_CACHE", Path(tempfile.gettempdir()) / "evoptax-tests"))
# Here, because a test module may import JAX when it is collected.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(CACHE / "jax")
# The files that take longest, from the longest on. They start first, because whichever is left to
# the end runs on one core while the others have nothing to do.
LONGEST = (
    "test_simplifier.py",
    "test_primitives.py",
    "test_many_leaves.py",
    "test_large_programs.py",
    "test_rows.py",
    "test_kill_and_resume.py",
    "test_hangs.py",
    "test_command.py",
    "test_damaged.py",
    "test_cli.py",
    "test_tuning.py",
    "test_paths_agree.py",
    "test_tasks.py",
    "test_bad_names.py",
    "test_executors.py",
    "test_export_contracts.py",
    "test_report_search.py",
    "test_pruning.py",
    "test_known_algorithms.py",
    "test_engine.py",
    "test_workers.py",
    "test_switches.py",
    "test_strategies.py",
)
# Ctrl-C is ignored in the background of a script, SIGHUP under nohup, by commands under test too.
for _number, _usual in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first; pytest-xdist keeps that with `--no-loadscope-reorder`."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def _own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["EVOPTAX_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["EVOPTAX_DATA_DIR"] = str(tmp_path_factory.mktemp("data"))
    from evoptax.evaluators.cache import enable_compilation_cache

    enable_compilation_cache()


@pytest.fixture(scope="session", autouse=True)
def _one_worker_by_default() -> Iterator[None]:
    """One worker process where no number is given: each takes seconds to start.

    The tests are spread over the cores already. What needs several workers asks for them.
    """
    from evoptax.search.execution.executors.processes import workers

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "_cores", lambda: 1)
        yield


@pytest.fixture(scope="session")
def small_task(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A cheap task as FILE.py:NAME."""
    from small_search import write_task

    return write_task(tmp_path_factory.mktemp("task"))
