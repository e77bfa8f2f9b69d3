"""Measures the documented rules against each other, all constants tuned at equal trials.

Each known rule that trains is tuned on the proxies of the presets, with the same number of trials,
then trained on every task with seeds that tuning has not seen, its learning rate chosen
on each task by further seeds. What a step costs is measured on the last task. Results are appended
to FOLDER/results.jsonl, one line for each rule and stage, so the same command goes on where it was
stopped.

    python benchmarks/league.py [--rules NAME ...] [--tasks TASK ...] [--proxies TASK ...]
                                [--trials N] [--seeds N] [--rate-seeds N] [--workers N]
                                [--folder FOLDER] [--forecast] [--write]
    python benchmarks/league.py --predict | --docs

--forecast measures a small part, the baseline with few trials and one seed, and says how long the
rest will take. --write keeps the figures in benchmarks/league.json, from which --docs writes
docs/league.md, without measuring. --predict adds to them how well each proxy ranks the rules as the
other tiers do; `benchmarks/tasks.py --docs` puts that into docs/tasks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import evoptax
import league_page
from evoptax.dsl.errors import UserError
from evoptax.dsl.inputs import Source, refusal
from evoptax.dsl.machine.bytecode import fits_a_smaller_machine
from evoptax.dsl.syntax import parse
from evoptax.evaluators.backends.base import AS_DATA, COMPILED
from evoptax.evaluators.cache import enable_compilation_cache
from evoptax.evaluators.fidelity import LEARNING_RATES
from evoptax.evaluators.scores.cost import step_cost
from evoptax.evaluators.scores.evaluate import Evaluator, score_to_json
from evoptax.evaluators.tasks import get_task, list_tasks, tier_of
from evoptax.evaluators.tasks.baselines import baselines
from evoptax.known_algorithms.catalogue import KNOWN
from evoptax.search.config.presets import PRESETS
from performance import environment

FOLDER = Path("runs") / "league"
BASELINE = "adamw"
SCHEDULE = "cosine"
_FUNNEL = PRESETS["standard"].funnel
PROXIES = (*_FUNNEL.screen.tasks, *_FUNNEL.proxy.tasks)
RULES = tuple(name for name, rule in KNOWN.items() if not refusal(rule.program, Source.TRAINING))
TASKS = tuple(info.name for info in list_tasks())
TIERS = ("proxy", "validation", "target")
TUNE, COST = "tune", "cost"
# Rules that are scored at once.
BATCH = 8
# Before anything was measured: seconds of starting workers, and of compiling a rule on a task; how
# often a grid of learning rates is trained until the best one lies inside; of how many runs a trial
# consists (three learning rates).
_STARTING, _COMPILING, _GRIDS, _RATES_OF_A_TRIAL = 8.0, 6.0, 1.3, 3
_UNKNOWN = 500.0  # milliseconds of a training run on a task that was never measured


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    rules: tuple[str, ...]
    tasks: tuple[str, ...]
    proxies: tuple[str, ...]
    trials: int
    seeds: int
    rate_seeds: int
    workers: int | str

    @property
    def small_part(self) -> Plan:
        """What a forecast is made from."""
        return replace(self, rules=(BASELINE,), trials=min(self.trials, 27), seeds=1)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages of every rule, in order."""
        return (TUNE, *(tier for tier in TIERS if self.of_tier(tier)), COST)

    def of_tier(self, tier: str) -> tuple[str, ...]:
        """The tasks of a tier."""
        return tuple(task for task in self.tasks if tier_of(task) == tier)

    def key(self, rule: str, stage: str, program: str) -> str:
        """All that a result depends on, as text; `program` is the tuned one, except to tune."""
        what: dict[str, Any] = {"rule": rule, "stage": stage, "program": program}
        if stage == TUNE:
            what |= {"trials": self.trials, "proxies": self.proxies}
        elif stage == COST:
            what |= {"task": self.tasks[-1]}
        else:
            what |= {"tasks": self.of_tier(stage), "seeds": [self.seeds, self.rate_seeds]}
        return json.dumps({**what, "schedule": SCHEDULE})


class Results:
    """What was measured, by key: a file of JSON lines, which a kill can at most leave torn."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, dict[str, Any]] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue  # written in part when the benchmark was killed; measured again
            self._found[record["key"]] = record

    def get(self, key: str) -> dict[str, Any] | None:
        return self._found.get(key)

    def add(self, key: str, seconds: float, result: dict[str, Any]) -> None:
        record = {"key": key, "seconds": seconds, "result": result}
        self._found[key] = record
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps(record)}\n")
            file.flush()
            os.fsync(file.fileno())


def tuned(plan: Plan, program: str) -> dict[str, Any]:
    """A rule with its constants tuned on the proxies."""
    found = evoptax.tune(
        program, plan.proxies, trials=plan.trials, schedule=SCHEDULE, workers=plan.workers
    )
    effect = found.effect
    return {
        "program": found.rule.text,
        "changes": [[c.name, c.before, c.after] for c in found.changes],
        "effect": [effect.mean, effect.low, effect.high],
        "runs": found.runs,
    }


def scored(plan: Plan, programs: Mapping[str, str], tier: str) -> dict[str, dict[str, Any]]:
    """By rule, the scores of tuned rules on the tasks of a tier, by task.

    All that a smaller machine can run are trained by it, which compiles once for all of them.
    """
    found: dict[str, dict[str, Any]] = {rule: {} for rule in programs}
    for backend, rules in _by_backend(programs).items():
        scores = evoptax.evaluate(
            list(rules.values()),
            plan.of_tier(tier),
            against=next(iter(rules.values())),
            seeds=plan.seeds,
            rate_seeds=plan.rate_seeds,
            schedule=SCHEDULE,
            backend=backend,
            workers=plan.workers,
        ).scores
        names = {parse(text).name: rule for rule, text in rules.items()}
        for (name, task), score in scores.items():
            found[names[name]][task] = json.loads(score_to_json(score))
    return found


def _by_backend(programs: Mapping[str, str]) -> dict[str, dict[str, str]]:
    grouped: dict[str, dict[str, str]] = {}
    for rule, text in programs.items():
        backend = AS_DATA if fits_a_smaller_machine(parse(text)) else COMPILED
        grouped.setdefault(backend, {})[rule] = text
    return grouped


def cost(plan: Plan, text: str) -> dict[str, Any]:
    """What a step costs on the last task: state in numbers for each weight, and milliseconds."""
    name = plan.tasks[-1]
    found = step_cost(Evaluator({name: get_task(name)}), parse(text), name)
    return {"state": found.per_weight, "milliseconds": found.milliseconds}


def measured(plan: Plan, stage: str, programs: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The results of a stage, by rule."""
    if stage in (TUNE, COST):
        one = tuned if stage == TUNE else cost
        return {rule: one(plan, program) for rule, program in programs.items()}
    return scored(plan, programs, stage)


def first_guess(plan: Plan, stage: str) -> float:
    """Seconds that a stage of a rule is expected to take, before anything was measured."""

    def training(tasks: Sequence[str]) -> float:
        return sum(baselines()[t].milliseconds if t in baselines() else _UNKNOWN for t in tasks)

    if stage == COST:
        return _COMPILING + training(plan.tasks[-1:]) / 1e3
    tasks = plan.proxies if stage == TUNE else plan.of_tier(stage)
    runs = plan.trials * _RATES_OF_A_TRIAL
    if stage != TUNE:
        runs = round((plan.rate_seeds or plan.seeds) * len(LEARNING_RATES) * _GRIDS)
        runs += plan.seeds if plan.rate_seeds else 0
    work = len(tasks) * _COMPILING + runs * training(tasks) / 1e3
    workers = plan.workers if isinstance(plan.workers, int) else 1
    return _STARTING + work / (workers or os.cpu_count() or 1)


class Forecast:
    """Seconds that are left.

    Args:
      factors: by stage, what a small part took relative to its first guess. Once the stage itself
        was measured, the mean of that counts.
    """

    def __init__(self, plan: Plan, factors: Mapping[str, float]) -> None:
        self._guess = {s: first_guess(plan, s) * factors.get(s, 1.0) for s in plan.stages}
        self._took: dict[str, list[float]] = {stage: [] for stage in plan.stages}
        self._rules = len(plan.rules)

    def add(self, stage: str, seconds: float) -> None:
        self._took[stage].append(seconds)

    def of(self, stage: str) -> float:
        """Seconds of a stage of a rule."""
        took = self._took[stage]
        return sum(took) / len(took) if took else self._guess[stage]

    @property
    def left(self) -> float:
        return sum((self._rules - len(t)) * self.of(stage) for stage, t in self._took.items())

    def __str__(self) -> str:
        each = ", ".join(f"{stage} {self.of(stage):.0f} s" for stage in self._took)
        return f"{self.left / 3600:.1f} h left ({each} for each rule)"


def forecast_of(plan: Plan, results: Results) -> Forecast:
    """A forecast from what is stored, of this plan and of its small part."""
    part = plan.small_part
    factors = {
        stage: record["seconds"] / first_guess(part, stage)
        for _, stage, record in _stored(part, results)
        if record is not None
    }
    forecast = Forecast(plan, factors)
    for _, stage, record in _stored(plan, results):
        if record is not None:
            forecast.add(stage, record["seconds"])
    return forecast


def play(plan: Plan, results: Results, say: Callable[[str], None]) -> None:
    """Measures what is missing, stage by stage, some rules at a time."""
    forecast = forecast_of(plan, results)
    say(str(forecast))
    texts = {rule: evoptax.rule(KNOWN[rule].program).text for rule in plan.rules}
    for stage in plan.stages:
        missing = [r for r in texts if results.get(plan.key(r, stage, texts[r])) is None]
        at_once = 1 if stage in (TUNE, COST) else BATCH
        for first in range(0, len(missing), at_once):
            these = {rule: texts[rule] for rule in missing[first : first + at_once]}
            started = time.monotonic()
            try:
                found = measured(plan, stage, these)
            except UserError as error:
                say(f"{', '.join(these)}, {stage}: {error}; left out")
                texts = {rule: text for rule, text in texts.items() if rule not in these}
                continue
            seconds = (time.monotonic() - started) / len(these)
            for rule, result in found.items():
                results.add(plan.key(rule, stage, texts[rule]), seconds, result)
                forecast.add(stage, seconds)
            say(f"{', '.join(these)}, {stage}: {seconds:.0f} s each; {forecast}")
        if stage == TUNE:
            for rule in texts:
                record = results.get(plan.key(rule, stage, texts[rule]))
                assert record is not None
                texts[rule] = record["result"]["program"]


def _stored(plan: Plan, results: Results) -> Iterator[tuple[str, str, dict[str, Any] | None]]:
    """Each rule and stage with its record, or None; nothing after a rule that is not tuned."""
    for rule in plan.rules:
        text = evoptax.rule(KNOWN[rule].program).text
        for stage in plan.stages:
            record = results.get(plan.key(rule, stage, text))
            yield rule, stage, record
            if stage == TUNE:
                if record is None:
                    break
                text = record["result"]["program"]


def table(plan: Plan, results: Results) -> dict[str, Any]:
    """The figures of all rules that were measured in every stage, as they are kept."""
    found: dict[str, dict[str, Any]] = {}
    for rule, stage, record in _stored(plan, results):
        if record is not None:
            found.setdefault(rule, {})[stage] = record["result"]
    whole = {rule: stages for rule, stages in found.items() if len(stages) == len(plan.stages)}
    if BASELINE not in whole:
        raise SystemExit(f"{BASELINE}, to which all are compared, was not measured in every stage")
    tiers = {tier: plan.of_tier(tier) for tier in TIERS if plan.of_tier(tier)}
    about = {
        "environment": environment(),
        "trials": plan.trials,
        "seeds": plan.seeds,
        "rate_seeds": plan.rate_seeds,
        "schedule": SCHEDULE,
        "baseline": BASELINE,
        "proxies": list(plan.proxies),
        "tiers": {tier: list(tasks) for tier, tasks in tiers.items()},
        "cost": plan.tasks[-1],
    }
    return league_page.figures(about, whole)


def _workers(text: str) -> int | str:
    """A number, or the name of an executor."""
    return int(text) if text.isdecimal() else text


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rules", nargs="+", choices=RULES, default=RULES, metavar="NAME")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, metavar="TASK")
    parser.add_argument("--proxies", nargs="+", choices=TASKS, default=PROXIES, metavar="TASK")
    parser.add_argument("--trials", type=int, default=540, help="sets of constants of each rule")
    parser.add_argument("--seeds", type=int, default=10, help="of each rule on each task")
    parser.add_argument("--rate-seeds", type=int, default=2, help="to choose learning rates by")
    parser.add_argument("--workers", type=_workers, default=0, help="0: one for each core")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for results.jsonl")
    parser.add_argument("--forecast", action="store_true", help="measure nothing")
    parser.add_argument("--write", action="store_true", help="keep the figures")
    parser.add_argument("--predict", action="store_true", help="rank correlations; measure nothing")
    parser.add_argument("--docs", action="store_true", help="write docs/league.md; measure nothing")
    args = parser.parse_args(arguments)
    if args.predict:
        print(league_page.keep_prediction())
    if args.docs:
        league_page.write_page()
    if args.predict or args.docs:
        return
    enable_compilation_cache()
    # The baseline first, so that everything that is measured can be compared.
    rules = tuple(dict.fromkeys([BASELINE, *args.rules]))
    tasks = tuple(task for task in TASKS if task in args.tasks)
    plan = Plan(
        rules, tasks, tuple(args.proxies), args.trials, args.seeds, args.rate_seeds, args.workers
    )
    results = Results(args.folder / "results.jsonl")
    print(environment())

    def say(line: str) -> None:
        print(line, flush=True)

    if args.forecast:
        play(plan.small_part, results, say)
        say(f"the whole: {forecast_of(plan, results)}")
        return
    play(plan, results, say)
    found = table(plan, results)
    print(league_page.page(found))
    if args.write:
        league_page.keep(found)


if __name__ == "__main__":
    main()
