"""Golden trajectories: other people's implementations, run once and kept as JSON.

``load_golden`` reads every file of ``golden/``. A file holds the trajectories of one rule, one
per source: hyperparameters, source, version and commit, tensors, tolerance, and the parameters
after the steps in ``KEPT_STEPS``. Numbers are written by ``repr`` and come back bit for bit.
``make_golden`` writes the files.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .compare import max_difference
from .problems import SHAPES
from .trajectories import Params, Trajectory

FOLDER = Path(__file__).parent / "golden"
KEPT_STEPS = (1, 2, 3, 5, 10, 20)


@dataclass(frozen=True)
class Golden:
    """One rule as one source computes it, at ``KEPT_STEPS``, on ``problems.problem(tensors)``."""

    rule: str
    source: str
    version: str
    commit: str
    hyper: dict[str, Any]
    tensors: tuple[str, ...]
    tolerance: float
    note: str
    w: list[Params]
    eval_w: list[Params] | None

    def difference(self, trajectory: Trajectory) -> float:
        """The largest difference from a full trajectory, evaluation points included where both
        sides have them."""
        worst = max_difference(self.w, at_kept_steps(trajectory))
        if self.eval_w is not None and trajectory.eval_w is not None:
            worst = max(worst, max_difference(self.eval_w, at_kept_steps(trajectory.eval_w)))
        return worst


def at_kept_steps(steps: list[Params]) -> list[Params]:
    """The entries of a full trajectory that a golden file keeps."""
    return [steps[t - 1] for t in KEPT_STEPS]


def _flat(models: list[Params] | None) -> list[dict[str, list[float]]] | None:
    if models is None:
        return None
    return [{name: np.ravel(x).tolist() for name, x in model.items()} for model in models]


def _shaped(models: list[dict[str, list[float]]] | None) -> list[Params] | None:
    if models is None:
        return None
    return [
        {name: np.array(x, dtype=np.float64).reshape(SHAPES[name]) for name, x in model.items()}
        for model in models
    ]


def save_golden(entries: list[Golden], folder: Path = FOLDER) -> None:
    """Write one file per rule, replacing what is there."""
    folder.mkdir(exist_ok=True)
    by_rule: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        record = asdict(entry) | {"w": _flat(entry.w), "eval_w": _flat(entry.eval_w)}
        by_rule.setdefault(entry.rule, []).append(record | {"steps": KEPT_STEPS})
    for rule, records in by_rule.items():
        lines = ",\n".join(json.dumps(record) for record in records)
        (folder / f"{rule}.json").write_text(f"[\n{lines}\n]\n")


def load_golden(folder: Path = FOLDER) -> list[Golden]:
    """Every golden trajectory, in the order of the files' names."""
    entries = []
    for path in sorted(folder.glob("*.json")):
        for record in json.loads(path.read_text()):
            if tuple(record.pop("steps")) != KEPT_STEPS:
                raise ValueError(f"{path.name} keeps other steps than {KEPT_STEPS}")
            record["tensors"] = tuple(record["tensors"])
            record |= {"w": _shaped(record["w"]), "eval_w": _shaped(record["eval_w"])}
            entries.append(Golden(**record))
    return entries
