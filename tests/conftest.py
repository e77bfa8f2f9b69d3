"""What all tests share: a cache folder of their own, kept between runs of the suite."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest

# A user's cached scores must not reach the tests; compiled functions are kept, to save minutes.
CACHE = Path(os.environ.get("EVOPTAX_TEST_CACHE", Path(tempfile.gettempdir()) / "evoptax-tests"))
# Here, because a test module may import JAX when it is collected.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(CACHE / "jax")
# Ctrl-C is ignored in the background of a script, SIGHUP under nohup, by commands under test too.
for _number, _usual in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)


@pytest.fixture(scope="session", autouse=True)
def _own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["EVOPTAX_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["EVOPTAX_DATA_DIR"] = str(tmp_path_factory.mktemp("data"))
    from evoptax.evaluators.cache import enable_compilation_cache

    enable_compilation_cache()


@pytest.fixture(scope="session")
def small_task(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A cheap task as FILE.py:NAME."""
    from small_search import write_task

    return write_task(tmp_path_factory.mktemp("task"))
