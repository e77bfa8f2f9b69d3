"""What each part of a search is worth: the same search without it, at equal evaluations.

Every ablation (`search/config/presets.py`) runs with several seeds and the same number of trained
candidates, those trained again included. What each search would take, the finalist that did best on
seeds of the proxies which its evolution had not seen, is judged on 60 more seeds of each proxy, and
on 20 of each of four tasks that no search here has seen, by its mean log-ratio to AdamW tuned the
same way, with gains bounded as in the search. Intervals of a mean are over the searches' seeds
(Student's t); differences from "evolution" are Welch's, with the p-value of his test.

    python benchmarks/ablation.py [--only NAME ...] [--seeds N] [--candidates N] [--docs]

Runs are kept in --runs-dir and continued there, so that a stopped benchmark goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from evoptax.dsl.program import Program
from evoptax.dsl.syntax import parse
from evoptax.evaluators.formatting import percent
from evoptax.evaluators.scores.evaluate import score_from_json
from evoptax.evaluators.scores.scoring import TaskScore, mean_log_ratio
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.presets import ABLATIONS, PRESETS
from evoptax.search.config.settings import SearchConfig, Stage
from evoptax.search.config.stages import jobs_of
from evoptax.search.engine.loop import run_search
from evoptax.search.execution.executors.processes.workers import Workers
from evoptax.search.execution.jobs import submit
from evoptax.search.store.outcome import Outcome
from evoptax.search.store.runs import Run, create_run, extend, stored_config
from performance import environment
from scipy import stats

DOCS = Path(__file__).resolve().parent.parent / "docs" / "ablation.md"
FULL = "evolution"
PROXIES = Stage(ABLATIONS[FULL].funnel.validation.tasks, seeds=60)
HELD_OUT = replace(PRESETS["standard"].funnel.validation, seeds=20)
# Seeds that no search uses.
JUDGING_SEED = 90_000
HEAD = (
    "| search | fresh seeds of the proxies | held-out tasks | against evolution, proxies "
    "| against evolution, held-out | cache hits |\n| --- | --- | --- | --- | --- | ---: |"
)


@dataclass(frozen=True)
class Judged:
    """What one search found: mean log-ratios to the baseline, and the share of cache hits."""

    proxies: float
    held_out: float
    hits: float


class Judge:
    """Trains what searches found beside the baseline."""

    def __init__(self, workers: Workers, config: SearchConfig) -> None:
        self._workers = workers
        self._gain = config.funnel.most_gain
        baseline = get_known(config.baseline).program
        self._baseline = {stage: self._scores(baseline, stage) for stage in (PROXIES, HELD_OUT)}

    def ratio(self, program: Program, stage: Stage) -> float:
        """A rule's mean log-ratio to the baseline on a stage."""
        return mean_log_ratio(self._scores(program, stage), self._baseline[stage], self._gain)

    def _scores(self, program: Program, stage: Stage) -> list[TaskScore]:
        jobs = jobs_of(program, stage, "machine", JUDGING_SEED)
        return [score_from_json(f.result()) for f in [submit(self._workers, j) for j in jobs]]


def searched(config: SearchConfig, runs_dir: Path, name: str, workers: Workers) -> Outcome:
    """A finished search, from its folder or run now; a shorter one there goes on."""
    run = Run(runs_dir / name)
    if not run.ledger_path.exists():
        run = create_run(runs_dir, name, config)
    with closing(run.read()) as opened:
        stored = stored_config(opened)
    if stored.budget != config.budget:
        stored = extend(run, {"candidates": config.budget.candidates})
    if stored != config:
        raise SystemExit(f"{run.folder} holds another search; give another --runs-dir")
    outcome = run_search(run, config, workers)
    assert outcome is not None
    return outcome


def cache_hits(run: Run) -> float:
    """The share of proposals, past the gates, that cost no training."""
    with closing(run.read()) as opened:
        counts = opened.counts()
    return counts["duplicate"] / (sum(counts.values()) - counts["rejected"])


def said(values: Sequence[float]) -> str:
    """A mean log-ratio and its 95 % interval over the searches' seeds, in percent."""
    mean, error = np.mean(values), stats.sem(values) if len(values) > 1 else np.nan
    if not error > 0:
        return percent(float(mean))
    low, high = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=error)
    return f"{percent(float(mean))} ({percent(low)} to {percent(high)})"


def compared(ours: Sequence[float], full: Sequence[float]) -> str:
    """A difference from the whole search, its 95 % interval and p-value."""
    difference = float(np.mean(ours) - np.mean(full))
    if len(ours) < 2:
        return percent(difference)
    test = stats.ttest_ind(ours, full, equal_var=False)
    low, high = test.confidence_interval(0.95)
    return f"{percent(difference)} ({percent(low)} to {percent(high)}), p {test.pvalue:.2g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=tuple(ABLATIONS), default=tuple(ABLATIONS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--candidates", type=int, default=8000, help="trained in each search")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs") / "ablation")
    parser.add_argument("--docs", action="store_true", help="write docs/ablation.md")
    args = parser.parse_args()
    names = list(dict.fromkeys([FULL, *args.only]))
    print(environment())
    found: dict[str, list[Judged]] = {name: [] for name in names}
    with Workers((*PROXIES.tasks, *HELD_OUT.tasks)) as workers:
        judge = Judge(workers, ABLATIONS[FULL])
        for seed in range(args.seeds):
            for name in names:
                config = ABLATIONS[name]
                budget = replace(config.budget, candidates=args.candidates)
                config = replace(config, seed=seed, budget=budget)
                first = searched(config, args.runs_dir, f"{name}-{seed}", workers).finalists[0]
                rule = parse(first.program)
                judged = Judged(
                    judge.ratio(rule, PROXIES),
                    judge.ratio(rule, HELD_OUT),
                    cache_hits(Run(args.runs_dir / f"{name}-{seed}")),
                )
                found[name].append(judged)
                print(
                    f"{name}, seed {seed}: {percent(judged.proxies)} on fresh seeds of the"
                    f" proxies, {percent(judged.held_out)} on held-out tasks",
                    flush=True,
                )
    lines = [HEAD]
    full = found[FULL]
    for name in names:
        own = found[name]
        columns = [
            [[getattr(judged, column) for judged in runs] for runs in (own, full)]
            for column in ("proxies", "held_out")
        ]
        against = ["–" if name == FULL else compared(*column) for column in columns]
        hits = np.mean([judged.hits for judged in own])
        lines.append(
            f"| {name} | {' | '.join(said(values) for values, _ in columns)}"
            f" | {' | '.join(against)} | {100 * hits:.0f} % |"
        )
    table = "\n".join(lines)
    print(table)
    if args.docs:
        words = (__doc__ or "").split("\n\n    python")[0]
        DOCS.write_text(
            f"# Ablations\n\nWritten by `benchmarks/ablation.py --docs`: {args.seeds} seeds,"
            f" {args.candidates:,} trained candidates in each search. {environment()}\n\n"
            f"{words}\n\n{table}\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
