"""How many candidates per second one and two worker processes train.

Searches of the quick preset, the same candidates in each, with everything that a search does:
breeding, gates, ledger, progress. A first search per pool, which compiles and reads what was
compiled, is not counted; the final comparison is left out. Repeats are interleaved, and each gives
a ratio.

    python benchmarks/workers.py [--candidates N] [--repeats N] [--workers N]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from evoptax.search.config.presets import PRESETS
from evoptax.search.config.settings import SearchConfig
from evoptax.search.engine.loop import run_search
from evoptax.search.engine.progress import Progress
from evoptax.search.execution.executors.processes.workers import Workers
from evoptax.search.store.runs import create_run
from performance import environment


@dataclass(frozen=True)
class Measured:
    """One search: candidates per second, and the share of its time that workers trained."""

    rate: float
    busy: float
    coordinator: float  # seconds of processor time of this process per candidate
    worker: float  # seconds of a worker per candidate


def search(config: SearchConfig, workers: Workers, candidates: int) -> Measured:
    """Measures from the first batch that was trained, the starter, to the last."""
    marks: list[tuple[int, float, float, float]] = []

    def report(progress: Progress) -> None:
        if progress.phase == "searching":
            now = (progress.trained, time.perf_counter(), workers.busy_seconds, time.process_time())
            marks.append(now)

    with tempfile.TemporaryDirectory() as folder:
        run = create_run(Path(folder), "run", config)
        # Stopped before the final comparison, with the next batch's training begun as ever.
        run_search(
            run,
            config,
            workers,
            report=report,
            should_stop=lambda: bool(marks) and marks[-1][0] >= candidates,
        )
    (n0, t0, b0, c0), (n1, t1, b1, c1) = marks[0], marks[-1]
    trained, seconds = n1 - n0, t1 - t0
    return Measured(
        trained / seconds,
        (b1 - b0) / seconds / workers.count,
        (c1 - c0) / trained,
        (b1 - b0) / trained,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=200, help="of each search")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="compared with one")
    args = parser.parse_args()
    config = replace(
        PRESETS["quick"], budget=replace(PRESETS["quick"].budget, seconds=None, candidates=None)
    )
    tasks = (*config.funnel.screen.tasks, *config.funnel.proxy.tasks)
    print(f"quick preset ({', '.join(tasks)}), {args.candidates} candidates; {environment()}")
    counts = (1, args.workers)
    measured: dict[int, list[Measured]] = {count: [] for count in counts}
    pools = {count: Workers(tasks, count) for count in counts}
    try:
        for count in counts:
            search(config, pools[count], args.candidates)
        for _ in range(args.repeats):
            for count in counts:
                time.sleep(1)  # until what the last search had begun is finished
                measured[count].append(search(config, pools[count], args.candidates))
    finally:
        for pool in pools.values():
            pool.close()
    for count in counts:
        rates = [m.rate for m in measured[count]]
        print(
            f"  {count} worker(s): {statistics.median(rates):7.2f} candidates per second"
            f" ({min(rates):.2f} to {max(rates):.2f});"
            f" busy {100 * statistics.median(m.busy for m in measured[count]):.1f} %;"
            f" {1e3 * statistics.median(m.worker for m in measured[count]):.1f} ms of a worker and"
            f" {1e3 * statistics.median(m.coordinator for m in measured[count]):.2f} ms of the"
            " coordinator per candidate"
        )
    ratios = [
        many.rate / one.rate for one, many in zip(measured[1], measured[args.workers], strict=True)
    ]
    print(
        f"  {args.workers} workers are {statistics.median(ratios):.2f} times as fast as one"
        f" (median of {len(ratios)}; {min(ratios):.2f} to {max(ratios):.2f})"
    )


if __name__ == "__main__":
    main()
