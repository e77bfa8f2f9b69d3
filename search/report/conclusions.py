"""What a run found, in plain words that claim no more than it measured.

Works on the outcome as the ledger stores it (plain data), so that reading a run needs no JAX.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...evaluators.formatting import p_value, percent, plural, printed_name
from ...evaluators.scores.certainty import holm
from ...evaluators.scores.certainty import side as surely

Outcome = Mapping[str, Any]
Row = Mapping[str, Any]
# Below this many seeds a paired interval says little about the next seed.
FEW_SEEDS = 5


@dataclass(frozen=True)
class Conclusion:
    """One sentence that says what was found, and sentences that say how sure that is."""

    sentence: str
    caveats: tuple[str, ...] = ()


def judge(outcome: Outcome, baseline: str, *, evolved: bool) -> Conclusion:
    """The conclusion on a finished run.

    Args:
      outcome: `dataclasses.asdict` of a `finals.Outcome`.
      baseline: name of the rule that scores are relative to.
      evolved: whether the best rule has a parent, so is no starter.
    """
    base = base_words(outcome, baseline)
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
        return Conclusion(f"{nothing}: {why}. The rule below is the one the search started from.")
    if not evolved:
        if name == baseline or not rows:
            sentence = f"{nothing}: the best confirmed rule is one that the search started from."
            return Conclusion(sentence)
        sentence = f"Nothing better was found than {name}, which the search started from."
        return Conclusion(sentence, (*_overall(outcome), *_details(outcome, base)))
    if not rows:
        sentence = f"{name} does as well as {base} on the tasks it was evolved on, or better"
        return Conclusion(
            f"{sentence}.", ("It was compared on no task that the search never saw.",)
        )
    words = _all_tasks(outcome, name, baseline, rows) or _each_task(name, base, rows)
    caveats = (*_opponents(outcome), *_overall(outcome), *_details(outcome, base))
    return Conclusion(f"{words}.", caveats)


def base_words(outcome: Outcome | None, baseline: str) -> str:
    """What losses are relative to: "AdamW with tuned constants"."""
    return with_constants(printed_name(baseline), tuned=bool(outcome and outcome["opponents"]))


def with_constants(name: str, *, tuned: bool) -> str:
    """ "AdamW with default constants": a rule, and whether its constants are tuned. The learning
    rate of every rule is.
    """
    return f"{name} with {'tuned' if tuned else 'default'} constants"


def is_tuned(line: Row) -> bool:
    """Whether a line of a comparison is on an opponent with tuned constants."""
    found: bool = line.get("tuned", False)  # plain data of older versions has none
    return found


def _each_task(name: str, base: str, rows: Sequence[Row]) -> str:
    """What the tasks say one by one."""
    better, worse = _counts(rows)
    unseen = _unseen(rows)
    if better == len(rows):
        return f"{name} beats {base} on {unseen}"
    if better:
        rest = f"; it is worse on {worse}" if worse else "; on the rest the difference is open"
        return f"{name} beats {base} on {better} of {unseen}{rest}"
    if worse:
        where = unseen if worse == len(rows) else f"{worse} of {unseen}"
        return (
            f"Nothing better than {base} was found: {name}, the best on the tasks it was evolved"
            f" on, is worse on {where}"
        )
    return f"{name} cannot be told from {base} on {unseen}"


def _all_tasks(outcome: Outcome, name: str, baseline: str, rows: Sequence[Row]) -> str:
    """Which opponents the rule beats over all unseen tasks together, and which it does not; empty
    where they were not compared together.
    """
    lines = [o for o in overall_of(outcome) if not tier(o) and o["tasks"]]
    tuned = [o for o in lines if is_tuned(o)]
    default = [o for o in lines if not is_tuned(o)]
    opponents = tuned or default
    if not any(o["against"] == baseline for o in opponents):
        return ""
    beaten, level, ahead = (
        [o for o in opponents if overall_side(o) == side_] for side_ in (-1, 0, 1)
    )
    missed = {o["against"] for o in (*level, *ahead)}
    # Those that only their default constants lose to it.
    weak = [o for o in default if tuned and o["against"] in missed and overall_side(o) == -1]
    over = f"over {_unseen(rows)}"
    each = (
        f"{', each' if len(opponents) > 1 else ''} with {'tuned' if tuned else 'default'} constants"
    )
    others = [f"cannot be told from {_named(level)}"] * bool(level)
    others += [f"is worse than {_named(ahead)}"] * bool(ahead)
    rest = " and ".join(others)
    alone = _one_by_one(rows, base_words(outcome, baseline))
    if beaten:
        but = f", but {rest}" if rest else ""
        only = f"; {_names(weak)} it beats only with default constants" if weak else ""
        return f"{name} beats {_named(beaten)}{but}{each}, {over}{only}{alone}"
    if weak:
        return (
            f"{name} is better only than {_names(weak)} with default constants"
            f" ({_joined([overall_words(o) for o in weak])}), {over}: it {rest}{each}{alone}"
        )
    if any(o["against"] == baseline for o in ahead):
        return (
            f"Nothing better than {base_words(outcome, baseline)} was found: {name}, the best on"
            f" the tasks it was evolved on, {rest}{each}, {over}{alone}"
        )
    return f"{name} {rest}{each}, {over} together{alone}"


def _named(lines: Sequence[Row]) -> str:
    """ "AdamW (−3.1 % loss) and Lion (+0.2 % loss)"."""
    return _joined([f"{printed_name(o['against'])} ({overall_words(o)})" for o in lines])


def _names(lines: Sequence[Row]) -> str:
    return _joined([printed_name(o["against"]) for o in lines])


def _joined(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _one_by_one(rows: Sequence[Row], base: str) -> str:
    better, worse = _counts(rows)
    parts = [f"better on {better}"] * bool(better) + [f"worse on {worse}"] * bool(worse)
    against = f"; one by one against {base}, it is surely"
    return f"{against} {' and '.join(parts)}" if parts and len(rows) > 1 else ""


def _unseen(rows: Sequence[Row]) -> str:
    return f"the {plural(len(rows), 'task')} that the search never saw"


def _counts(rows: Sequence[Row]) -> tuple[int, int]:
    """On how many tasks the rule is surely better, and surely worse."""
    sides = [side(r) for r in rows]
    return sides.count(-1), sides.count(1)


def overall_of(outcome: Outcome) -> Sequence[Row]:
    """The best rule against the baseline and each rival over all unseen tasks, then over those of
    each tier, if that was done.

    Without those against itself: where nothing better was found, the best rule is a known one. The
    p-values are after Holm's correction over the opponents on the same tasks, those with default
    constants apart from those with tuned ones.
    """
    rows = best_rows(outcome)
    lines = [o for o in outcome["overall"] if not rows or o["against"] != rows[0]["rule"]]
    families: dict[tuple[str, bool], list[int]] = {}
    for place, line in enumerate(lines):
        families.setdefault((tier(line), is_tuned(line)), []).append(place)
    p_values: dict[int, float] = {}
    for places in families.values():
        p_values |= zip(places, holm([lines[i]["p"] for i in places]), strict=True)
    return [{**line, "p": p_values[place]} for place, line in enumerate(lines)]


def tier(overall: Row) -> str:
    """The tier that a comparison is over; empty for all unseen tasks."""
    found: str = overall.get("tier", "")  # runs of older versions have none
    return found


def overall_side(overall: Row) -> int:
    """As `side`, over all unseen tasks."""
    return surely(overall["mean"], overall["low"], overall["high"], overall["p"])


def overall_words(overall: Row) -> str:
    """ "−3.1 % loss", or who diverged."""
    if not overall["tasks"]:
        return f"{printed_name(overall['against'])} diverged on each"
    if overall["mean"] == math.inf:
        return "diverged on a task"
    return f"{percent(overall['mean'])} loss"


def _overall(outcome: Outcome) -> tuple[str, ...]:
    """A sentence for each rule that it was compared with over all unseen tasks."""
    sentences = []
    for o in overall_of(outcome):
        against = with_constants(printed_name(o["against"]), tuned=is_tuned(o))
        task = f"unseen {tier(o)} task".replace("  ", " ")
        if not o["tasks"]:
            sentences.append(f"{against} diverged on each {task}.")
            continue
        sure = []
        if math.isfinite(o["low"]) and math.isfinite(o["high"]):
            sure.append(f"95 % interval {percent(o['low'])} to {percent(o['high'])}")
        if not math.isnan(o["p"]):
            sure.append(f"p {p_value(o['p'])}" if o["p"] < 1e-4 else f"p = {p_value(o['p'])}")
        brackets = f" ({', '.join(sure)})" if sure else ""
        left_out = f" on which {against} did not diverge" if o.get("left_out") else ""
        sentences.append(
            f"Against {against}, geometric mean over"
            f" {plural(o['tasks'], task)}{left_out} and {plural(o['seeds'], 'seed')} each:"
            f" {overall_words(o)}{brackets}."
        )
    return tuple(sentences)


def _opponents(outcome: Outcome) -> tuple[str, ...]:
    """How the opponents were tuned, in a sentence."""
    if not (found := outcome["opponents"]):
        return ("Its opponents were not tuned: with other constants they may be better.",)
    tuned = [
        f"of {printed_name(o['rule'])} in {plural(o['trials'], 'trial')}"
        for o in found
        if o["trials"]
    ]
    none = [printed_name(o["rule"]) for o in found if not o["trials"]]
    words = [f"The constants {_joined(tuned)} (at most {found[0]['most']:,})"] * bool(tuned)
    words += [f"{_joined(none)} {'have' if len(none) > 1 else 'has'} none to tune"] * bool(none)
    where = "on the proxies of the search and other seeds than these"
    return (f"Opponents were tuned {where}. {'; '.join(words)}.",)


def judge_distilled(outcome: Outcome | None) -> Conclusion:
    """The conclusion on a run that looked for a program that does what traces show."""
    if outcome is None:
        return Conclusion("This run is not finished; `evoptax resume` continues it.")
    error = f"{outcome['fitness']:.2g}"
    if outcome["confirmed"]:
        return Conclusion(
            f"Found: on traces that no candidate was fitted to, its relative error is {error}.",
            ("It says nothing of gradients, learning rates or steps unlike those recorded.",),
        )
    return Conclusion(
        f"Not found: the best program has a relative error of {error} on held-out traces.",
        ("More time, another --seed, or more and longer traces may help.",),
    )


def best_rows(outcome: Outcome) -> Sequence[Row]:
    """The best rule's lines of the comparison, which come first, one for each task."""
    rows: Sequence[Row] = outcome["comparison"]
    return rows[: len({row["task"] for row in rows})]


def side(row: Row) -> int:
    """−1 where the rule is surely better than the baseline, 1 worse, 0 where that is open."""
    diverged = not math.isfinite(row["loss"])
    return surely(math.inf if diverged else 0.0, row["low"], row["high"], row.get("p"))


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


def _details(outcome: Outcome, base: str) -> tuple[str, ...]:
    rows = best_rows(outcome)
    losses = "; ".join(f"{r['task']} {_loss(r)}" for r in rows)
    return (f"Loss relative to {base}: {losses}.", *_solved(outcome), *_seeds(rows))


def _solved(outcome: Outcome) -> Iterator[str]:
    """A sentence for each task that several rules solve."""
    for task in dict.fromkeys(r["task"] for r in outcome["comparison"]):
        solvers = [
            r["rule"] for r in outcome["comparison"] if r["task"] == task and r.get("solved")
        ]
        if len(solvers) > 1:
            yield f"{task} is solved by {', '.join(solvers)}, which count as equal there."


def _seeds(rows: Sequence[Row]) -> tuple[str, ...]:
    seeds = min(row["seeds"] for row in rows)
    if seeds < 2:
        return ("With one seed for each task there is no interval: nothing can be claimed.",)
    caveats = [
        "A difference is sure where its interval leaves out 0 % and p is at most 0.05; on one task"
        " that takes six seeds. Else it is open which rule is better."
    ]
    if seeds < FEW_SEEDS:
        caveats.append(
            f"With {seeds} seeds for each task the intervals are rough: take this as a hint"
            " and repeat it with more seeds."
        )
    return tuple(caveats)
