"""The league's figures, how well proxies predict, and the pages that say so; see `league.py`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from evoptax.dsl.expressions import format_number
from evoptax.dsl.syntax import parse
from evoptax.evaluators.formatting import p_value, percent, plural, printed_name
from evoptax.evaluators.scores.certainty import LEVEL
from evoptax.evaluators.scores.comparison import RuleResult, compare, compare_rules
from evoptax.evaluators.scores.evaluate import score_from_json
from evoptax.evaluators.scores.scoring import TaskScore, bounded
from evoptax.evaluators.scores.statistics import Estimate
from evoptax.evaluators.task_names import split_scale
from evoptax.evaluators.tasks import task_info
from evoptax.search.config.presets import PRESETS
from evoptax.search.config.settings import Funnel
from scipy import stats

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "benchmarks" / "league.json"
DOCS = ROOT / "docs" / "league.md"
# The question that the page answers first is about these.
TRANSFORMERS = ("text_transformer", "text_transformer_large")
TAUS = (1.0, 1.25, 1.5, 2.0, 3.0)
RESAMPLES = 9_999
HELD_OUT = ("validation", "target")


def figures(about: dict[str, Any], rules: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What is kept of the results.

    Args:
      about: how they were measured. rules: of each rule, the result of each stage.
    """
    scores = {
        (rule, task): score_from_json(json.dumps(score))
        for rule, stages in rules.items()
        for tier in about["tiers"]
        for task, score in stages[tier].items()
    }
    names, baseline = list(rules), about["baseline"]
    groups = {tier: tasks for tier, tasks in about["tiers"].items()}
    every = [task for tasks in groups.values() for task in tasks]
    if small := [task for task in TRANSFORMERS if task in every]:
        groups["transformers"] = small
    by_group = {
        group: {result.rule: result for result in compare_rules(scores, names, tasks, baseline)}
        for group, tasks in groups.items()
    }
    return {
        **about,
        "rules": {
            rule: {
                "constants": parse(stages["tune"]["program"]).defaults,
                "changes": stages["tune"]["changes"],
                "effect": _plain(stages["tune"]["effect"]),
                **{name: float(f"{x:.3g}") for name, x in stages["cost"].items()},
                "groups": {group: _result(found[rule]) for group, found in by_group.items()},
                "tasks": {
                    task: _on_task(scores[rule, task], scores[baseline, task]) for task in every
                },
            }
            for rule, stages in rules.items()
        },
    }


def _result(found: RuleResult) -> dict[str, Any]:
    speed = found.speed
    kept: dict[str, Any] = {"loss": _estimate(found.loss), "p": _plain([found.p_holm])[0]}
    if speed is not None:
        points = speed.profile
        kept["score"] = _estimate(speed.score)
        kept["reached"] = [speed.reached, speed.problems]
        kept["profile"] = [max(rho for at, rho in points if at <= tau) for tau in TAUS]
    return kept


def _on_task(score: TaskScore, baseline: TaskScore) -> dict[str, Any]:
    return {
        "learning_rate": score.learning_rate,
        "loss": _plain([score.value])[0],
        "ratio": _estimate(compare(score, baseline)),
    }


def _estimate(found: Estimate) -> list[float | None]:
    return _plain([found.mean, found.low, found.high])


def _plain(values: Sequence[float]) -> list[float | None]:
    """To five digits; None for what is not finite: a rule that diverged, or no interval."""
    return [float(f"{x:.5g}") if math.isfinite(x) else None for x in values]


def keep(found: Mapping[str, Any]) -> None:
    """Writes the figures, a line for each rule."""
    head = {key: value for key, value in found.items() if key != "rules"}
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    rules = ",\n".join(f"  {json.dumps(n)}: {json.dumps(r)}" for n, r in found["rules"].items())
    lines.append(f' "rules": {{\n{rules}\n }}')
    KEPT.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def kept() -> dict[str, Any]:
    """The figures. Exits if none are kept."""
    if not KEPT.exists():
        raise SystemExit(f"there is no {KEPT.name} yet; league.py --write makes it")
    found: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8"))
    return found


# How well proxies predict.


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> Estimate:
    """Spearman's correlation of two scores of the same rules, and its 95 % interval over rules.

    The interval is the percentile bootstrap's: the rules are a sample of those that one might
    compare. Infinite scores, of rules that diverged, share the last rank.

    Returns:
      NaN where one of the scores is the same for all rules.
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    picks = np.random.default_rng(0).integers(0, len(x), (RESAMPLES, len(x)))
    found = _spearman(x[picks], y[picks])
    found = found[np.isfinite(found)]
    low, high = np.quantile(found, [0.025, 0.975]) if len(found) else (-math.inf, math.inf)
    return Estimate(float(_spearman(x[None], y[None])[0]), float(low), float(high))


def _spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Row by row, (B, R) each -> (B,)."""
    u, v = (stats.rankdata(values, axis=1) for values in (x, y))
    u, v = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (u, v))
    with np.errstate(invalid="ignore"):
        return (u * v).sum(1) / np.sqrt((u * u).sum(1) * (v * v).sum(1))


def prediction(found: Mapping[str, Any]) -> dict[str, dict[str, list[float | None]]]:
    """By proxy, and for the set of those tuned on: its rank correlation with the other tiers.

    A score is a mean over tasks of log-ratios to the median rule, not to the baseline, whose bad
    luck on a task would else be a gain of all others. As in the fitness of a search, gains on one
    proxy are bounded.
    """
    tiers = found["tiers"]
    losses = {
        task: _relative_to_median(
            [rule["tasks"][task]["ratio"][0] for rule in found["rules"].values()]
        )
        for tasks in tiers.values()
        for task in tasks
    }
    held_out = {t: _mean(losses, tiers[t], math.inf) for t in HELD_OUT if t in tiers}
    proxies = {task: [task] for task in tiers.get("proxy", ())}
    chosen = [task for task in found["proxies"] if task in proxies]
    if len(chosen) > 1:
        proxies[f"the {len(chosen)} that constants were tuned on"] = chosen
    evolved_on = dict.fromkeys(split_scale(task)[0] for task in PRESETS["structure"].proxies)
    if evolved_on.keys() <= proxies.keys():
        names = ", ".join(evolved_on)
        proxies[f"those of the preset structure ({names})"] = list(evolved_on)
    if len(tiers.get("proxy", ())) > 1:
        proxies["all together"] = list(tiers["proxy"])
    return {
        name: _predicted(_mean(losses, tasks, Funnel.most_gain), held_out)
        for name, tasks in proxies.items()
    }


def _predicted(
    score: Sequence[float], held_out: Mapping[str, Sequence[float]]
) -> dict[str, list[float | None]]:
    """The rank correlation of a score with each tier's, over all rules and over the better half."""
    found = {}
    for tier, values in held_out.items():
        better = [i for i, value in enumerate(values) if value <= np.median(values)]
        found[tier] = _estimate(rank_correlation(score, values))
        found[f"{tier}, better half"] = _estimate(
            rank_correlation([score[i] for i in better], [values[i] for i in better])
        )
    return found


def _relative_to_median(ratios: Sequence[float | None]) -> np.ndarray:
    """Log-ratios of all rules on a task relative to the median one; inf for those that diverged."""
    values = np.array([math.inf if ratio is None else ratio for ratio in ratios])
    return values - np.median(values[np.isfinite(values)])


def _mean(losses: Mapping[str, np.ndarray], tasks: Sequence[str], most_gain: float) -> list[float]:
    """By rule, the mean over tasks of losses relative to the median rule's, gains bounded."""
    means: list[float] = np.mean(
        [bounded(losses[task], most_gain) for task in tasks], axis=0
    ).tolist()
    return means


def keep_prediction() -> str:
    """Adds the rank correlations to the figures; returns them as a table."""
    found = kept()
    found["prediction"] = prediction(found)
    keep(found)
    return "\n".join(prediction_table(found))


def prediction_table(found: Mapping[str, Any]) -> list[str]:
    """Lines of Markdown."""
    rows = found["prediction"]
    tiers = list(next(iter(rows.values())))
    lines = [f"| proxy | {' | '.join(tiers)} |", f"|---|{'--:|' * len(tiers)}"]
    for name, by_tier in rows.items():
        lines.append(f"| {name} | {' | '.join(_correlation(by_tier[t]) for t in tiers)} |")
    return lines


def _correlation(values: Sequence[float | None]) -> str:
    mean, low, high = values
    if mean is None:
        return "–"
    ends = "" if low is None or high is None else f" ({low:+.2f} to {high:+.2f})"
    return f"{mean:+.2f}{ends}".replace("-", "−")


# The page.


def write_page() -> None:
    """Writes docs/league.md from the figures that are kept."""
    DOCS.write_text(page(kept()), encoding="utf-8")


def page(found: Mapping[str, Any]) -> str:
    """docs/league.md."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    rules, baseline = found["rules"], printed_name(found["baseline"])
    yield from (
        "# The league of documented rules",
        "",
        "Written by `benchmarks/league.py --docs`; the figures are those of `benchmarks/league.py"
        " --write`.",
        "",
        f"{len(rules)} rules. All constants of each were tuned with {found['trials']} trials on"
        f" {', '.join(found['proxies'])}; then each was trained with {found['seeds']} other seeds"
        f" on every task, {found['schedule']} schedule, its learning rate on each task"
        f" {_chosen_by(found['rate_seeds'])}."
        f" Percent: loss relative to {baseline}, tuned alike, geometric mean over tasks and seeds;"
        " negative is better. Intervals: 95 %, paired by task and seed. p: sign-flip test,"
        f" corrected by Holm for all rules. {found['environment']}.",
        "",
    )
    if "transformers" in _groups(found):
        yield from _answer(found)
    for group in reversed(list(found["tiers"])):
        yield from _table(found, group)
    yield from ("## Tuned constants", "")
    yield "| rule | constants | effect of tuning on the proxies |"
    yield "|---|---|--:|"
    for name in _sorted(found, list(found["tiers"])[-1]):
        values = rules[name]["constants"].items()
        constants = ", ".join(f"{k} {format_number(v)}" for k, v in values if k != "lr")
        yield f"| `{name}` | {constants} | {_loss(rules[name]['effect'], 'nothing to tune')} |"


def _chosen_by(rate_seeds: int) -> str:
    """How learning rates were chosen."""
    return f"chosen by {plural(rate_seeds, 'further seed')}" if rate_seeds else "tuned on them"


def _groups(found: Mapping[str, Any]) -> Mapping[str, Any]:
    first: Mapping[str, Any] = found["rules"][found["baseline"]]["groups"]
    return first


def _answer(found: Mapping[str, Any]) -> Iterator[str]:
    rules, base = found["rules"], found["baseline"]
    order = _sorted(found, "transformers")
    best = rules[order[0]]
    tasks = [task for task in TRANSFORMERS if task in best["tasks"]]
    sizes = " and ".join(f"{task} ({task_info(task).weights:,} weights)" for task in tasks)
    constants = ", ".join(f"{k}={format_number(v)}" for k, v in best["constants"].items())
    rates = ", ".join(f"{best['tasks'][t]['learning_rate']:g} on {t}" for t in tasks)
    yield from ("## Which optimizer for a small transformer?", "")
    own = best["groups"]["transformers"]
    loss, p = own["loss"], own["p"]
    unsure = loss[2] is None or loss[2] >= 0 or p is None or p > LEVEL
    if order[0] == base or unsure:
        proof = (
            "" if p is None else f", p {p_value(p)} after Holm's correction for {len(rules)} rules"
        )
        yield (
            f"None is surely better than {printed_name(base)} with tuned constants on {sizes}."
            f" The lowest mean has `{order[0]}`: {_loss(loss)}{proof}."
        )
    else:
        yield f"`{order[0]}`, on {sizes}: {_loss(loss)} loss."
    yield f"Its constants: {constants}; its learning rates: {rates}."
    yield ""
    yield from _table(found, "transformers", title=False)


def _table(found: Mapping[str, Any], group: str, *, title: bool = True) -> Iterator[str]:
    """A group's rules, best first."""
    rules = found["rules"]
    if title:
        tasks = ", ".join(found["tiers"][group])
        yield from (f"## {group.capitalize()} tasks", "", f"{tasks}.", "")
    profiled = "profile" in _groups(found)[group]
    taus = " | ".join(f"τ {tau:g}" for tau in TAUS)
    yield (
        f"| rule | loss | p | state | ms a step |{f' profile score | {taus} |' if profiled else ''}"
    )
    yield f"|---|--:|--:|--:|--:|{'--:|' * (1 + len(TAUS)) if profiled else ''}"
    for name in _sorted(found, group):
        rule = rules[name]
        own = rule["groups"][group]
        is_baseline = name == found["baseline"]
        cells = [
            f"`{name}`",
            "baseline" if is_baseline else _loss(own["loss"]),
            "–" if own["p"] is None else p_value(own["p"]),
            f"{rule['state']:.3g}",
            f"{rule['milliseconds']:.3g}",
        ]
        if profiled:
            cells += [f"{x:.2f}" for x in (own["score"][0], *own["profile"])]
        yield f"| {' | '.join(cells)} |"
    yield ""
    if title:
        profile = (
            " Profile: the part of tasks and seeds on which the rule reaches the baseline's loss at"
            " 75 % of its steps within τ times the steps of the fastest rule; its score is the area"
            " up to τ = 4."
        )
        yield (
            f"State: numbers for each weight. Milliseconds: of a whole training step on"
            f" {found['cost']}, compiled.{profile if profiled else ''}"
        )
        yield ""


def _sorted(found: Mapping[str, Any], group: str) -> list[str]:
    """Names, best first; those that diverged last."""

    def loss(name: str) -> float:
        mean = found["rules"][name]["groups"][group]["loss"][0]
        return math.inf if mean is None else float(mean)

    return sorted(found["rules"], key=lambda name: (loss(name), name))


def _loss(values: Sequence[float | None], none: str = "diverges") -> str:
    mean, low, high = values
    if mean is None:
        return none
    ends = "" if low is None or high is None else f" ({percent(low)} to {percent(high)})"
    return f"{percent(mean)}{ends}"
