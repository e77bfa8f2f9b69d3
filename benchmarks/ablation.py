"""What each part of a search is worth, and what structures are worth beside constants.

Two studies, each of several searches (`search/config/presets.py`) with several seeds. `parts`: the
reference search without one of its parts each, with the same number of trained candidates, those
trained again included. `designs`: tuning of constants alone, and three designs that change
structure too, with the same time each on all cores.

What each search would take, the finalist that did best on seeds of the proxies which its evolution
had not seen, is judged on more seeds of each proxy, and on tasks that no search here has seen, by
its mean log-ratio to AdamW with its learning rate tuned the same way, with gains bounded as in the
search. Intervals of a mean are over the searches' seeds (Student's t); differences are Welch's,
with the p-value of his test.

    python benchmarks/ablation.py [--study parts|designs] [--only NAME ...] [--seeds N]
                                  [--candidates N | --seconds S] [--docs]

Runs are kept in --runs-dir and continued there, so that a stopped benchmark goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from evoptax.dsl.program import Program
from evoptax.dsl.syntax import parse
from evoptax.evaluators.formatting import percent
from evoptax.evaluators.scores.evaluate import score_from_json
from evoptax.evaluators.scores.scoring import TaskScore, mean_log_ratio
from evoptax.evaluators.tasks import list_tasks
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.presets import ABLATIONS, DESIGNS, PRESETS
from evoptax.search.config.settings import Budget, SearchConfig, Stage
from evoptax.search.config.stages import jobs_of
from evoptax.search.engine.loop import run_search
from evoptax.search.execution.executors.processes.workers import Workers
from evoptax.search.execution.jobs import submit
from evoptax.search.store.outcome import Outcome
from evoptax.search.store.runs import Run, create_run, extend, stored_config
from performance import environment
from scipy import stats

DOCS = Path(__file__).resolve().parent.parent / "docs" / "ablation.md"
# Seeds that no search uses.
JUDGING_SEED = 90_000


@dataclass(frozen=True)
class Study:
    """Searches that are compared.

    Attributes:
      searches: by name. against: the one that the others are compared with.
      proxies, held_out: what is judged on.
      budget: of each search.
    """

    searches: Mapping[str, SearchConfig]
    against: str
    proxies: Stage
    held_out: Stage
    budget: Budget

    @property
    def head(self) -> str:
        """The head of the table."""
        against = f"against {self.against}"
        return (
            f"| search | fresh seeds of the proxies | held-out tasks | {against}, proxies"
            f" | {against}, held-out | trained | cache hits |\n"
            "| --- | --- | --- | --- | --- | ---: | ---: |"
        )

    @property
    def words(self) -> str:
        """The budget in words."""
        if self.budget.candidates is not None:
            return f"{self.budget.candidates:,} trained candidates in each search"
        return f"{self.budget.seconds:g} seconds for each search"


STUDIES = {
    "parts": Study(
        ABLATIONS,
        "evolution",
        Stage(ABLATIONS["evolution"].funnel.validation.tasks, seeds=60),
        replace(PRESETS["standard"].funnel.validation, seeds=20),
        Budget(candidates=8000),
    ),
    "designs": Study(
        DESIGNS,
        "tuning",
        Stage(DESIGNS["tuning"].funnel.validation.tasks, seeds=20),
        Stage(tuple(info.name for info in list_tasks("validation")), seeds=5),
        Budget(seconds=300.0),
    ),
}


@dataclass(frozen=True)
class Judged:
    """What one search found: mean log-ratios to the baseline, and how many candidates were trained
    and found in the cache.
    """

    proxies: float
    held_out: float
    trained: int
    hits: float


class Judge:
    """Trains what searches found beside the baseline."""

    def __init__(self, workers: Workers, study: Study) -> None:
        self._workers = workers
        config = study.searches[study.against]
        self._gain = config.funnel.most_gain
        baseline = get_known(config.baseline).program
        self._baseline = {
            stage: self._scores(baseline, stage) for stage in (study.proxies, study.held_out)
        }

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
        stored = extend(run, {k: v for k, v in asdict(config.budget).items() if v is not None})
    if stored != config:
        raise SystemExit(f"{run.folder} holds another search; give another --runs-dir")
    outcome = run_search(run, config, workers)
    assert outcome is not None
    return outcome


def counted(run: Run) -> tuple[int, float]:
    """How many candidates a run trained, and the share of proposals, past the gates, that cost no
    training.
    """
    with closing(run.read()) as opened:
        counts = opened.counts()
    passed = sum(counts.values()) - counts["rejected"]
    return passed - counts["duplicate"], counts["duplicate"] / passed


def said(values: Sequence[float]) -> str:
    """A mean log-ratio and its 95 % interval over the searches' seeds, in percent."""
    mean, error = np.mean(values), stats.sem(values) if len(values) > 1 else np.nan
    if not error > 0:
        return percent(float(mean))
    low, high = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=error)
    return f"{percent(float(mean))} ({percent(low)} to {percent(high)})"


def compared(ours: Sequence[float], other: Sequence[float]) -> str:
    """A difference from another search, its 95 % interval and p-value."""
    difference = float(np.mean(ours) - np.mean(other))
    if len(ours) < 2:
        return percent(difference)
    test = stats.ttest_ind(ours, other, equal_var=False)
    low, high = test.confidence_interval(0.95)
    return f"{percent(difference)} ({percent(low)} to {percent(high)}), p {test.pvalue:.2g}"


def judged(
    study: Study, names: Sequence[str], seeds: int, runs_dir: Path
) -> dict[str, list[Judged]]:
    """Runs and judges the searches, seed by seed, so that all of them see the same machine."""
    found: dict[str, list[Judged]] = {name: [] for name in names}
    with Workers((*study.proxies.tasks, *study.held_out.tasks)) as workers:
        judge = Judge(workers, study)
        for seed in range(seeds):
            for name in names:
                config = replace(study.searches[name], seed=seed, budget=study.budget)
                folder = f"{name}-{seed}"
                first = searched(config, runs_dir, folder, workers).finalists[0]
                rule = parse(first.program)
                own = Judged(
                    judge.ratio(rule, study.proxies),
                    judge.ratio(rule, study.held_out),
                    *counted(Run(runs_dir / folder)),
                )
                found[name].append(own)
                print(
                    f"{name}, seed {seed}: {percent(own.proxies)} on fresh seeds of the proxies,"
                    f" {percent(own.held_out)} on held-out tasks; {own.trained:,} trained",
                    flush=True,
                )
    return found


def table(study: Study, found: Mapping[str, Sequence[Judged]]) -> str:
    """The table, in Markdown."""
    lines = [study.head]
    other = found[study.against]
    for name, own in found.items():
        columns = [
            [[getattr(each, column) for each in runs] for runs in (own, other)]
            for column in ("proxies", "held_out")
        ]
        against = ["–" if name == study.against else compared(*column) for column in columns]
        trained, hits = (np.mean([getattr(j, key) for j in own]) for key in ("trained", "hits"))
        lines.append(
            f"| {name} | {' | '.join(said(values) for values, _ in columns)}"
            f" | {' | '.join(against)} | {trained:,.0f} | {100 * hits:.0f} % |"
        )
    return "\n".join(lines)


def write(name: str, text: str) -> None:
    """Puts a study's section into docs/ablation.md in place of its older one."""
    title = f"## {name.capitalize()}"
    before, *rest = DOCS.read_text(encoding="utf-8").split(f"{title}\n")
    after = rest[0].partition("\n## ")[1:] if rest else ("", "")
    DOCS.write_text(f"{before}{title}\n\n{text}\n{''.join(after)}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", choices=STUDIES, default="parts")
    parser.add_argument("--only", nargs="+", choices=(*ABLATIONS, *DESIGNS))
    parser.add_argument("--seeds", type=int, default=5)
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument("--candidates", type=int, help="trained in each search")
    limit.add_argument("--seconds", type=float, help="of each search")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs") / "ablation")
    parser.add_argument("--docs", action="store_true", help="write docs/ablation.md")
    args = parser.parse_args()
    study = STUDIES[args.study]
    if args.candidates or args.seconds:
        study = replace(study, budget=Budget(args.seconds, args.candidates))
    asked = args.only or list(study.searches)
    if unknown := [name for name in asked if name not in study.searches]:
        raise SystemExit(f"{unknown[0]} is no search of the study {args.study}")
    print(environment())
    names = list(dict.fromkeys([study.against, *asked]))
    found = table(study, judged(study, names, args.seeds, args.runs_dir))
    print(found)
    if args.docs:
        write(args.study, f"{args.seeds} seeds, {study.words}. {environment()}\n\n{found}")


if __name__ == "__main__":
    main()
