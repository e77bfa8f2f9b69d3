"""What tuned AdamW reaches on every built-in task, and whether a simpler trick does as well.

Each rule gets the default grid of learning rates and the same seeds; every seed is a problem of its
own. Prints a line per task, and keeps AdamW's in evaluators/tasks/baselines.json, which
`evoptax tasks` shows.

    python benchmarks/tasks.py [TASK ...] [--seeds N] [--times] [--write] [--docs]

--times measures again only how long a training run takes; --write keeps what was measured; --docs
writes docs/tasks.md from what is kept, without measuring.
Decay and blind walk do not look at the gradient: where one of them does well, the task is bad.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

import jax
from evoptax.dsl.program import Program
from evoptax.dsl.syntax import parse
from evoptax.evaluators.cache import enable_compilation_cache
from evoptax.evaluators.fidelity import LEARNING_RATES, Fidelity
from evoptax.evaluators.scores.evaluate import Evaluator
from evoptax.evaluators.scores.scoring import TaskScore
from evoptax.evaluators.tasks import TaskInfo, get_task, list_tasks, special_tasks
from evoptax.evaluators.tasks.baselines import PATH
from evoptax.known_algorithms.catalogue import get_known

RULES: dict[str, Program] = {
    "adamw": get_known("adamw").program,
    "sgd": get_known("sgd").program,
    "lion": get_known("lion").program,
    "decay": parse("def decay(w, g, *, lr=1e-3):\n    return lr * w\n"),
    "blind": parse("def blind(w, g, t, *, lr=1e-3):\n    return lr * sin(1e4 * w + 10 * t)\n"),
}
RUNS_TIMED = 10
DOCS = Path(__file__).parent.parent / "docs" / "tasks.md"
LEAGUE = Path(__file__).with_name("league.json")


def measure(info: TaskInfo, seeds: int) -> dict[str, TaskScore]:
    """Every rule's score; the targets' rules are compiled, as in a search's last comparison."""
    evaluator = Evaluator({info.name: get_task(info.name)})
    fidelity = Fidelity(seeds=tuple(range(seeds)))
    path = "fused" if info.tier == "target" else "machine"
    return {name: evaluator.score(p, info.name, fidelity, path) for name, p in RULES.items()}


def milliseconds(info: TaskInfo) -> float:
    """The fastest of several training runs by AdamW, by the machine, when all is compiled."""
    evaluator = Evaluator({info.name: get_task(info.name)})
    times = []
    for _ in range(RUNS_TIMED):
        start = time.perf_counter()
        evaluator.score(RULES["adamw"], info.name, Fidelity(learning_rates=(1e-2,)))
        times.append(1e3 * (time.perf_counter() - start))
    return min(times)


def row(scores: dict[str, TaskScore], took: float) -> dict[str, object]:
    """What is kept of a task."""
    adamw = scores["adamw"]
    return {
        "learning_rate": adamw.learning_rate,
        "score": _short(adamw.value),
        "low": _short(min(adamw.by_seed)),
        "high": _short(max(adamw.by_seed)),
        "milliseconds": _short(took, 2),
        "others": {
            name: None if score.diverged else _short(score.value)
            for name, score in scores.items()
            if name != "adamw"
        },
    }


def _short(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}")


def environment(seeds: int) -> dict[str, object]:
    """What the figures depend on."""
    return {
        "jax": jax.__version__,
        "python": platform.python_version(),
        "cores": f"{os.cpu_count()} {platform.machine()}",
        "seeds": seeds,
    }


def kept() -> dict:
    """What was measured before."""
    return json.loads(PATH.read_text(encoding="utf-8")) if PATH.exists() else {"tasks": {}}


def keep(rows: dict[str, dict[str, object]], seeds: int) -> None:
    """Writes rows beside the tasks, in the table's order, with those measured before."""
    before = kept()
    known = before["tasks"] | before.get("special", {}) | rows
    data = {
        "environment": environment(seeds),
        "tasks": {info.name: known[info.name] for info in list_tasks() if info.name in known},
        "special": {info.name: known[info.name] for info in special_tasks() if info.name in known},
    }
    text = json.dumps(data, indent=1)
    PATH.write_text(text + "\n", encoding="utf-8")


def document() -> str:
    """docs/tasks.md."""
    data = kept()
    env, rows = data["environment"], data["tasks"]
    lines = [
        "# Tasks",
        "",
        "Written by `benchmarks/tasks.py --docs`; the figures are those of `benchmarks/tasks.py"
        " --write`.",
        "",
        "Every task is a family of problems: a training run's seed draws the problem, the initial",
        "weights and the minibatches. A draw always changes the scale of the initial weights, or",
        "where they lie, and what the tables name. Data ships with scikit-learn, or with Python",
        "itself; no example that a score looks at is ever trained on. `TASK@4steps` trains four",
        "times as long; `TASK@4width` is four times as wide, where the task is a network.",
        "",
        f"Each rule was tuned over {len(LEARNING_RATES)} learning rates from"
        f" {LEARNING_RATES[0]:g} to {LEARNING_RATES[-1]:g} with {env['seeds']} seeds. The",
        "score is the mean over the seeds, for AdamW with the lowest and the highest, each on a",
        "problem of its own; lower is better. *Decay* shrinks all weights and *blind* walks about,",
        "both without looking at the gradient: a task that they did well on would be no task. *ms*",
        "is one training run of AdamW by the machine, the fastest of several.",
        "",
        f"JAX {env['jax']}, Python {env['python']}, {env['cores']} cores.",
    ]
    for tier in ("proxy", "validation", "target"):
        lines += ["", f"## {tier.capitalize()}", ""]
        lines += [
            "| task | family | weights | steps | ms | AdamW | at | SGD | Lion | decay | blind |",
            "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
        ]
        for info in list_tasks(tier):
            found = rows[info.name]
            others = " | ".join(_cell(found["others"][name]) for name in RULES if name != "adamw")
            lines.append(
                f"| {info.name} | {info.family} | {info.weights:,} | {info.steps}"
                f" | {found['milliseconds']:g} | {found['score']:.3g}"
                f" ({found['low']:.3g} to {found['high']:.3g}) | {found['learning_rate']:g}"
                f" | {others} |"
            )
        lines.append("")
        for info in list_tasks(tier):
            lines.append(f"- **{info.name}**. {info.description} A draw changes: {info.varies}.")
    return "\n".join([*lines, *_special(data), *_prediction()]) + "\n"


def _special(data: dict) -> list[str]:
    """Tasks that ask something special of a rule, with what known rules reach that answer it."""
    lines = [
        "",
        "## Special",
        "",
        "Tasks that ask something special of a rule; no preset and no league takes them. Every",
        "rule spends as many gradient evaluations as the task has steps, so that one that asks for",
        "two a step takes half as many. In a game a rule has to read `role`, which is 1 for the",
        "tensors of the player who minimizes the loss and -1 for the other's.",
        "",
        "| task | weights | steps | rule | score | at |",
        "|---|--:|--:|---|--:|--:|",
    ]
    for info in special_tasks():
        for rule, found in data["special"][info.name].items():
            spread = f" ({found['low']:.3g} to {found['high']:.3g})" if found["low"] else ""
            lines.append(
                f"| {info.name} | {info.weights:,} | {info.steps} | {rule}"
                f" | {_cell(found['score'])}{spread} | {found['learning_rate']:g} |"
            )
    lines.append("")
    for info in special_tasks():
        lines.append(f"- **{info.name}**. {info.description} A draw changes: {info.varies}.")
    return lines


def special_row(info: TaskInfo, seeds: int) -> dict[str, object]:
    """What known rules reach on a task that asks something special of them; prints it."""
    evaluator = Evaluator({info.name: get_task(info.name)})
    found: dict[str, object] = {}
    for name in info.rules:
        program = get_known(name).program
        path = "fused" if evaluator.backend(info.name, "machine").refusal(program) else "machine"
        score = evaluator.score(program, info.name, Fidelity(seeds=tuple(range(seeds))), path)
        numbers = [score.value, min(score.by_seed), max(score.by_seed)]
        kept_numbers = [None if score.diverged else _short(x) for x in numbers]
        found[name] = {
            "learning_rate": score.learning_rate,
            **dict(zip(("score", "low", "high"), kept_numbers, strict=True)),
        }
        print(f"{info.name:22} {name:16} {score.value:.4g} @ {score.learning_rate:g}", flush=True)
    return found


def _prediction() -> list[str]:
    """How well proxies rank rules, if benchmarks/league.py has measured it."""
    league = json.loads(LEAGUE.read_text(encoding="utf-8")) if LEAGUE.exists() else {}
    if "prediction" not in league:
        return []
    from league_page import prediction_table

    return [
        "",
        "## How well proxies predict",
        "",
        f"Spearman's rank correlation, over {len(league['rules'])} documented rules with tuned",
        "constants, of their losses on a proxy with their mean losses on the validation and the",
        "target tasks, with a 95 % bootstrap interval over rules; 1: the same order. The better",
        "half are the rules that are at most as bad as the median on those tasks: to tell them",
        "apart, as a search must, is harder, and with three seeds their order is partly noise.",
        "Written by `benchmarks/league.py --predict`; [the league](league.md) has the figures.",
        "",
        *prediction_table(league),
    ]


def _cell(value: float | None) -> str:
    return "diverges" if value is None else f"{value:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="all unless named")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--times", action="store_true", help="measure times only")
    parser.add_argument("--write", action="store_true", help="keep what is measured")
    parser.add_argument("--docs", action="store_true", help="write docs/tasks.md; measure nothing")
    args = parser.parse_args()
    if args.docs:
        DOCS.write_text(document(), encoding="utf-8")
        return
    enable_compilation_cache()
    print(*environment(args.seeds).items())
    for info in (*list_tasks(), *special_tasks()):
        if args.tasks and info.name not in args.tasks:
            continue
        if info.rules:
            if not args.times:
                rows = special_row(info, args.seeds)
                if args.write:
                    keep({info.name: rows}, args.seeds)
            continue
        if args.times:
            took = {"milliseconds": _short(milliseconds(info), 2)}
            print(f"{info.name:22} {took['milliseconds']:7g} ms", flush=True)
            if args.write:
                keep({info.name: kept()["tasks"][info.name] | took}, args.seeds)
            continue
        start = time.perf_counter()
        scores = measure(info, args.seeds)
        found = row(scores, milliseconds(info))
        edge = " (edge of the grid)" if scores["adamw"].at_edge else ""
        print(
            f"{info.name:22} {found['milliseconds']:7g} ms"
            f"  adamw {found['score']:.4g} [{found['low']:.3g}, {found['high']:.3g}]"
            f" @ {found['learning_rate']:g}{edge} ",
            *(
                f" {name} {score.value:.4g} @ {score.learning_rate:g}"
                for name, score in scores.items()
                if name != "adamw"
            ),
            f"  ({time.perf_counter() - start:.0f} s)",
            flush=True,
        )
        if args.write:
            keep({info.name: found}, args.seeds)


if __name__ == "__main__":
    main()
