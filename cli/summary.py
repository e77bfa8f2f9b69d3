"""What a finished search prints."""

from __future__ import annotations

import math
from collections import defaultdict
from contextlib import closing
from dataclasses import asdict

from ..search.outcome import Outcome, Row
from ..search.runs import BEST_OPTAX, BEST_RULE, REPORT, Run, stored_config
from ..search.verdict import judge
from ..search.wording import percent
from .output import print_table


def print_outcome(outcome: Outcome, run: Run) -> None:
    """Prints the best rule, its simplified form, the comparison and where the files are."""
    with closing(run.read()) as opened:
        evolved = outcome.ordinal >= len(stored_config(opened).start)
        baseline = stored_config(opened).baseline
    verdict = judge(asdict(outcome), baseline, evolved=evolved)
    print(f"\n{verdict.sentence}")
    for caveat in verdict.caveats:
        print(caveat)
    confirmed = ", confirmed by the compiled path on fresh seeds" if outcome.confirmed else ""
    print(f"\nBest rule: candidate {outcome.ordinal}{confirmed}.\n")
    print(outcome.program)
    print("Simplified:\n")
    print(outcome.simplified)
    print_comparison(outcome.comparison)
    print(f"\nFiles in {run.folder}:")
    for name, what in (
        (BEST_RULE, "the rule as program text"),
        (BEST_OPTAX, "the rule as an Optax optimizer"),
        (REPORT, "the report"),
        ("ledger.sqlite", "everything that was tried"),
    ):
        if (run.folder / name).exists():
            print(f"  {name:20} {what}")


def print_comparison(rows: tuple[Row, ...]) -> None:
    """Prints the final comparison, a line per rule and task."""
    if not rows:
        return
    seeds = rows[0].seeds
    print(f"On tasks the search never saw ({seeds} seeds, learning rate tuned for each rule):\n")
    by_task: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_task[row.task].append(row)
    lines = [
        (
            task,
            row.rule,
            f"{row.learning_rate:g}",
            f"{row.loss:.4f}" if math.isfinite(row.loss) else "diverged",
            "baseline" if row.log_ratio is None else percent(row.log_ratio),
            "" if row.low is None else f"{percent(row.low)} to {percent(row.high)}",
        )
        for task, of_task in by_task.items()
        for row in of_task
    ]
    print_table(("task", "rule", "lr", "loss", "vs AdamW", "95 % interval"), lines)
