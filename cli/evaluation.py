"""Formats the result of `evoptax evaluate` as text and JSON; see docs/evaluation.md."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..evaluators.formatting import number, percent, plural
from .output import print_table, print_text

if TYPE_CHECKING:
    from ..evaluators.scores.comparison import Speed
    from ..evaluators.scores.statistics import Estimate
    from ..search.selection.evaluation import Evaluation

WIDTH = 100  # columns


def print_evaluation(found: Evaluation) -> None:
    """What a reader asks first comes first: which is better, by how much, how sure, on how much."""
    print_text(textwrap.fill(_conclusion(found), WIDTH), end="\n\n")
    _print_summary(found)
    _print_tuning(found)
    for rules in _chunks(found):
        _print_losses(found, rules)
    _print_scales(found)
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


def _print_scales(found: Evaluation) -> None:
    """How far it holds: a line for each scale, and one for each of its tasks if there are more."""
    if not found.by_scale:
        return
    rules = [result.rule for result in found.rivals]
    lines = []
    for scale, results in found.by_scale.items():
        tasks = found.tasks_at(scale)
        by_rule = {result.rule: result for result in results}
        cells = [f"{_loss(by_rule[rule].loss)}, p {_p(by_rule[rule].p_holm)}" for rule in rules]
        lines.append([str(scale), "all" if len(tasks) > 1 else tasks[0], *cells])
        if len(tasks) > 1:
            lines += [["", task, *(_on(found, rule, task) for rule in rules)] for task in tasks]
    print_text(f"\nHow far it holds: loss vs {found.baseline} on longer and wider tasks.\n")
    print_table(["scale", "task", *rules], lines)
    costs = found.costs
    print_text(f"\nA training step on {next(iter(costs.values())).task}:\n")
    rows = [
        [rule, f"{c.per_weight:.3g}", f"{4e-6 * c.state:.3g}", f"{c.milliseconds:.3g}"]
        for rule, c in costs.items()
    ]
    print_table(["rule", "state per weight", "state, MB", "ms"], rows)


def _on(found: Evaluation, rule: str, task: str) -> str:
    from ..evaluators.scores.comparison import compare

    return _loss(compare(found.scores[rule, task], found.scores[found.baseline, task]))


def _at(found: Evaluation, rule: str, task: str) -> str:
    """A cell: the loss at the tuned learning rate."""
    score = found.scores[rule, task]
    if score.diverged or rule not in found.tuned:
        return number(score.value)
    edge = "*" if at_edge(found, rule, task) else ""
    return f"{number(score.value)} @ {score.learning_rate:g}{edge}"


def at_edge(found: Evaluation, rule: str, task: str) -> bool:
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
    if found.by_scale:
        yield (
            "On a longer or wider task every rule has the constants that it has on the task itself;"
            " its learning rate is the best of that one's and those half a decade beside it, and of"
            " further ones where that is at the edge."
        )
    if any(result.speed for result in found.results):
        yield (
            f"The target is the loss of {found.baseline} after 75 % of its steps. > means"
            " that some targets were never reached; they count as reached at the end. The profile"
            " score is AlgoPerf's: 1 if a rule is always the fastest of these, 0 if it always"
            " needs more than four times the steps of the fastest."
        )
    if any(at_edge(found, result.rule, task) for result in found.results for task in found.tasks):
        yield "* the best learning rate is at the edge of the grid."
    yield "docs/evaluation.md defines every number; --format json has them all."
