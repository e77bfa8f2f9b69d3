"""Formats the result of `evoptax evaluate` as text and JSON; see docs/evaluation.md."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..evaluators.formatting import number, percent, plural
from .output import print_table, print_text

if TYPE_CHECKING:
    from ..evaluators.scores.comparison import RuleResult, Speed
    from ..evaluators.scores.statistics import Estimate
    from ..search.selection.evaluation import Evaluation

WIDTH = 100  # columns


# --- JSON ---


def as_json(found: Evaluation) -> dict[str, Any]:
    """Everything that was measured; ratios are natural logarithms."""
    from ..evaluators.scores.profiles import MOST_TAU, TARGET_AT

    return {
        "baseline": found.baseline,
        "tasks": list(found.tasks),
        "seeds": list(range(found.seeds)),
        "rate_seeds": found.rate_seeds,
        "schedule": found.schedule,
        "tuning": found.tuning
        and {
            "trials": found.tuning.trials,
            "tasks": list(found.tuning.tasks),
            "protocol": found.tuning.protocol,
        },
        "left_out": found.unusable,
        "target_at": TARGET_AT,
        "most_tau": MOST_TAU,
        "rules": [_rule_json(found, result) for result in found.results],
    }


def _rule_json(found: Evaluation, result: RuleResult) -> dict[str, Any]:
    return {
        "rule": result.rule,
        "side": result.side,
        **_ratio_json(result.loss, result.p_holm),
        "speed": result.speed and _speed_json(result.speed),
        "tuned": _tuned_json(found, result.rule),
        "tasks": {task: _task_json(found, result, task) for task in found.tasks},
    }


def _tuned_json(found: Evaluation, rule: str) -> dict[str, Any] | None:
    """What tuning found for a rule; None if constants were not tuned."""
    from ..dsl.syntax import format_program

    if found.tuning is None:
        return None
    tuned = found.tuning.rules[rule]
    return {
        "program": format_program(tuned.program),
        "changes": [asdict(change) for change in tuned.changes],
        "protocol": asdict(tuned.protocol),
        "trials": tuned.trials,
    }


def _ratio_json(ratio: Estimate, p_holm: float) -> dict[str, float]:
    return {"log_ratio": ratio.mean, "low": ratio.low, "high": ratio.high, "p": ratio.p} | {
        "p_holm": p_holm
    }


def _speed_json(speed: Speed) -> dict[str, Any]:
    return {
        **_ratio_json(speed.ratio, speed.p_holm),
        "reached": speed.reached,
        "problems": speed.problems,
        "score": speed.score.mean,
        "score_low": speed.score.low,
        "score_high": speed.score.high,
        "profile": speed.profile,
    }


def _task_json(found: Evaluation, result: RuleResult, task: str) -> dict[str, Any]:
    from ..evaluators.scores.comparison import compare

    score = found.scores[result.rule, task]
    tunes = result.rule in found.tuned
    compared = compare(score, found.scores[found.baseline, task])
    steps = result.speed.by_task.get(task) if result.speed else None
    return {
        "loss": score.value,
        "losses": score.by_seed,
        "floor": score.floor,
        "solved": score.solved,
        "learning_rate": score.learning_rate if tunes else None,
        "at_edge": _at_edge(found, result.rule, task),
        "log_ratio": compared.mean,
        "low": compared.low,
        "high": compared.high,
        "p": compared.p,
        "steps_to_target": steps
        and asdict(steps)
        | {
            "learning_rate": steps.learning_rate if tunes else None,
            "at_edge": steps.at_edge and tunes,
        },
    }


# --- text ---


def print_evaluation(found: Evaluation) -> None:
    """What a reader asks first comes first: which is better, by how much, how sure, on how much."""
    print_text(textwrap.fill(_conclusion(found), WIDTH), end="\n\n")
    _print_summary(found)
    _print_tuning(found)
    for rules in _chunks(found):
        _print_losses(found, rules)
    print_text()
    for note in _notes(found):
        print_text(textwrap.fill(note, WIDTH))


def _conclusion(found: Evaluation) -> str:
    problems = f"{plural(len(found.tasks), 'task')} × {plural(found.seeds, 'seed')}"
    if found.tuning is not None:
        problems += ", every rule with tuned constants"
    if not found.rivals:
        return f"{found.baseline} on {problems}."
    words = {-1: "better", 1: "worse", 0: "open"}
    sides = {
        word: [result.rule for result in found.rivals if result.side == side]
        for side, word in words.items()
    }
    named = "; ".join(f"{word}: {', '.join(rules)}" for word, rules in sides.items() if rules)
    return f"Validation loss against {found.baseline}, {problems}: {named}."


def _print_summary(found: Evaluation) -> None:
    speedy = any(result.speed for result in found.results)
    headers = ["rule", f"loss vs {found.baseline}", "p"]
    if speedy:
        headers += ["steps to target", "reached", "profile score"]
    rows = []
    for result in found.results:
        is_baseline = result.rule == found.baseline
        row = [result.rule, _loss(result.loss), _p(result.p_holm)]
        if result.speed:
            speed = result.speed
            reached = f"{speed.reached}/{speed.problems}"
            row += ["1×" if is_baseline else _steps(speed), reached, _score(speed.score)]
        rows.append(row)
    print_table(headers, rows)


def _print_tuning(found: Evaluation) -> None:
    if found.tuning is not None:
        rows = [
            [result.rule, ", ".join(map(str, found.tuning.rules[result.rule].changes)) or "–"]
            for result in found.results
        ]
        print_text()
        print_table(["rule", "constants"], rows)


def _loss(ratio: Estimate) -> str:
    return percent(ratio.mean) + _bounds(ratio, lambda x: percent(x).removesuffix(" %"))


def _steps(speed: Speed) -> str:
    if not speed.reached:
        return "never"
    at_least = ">" if speed.reached < speed.problems else ""
    return f"{at_least}{_factor(speed.ratio.mean)}×" + _bounds(speed.ratio, _factor)


def _factor(log_ratio: float) -> str:
    # Capped at e^50, so that exp does not overflow.
    factor = math.exp(min(log_ratio, 50.0))
    return f"{factor:.2f}" if factor < 100 else f"{factor:.2g}"


def _score(score: Estimate) -> str:
    return f"{score.mean:.2f}" + _bounds(score, "{:.2f}".format)


def _bounds(estimate: Estimate, words: Any) -> str:
    return f" ({words(estimate.low)} to {words(estimate.high)})" if estimate.bounded else ""


def _p(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.2g}"


def _chunks(found: Evaluation) -> Iterator[list[str]]:
    """The rules in groups whose columns fit side by side, in the order of the summary."""
    room = WIDTH - max(map(len, ("task", *found.tasks)))
    chunk: list[str] = []
    left = room
    for result in found.results:
        cells = (_at(found, result.rule, task) for task in found.tasks)
        width = 2 + max(len(result.rule), *map(len, cells))
        if chunk and width > left:
            yield chunk
            chunk, left = [], room
        chunk.append(result.rule)
        left -= width
    yield chunk


def _print_losses(found: Evaluation, rules: Sequence[str]) -> None:
    print_text()
    print_table(
        ["task", *rules],
        [[task, *(_at(found, rule, task) for rule in rules)] for task in found.tasks],
    )


def _at(found: Evaluation, rule: str, task: str) -> str:
    """A cell: the loss at the tuned learning rate."""
    score = found.scores[rule, task]
    if score.diverged or rule not in found.tuned:
        return number(score.value)
    edge = "*" if _at_edge(found, rule, task) else ""
    return f"{number(score.value)} @ {score.learning_rate:g}{edge}"


def _at_edge(found: Evaluation, rule: str, task: str) -> bool:
    """Whether the best learning rate is at the edge of the grid."""
    score = found.scores[rule, task]
    return rule in found.tuned and score.at_edge and not score.diverged


def _floors(found: Evaluation) -> Iterator[str]:
    """Notes on tasks whose lowest possible loss is not 0, and on rules that solved a task."""
    for task in found.tasks:
        scores = {result.rule: found.scores[result.rule, task] for result in found.results}
        if floor := scores[found.baseline].floor:
            yield (
                f"{task}: losses are compared by their distance from {number(floor)}, the lowest"
                " possible."
            )
        solved = [rule for rule, score in scores.items() if score.solved]
        if len(solved) > 1:
            yield f"{task}: solved by {', '.join(solved)}, which count as equal there."


def _notes(found: Evaluation) -> Iterator[str]:
    from ..evaluators.scores.certainty import LEVEL
    from ..evaluators.scores.statistics import smallest_p

    if found.tuning is not None:
        trials = plural(found.tuning.trials, "trial")
        what = "constants and protocol" if found.tuning.protocol else "constants"
        yield (
            f"The {what} of each rule were tuned in at most {trials} on"
            f" {', '.join(found.tuning.tasks)}, with other seeds than these."
        )
    elif found.rivals:
        yield "All constants are as the rules have them; --tune TRIALS tunes them."
    if found.unusable:
        left_out = ", ".join(found.unusable)
        yield f"{found.baseline} diverged on {left_out}: left out of every comparison."
    yield from _floors(found)
    pairs = (len(found.tasks) - len(found.unusable)) * found.seeds
    rivals = len(found.rivals)
    if rivals and rivals * smallest_p(pairs) > LEVEL:
        yield (
            f"{plural(pairs, 'pair')} of runs are too few to prove any difference for"
            f" {plural(rivals, 'rule')}: use more --seeds or --tasks."
        )
    followed = "" if found.schedule == "constant" else f" (with {found.schedule} decay)"
    yield (
        f"Losses are validation losses @ the tuned learning rate{followed}, mean over seeds."
        " 'loss vs' is their ratio, the geometric mean over tasks and seeds (95 % interval);"
        " negative is better."
        " p is that of a paired permutation test, corrected for the number of rules."
    )
    if found.rate_seeds:
        others = plural(found.rate_seeds, "other seed")
        yield f"Learning rates were chosen by {others} of each task."
    if any(result.speed for result in found.results):
        yield (
            f"The target is the loss of {found.baseline} after 75 % of its steps. > means"
            " that some targets were never reached; they count as reached at the end. The profile"
            " score is AlgoPerf's: 1 if a rule is always the fastest of these, 0 if it always"
            " needs more than four times the steps of the fastest."
        )
    if any(_at_edge(found, result.rule, task) for result in found.results for task in found.tasks):
        yield "* the best learning rate is at the edge of the grid."
    yield "docs/evaluation.md defines every number; --format json has them all."
