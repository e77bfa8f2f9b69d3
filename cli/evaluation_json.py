"""`evoptax evaluate --format json`: everything that was measured, as plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .evaluation import at_edge

if TYPE_CHECKING:
    from ..evaluators.scores.comparison import RuleResult, Speed
    from ..evaluators.scores.statistics import Estimate
    from ..evaluators.task_names import Scale
    from ..search.selection.evaluation import Evaluation


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
        "scales": [_scale_json(found, scale) for scale in found.by_scale],
    }


def _scale_json(found: Evaluation, scale: Scale) -> dict[str, Any]:
    """The comparison on the longer and wider tasks of a scale."""
    tasks = found.tasks_at(scale)
    return {
        **asdict(scale),
        "tasks": tasks,
        "rules": [
            {
                "rule": result.rule,
                **_ratio_json(result.loss, result.p_holm),
                "tasks": {task: _task_json(found, result, task) for task in tasks},
            }
            for result in found.by_scale[scale]
        ],
    }


def _rule_json(found: Evaluation, result: RuleResult) -> dict[str, Any]:
    return {
        "rule": result.rule,
        "side": result.side,
        **_ratio_json(result.loss, result.p_holm),
        "speed": result.speed and _speed_json(result.speed),
        "tuned": _tuned_json(found, result.rule),
        "tasks": {task: _task_json(found, result, task) for task in found.tasks},
        "cost": asdict(found.costs[result.rule]) if result.rule in found.costs else None,
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
        "at_edge": at_edge(found, result.rule, task),
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
