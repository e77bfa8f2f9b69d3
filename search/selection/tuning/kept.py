"""Tunings that are kept in the user's cache, because known rules are tuned in many runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from ....dsl.algebra.canonical import program_digest
from ....dsl.errors import UserError
from ....dsl.program import Program
from ....dsl.syntax import format_program, parse
from ....evaluators.cache import ScoreStore
from ....evaluators.protocol import Protocol
from ....evaluators.scores.evaluate import ScoreCache
from ....evaluators.scores.statistics import Estimate
from ....evaluators.task_names import short_task
from ...execution.jobs import Trials
from ...store.plain import Mismatch, from_json, structured
from .points import Tasks
from .tune import POPULATION, Change, Tuned, tune

# Raised when tuning finds other constants than before.
VERSION = 1


@dataclass(frozen=True)
class _Kept:
    """A `Tuned`, with the text of its program."""

    program: str
    changes: tuple[Change, ...]
    effect: Estimate
    runs: int
    trials: int
    protocol: Protocol
    rates: Mapping[str, float]


def tuned_once(
    program: Program,
    tasks: Tasks,
    trials: Trials,
    *,
    budget: int,
    store: ScoreCache | None = None,
    report: Any = lambda tried: None,
    **options: Any,
) -> Tuned:
    """As `tune`, looked up first, by all that the result depends on.

    A search that settled before its budget was spent is the same with any larger budget.

    Args:
      program, tasks, trials, budget, report, options: see `tune`.
      store: where tunings are kept; default: the user's.

    Raises:
      Stopped: when asked to stop; then nothing is kept.
    """
    kept = ScoreStore() if store is None else store
    versions = trials.workers.versions()
    platform = trials.result(trials.workers.submit({"do": "backend"}, "asking what JAX trains on"))
    base = trials.baseline
    key = [
        *("tuned", VERSION, program_digest(program), format_program(program)),
        [(short_task(task), versions[task], steps) for task, steps in tasks.items()],
        {name: options[name] for name in sorted(options)},
        *(base and program_digest(base), version("jax"), platform),
    ]
    settled, spent = (json.dumps([*key, how]) for how in ("settled", budget))
    for place in (settled, spent):
        found = _read(kept.get(place))
        if found is not None and found.trials <= budget:
            return found
    result = tune(program, tasks, trials, budget=budget, report=report, **options)
    text = json.dumps(asdict(result) | {"program": format_program(result.program)})
    kept.put(settled if _has_settled(result, budget) else spent, text)
    return result


def _has_settled(found: Tuned, budget: int) -> bool:
    return 0 < found.trials <= budget - POPULATION


def _read(text: str | None) -> Tuned | None:
    """None where there is nothing, or something else."""
    if text is None:
        return None
    try:
        found: _Kept = structured(from_json(text), _Kept)
        return Tuned(**{**vars(found), "program": parse(found.program)})
    except (Mismatch, UserError):
        return None
