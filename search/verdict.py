"""What a run found, in plain words that claim no more than it measured.

Works on the outcome as the ledger stores it (plain data), so that reading a run needs no JAX.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .wording import percent, plural, printed_name

Outcome = Mapping[str, Any]
Row = Mapping[str, Any]
# Below this many seeds a paired interval says little about the next seed.
FEW_SEEDS = 5


@dataclass(frozen=True)
class Verdict:
    """One sentence that says what was found, and sentences that say how sure that is."""

    sentence: str
    caveats: tuple[str, ...] = ()


def judge(outcome: Outcome, baseline: str, *, evolved: bool) -> Verdict:
    """The verdict on a finished run.

    Args:
      outcome: `dataclasses.asdict` of a `finals.Outcome`.
      baseline: name of the rule that scores are relative to.
      evolved: whether the best rule has a parent, so is no starter.
    """
    base = f"tuned {printed_name(baseline)}"
    nothing = f"Nothing better than {base} was found"
    rows = best_rows(outcome)
    name = rows[0]["rule"] if rows else f"candidate {outcome['ordinal']}"
    if not outcome["confirmed"]:
        tried = sum(f["confirmation"] is not None for f in outcome["finalists"])
        why = (
            f"none of the {plural(tried, 'finalist')} was as good on fresh seeds"
            if tried
            else "no candidate reached confirmation"
        )
        return Verdict(f"{nothing}: {why}. The rule below is the one the search started from.")
    if not evolved:
        if name == baseline or not rows:
            sentence = f"{nothing}: the best confirmed rule is one that the search started from."
            return Verdict(sentence)
        sentence = f"Nothing better was found than {name}, which the search started from."
        return Verdict(sentence, _details(rows, base))
    if not rows:
        sentence = f"{name} does as well as {base} on the tasks it was evolved on, or better"
        return Verdict(f"{sentence}.", ("It was compared on no task that the search never saw.",))
    better = sum(side(r) < 0 for r in rows)
    worse = sum(side(r) > 0 for r in rows)
    unseen = f"the {plural(len(rows), 'task')} that the search never saw"
    if better == len(rows):
        sentence = f"{name} beats {base} on {unseen}"
    elif better:
        rest = f"; it is worse on {worse}" if worse else "; on the rest the difference is open"
        sentence = f"{name} beats {base} on {better} of {unseen}{rest}"
    elif worse:
        where = unseen if worse == len(rows) else f"{worse} of {unseen}"
        sentence = (
            f"{nothing}: {name}, the best on the tasks it was evolved on, is worse on {where}"
        )
    else:
        sentence = f"{name} cannot be told from {base} on {unseen}"
    return Verdict(f"{sentence}.", _details(rows, base))


def best_rows(outcome: Outcome) -> Sequence[Row]:
    """The best rule's lines of the comparison, which come first, one for each task."""
    rows: Sequence[Row] = outcome["comparison"]
    return rows[: len({row["task"] for row in rows})]


def side(row: Row) -> int:
    """−1 where the rule is surely better than the baseline, 1 worse, 0 where that is open.

    Surely means that the 95 % interval does not hold zero; without an interval it is open.
    """
    if not math.isfinite(row["loss"]):
        return 1
    if row["low"] is None or row["high"] is None:
        return 0
    return -1 if row["high"] < 0 else int(row["low"] > 0)


def interval_words(row: Row) -> str:
    """ "−4.0 % to −2.2 %", or "–" where there is no interval."""
    if row["low"] is None or row["high"] is None:
        return "–"
    return f"{percent(row['low'])} to {percent(row['high'])}"


def _loss(row: Row) -> str:
    if not math.isfinite(row["loss"]):
        return "diverged"
    interval = interval_words(row)
    return percent(row["log_ratio"]) + ("" if interval == "–" else f" (95 % interval {interval})")


def _details(rows: Sequence[Row], base: str) -> tuple[str, ...]:
    losses = "; ".join(f"{r['task']} {_loss(r)}" for r in rows)
    return (f"Loss relative to {base}: {losses}.", *_seeds(rows))


def _seeds(rows: Sequence[Row]) -> tuple[str, ...]:
    seeds = min(row["seeds"] for row in rows)
    if seeds < 2:
        return ("With one seed for each task there is no interval: nothing can be claimed.",)
    caveats = ["An interval that holds 0 % leaves open which rule is better."]
    if seeds < FEW_SEEDS:
        caveats.append(
            f"With {seeds} seeds for each task the intervals are rough: take this as a hint"
            " and repeat it with more seeds."
        )
    return tuple(caveats)
