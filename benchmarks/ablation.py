"""What each part of a search is worth: the same search without it, at equal evaluations.

Every ablation (`search/presets.py`) runs with several seeds and the same number of trained
candidates, problems tried again included. Of each run, the finalist that the held-out tasks ranked
first is what the search would take; it is judged on fresh seeds of the proxies by the compiled path
(five of each task), and by its score on the held-out tasks, both relative to AdamW tuned the same
way. Intervals are over the searches' seeds (bootstrap); the p-value compares with "evolution" on
the same seeds.

    python benchmarks/ablation.py [--only NAME ...] [--seeds N] [--candidates N] [--docs]

Runs are kept in --runs-dir and continued there, so that a stopped benchmark goes on.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from evoptax.evaluators.statistics import Estimate, bootstrap_interval, estimate
from evoptax.search.config import SearchConfig
from evoptax.search.engine import run_search
from evoptax.search.outcome import Outcome
from evoptax.search.presets import ABLATIONS
from evoptax.search.runs import Run, create_run
from evoptax.search.wording import percent
from evoptax.search.workers import Workers
from performance import environment

DOCS = Path(__file__).resolve().parent.parent / "docs" / "ablation.md"
FULL = "evolution"
HEAD = (
    "| search | fresh seeds of the proxies | held-out tasks | against evolution (proxies) "
    "| cache hits |\n| --- | --- | --- | --- | ---: |"
)


def searched(config: SearchConfig, runs_dir: Path, name: str, workers: Workers) -> Outcome:
    """A finished search, from its folder or run now."""
    run = Run(runs_dir / name)
    if not run.ledger_path.exists():
        run = create_run(runs_dir, name, config)
    outcome = run_search(run, config, workers)
    assert outcome is not None
    return outcome


def cache_hits(run: Run) -> float:
    """The share of proposals, past the gates, that cost no training."""
    with closing(run.read()) as opened:
        counts = opened.counts()
    return counts["duplicate"] / (sum(counts.values()) - counts["rejected"])


def said(values: np.ndarray) -> str:
    """A mean log-ratio and its interval over the searches' seeds, in percent."""
    low, high = bootstrap_interval(values[None])
    interval = f" ({percent(low)} to {percent(high)})" if np.isfinite([low, high]).all() else ""
    return f"{percent(float(values.mean()))}{interval}"


def compared(found: Estimate) -> str:
    """A difference from the whole search."""
    if not found.bounded:
        return percent(found.mean)
    return f"{percent(found.mean)} ({percent(found.low)} to {percent(found.high)}), p {found.p:.2g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=tuple(ABLATIONS), default=tuple(ABLATIONS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--candidates", type=int, default=1500, help="trained in each search")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs") / "ablation")
    parser.add_argument("--docs", action="store_true", help="write docs/ablation.md")
    args = parser.parse_args()
    names = list(dict.fromkeys([FULL, *args.only]))
    print(environment())
    proxies: dict[str, list[float]] = {name: [] for name in names}
    held_out: dict[str, list[float]] = {name: [] for name in names}
    hits: dict[str, list[float]] = {name: [] for name in names}
    with Workers(ABLATIONS[FULL].tasks) as workers:
        for seed in range(args.seeds):
            for name in names:
                config = ABLATIONS[name]
                budget = replace(config.budget, candidates=args.candidates)
                config = replace(config, seed=seed, budget=budget)
                outcome = searched(config, args.runs_dir, f"{name}-{seed}", workers)
                first = outcome.finalists[0]
                assert first.confirmation is not None
                proxies[name].append(first.confirmation)
                held_out[name].append(first.validation)
                hits[name].append(cache_hits(Run(args.runs_dir / f"{name}-{seed}")))
                print(
                    f"{name}, seed {seed}: {percent(first.confirmation)} on fresh seeds,"
                    f" {percent(first.validation)} held-out",
                    flush=True,
                )
    lines = [HEAD]
    for name in names:
        ours, full = np.array(proxies[name]), np.array(proxies[FULL])
        against = "–" if name == FULL else compared(estimate((ours - full)[None]))
        lines.append(
            f"| {name} | {said(ours)} | {said(np.array(held_out[name]))} | {against}"
            f" | {100 * np.mean(hits[name]):.0f} % |"
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
