"""A quick search of 300 candidates does what it did, proposal by proposal, without training.

The golden ledger is that of a real run. The search is run again with its scores in place of
training: proposals, gates, duplicates, early stopping, champions, finalists and the final
comparison come out the same. A change is either intended, and explained where it is committed, or a
fault. To train and write it anew: EVOPTAX_RENEW_GOLDEN=1 pytest tests/test_golden_search.py
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from evoptax.search.config.presets import preset
from evoptax.search.config.settings import Budget
from evoptax.search.engine.loop import run_search
from evoptax.search.execution.executors.processes.workers import Workers
from evoptax.search.store.ledger import read_content
from evoptax.search.store.runs import Run, create_run
from recorded import Recorded

GOLDEN = Path(__file__).parent / "golden" / "quick" / "ledger.sqlite"
QUICK = preset("quick")
# Opponents are not tuned: the ledger holds only what comes out of that.
CONFIG = replace(
    QUICK,
    budget=Budget(candidates=300),
    funnel=replace(QUICK.funnel, opponent_trials=0),
)
# Of the machine that trained.
LEFT_OUT = {"versions"}


def _searched(runs_dir: Path, workers: Any) -> Run:
    run = create_run(runs_dir, "quick", CONFIG)
    assert run_search(run, CONFIG, workers) is not None
    return run


def test_quick_search_does_what_it_did(tmp_path: Path) -> None:
    if os.environ.get("EVOPTAX_RENEW_GOLDEN"):
        with Workers(CONFIG.tasks) as workers:
            trained = _searched(tmp_path / "trained", workers)
        GOLDEN.parent.mkdir(exist_ok=True)
        shutil.copy(trained.ledger_path, GOLDEN)
    golden = read_content(GOLDEN)
    found = read_content(_searched(tmp_path, Recorded(GOLDEN)).ledger_path)
    assert found.keys() == golden.keys()
    for row, expected in zip(found["candidates"], golden["candidates"], strict=True):
        assert row == expected
    assert found["results"] == golden["results"]
    facts, expected_facts = (
        {key: value for key, value in content["facts"] if key not in LEFT_OUT}
        for content in (found, golden)
    )
    assert facts == expected_facts
    statuses = {row[5] for row in golden["candidates"]}
    assert statuses == {"new", "again", "duplicate", "rejected"}
