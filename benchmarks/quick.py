"""How many candidates the quick preset's search trains, now and at another revision.

Runs `evoptax search --preset quick` once for each version to fill the compilation cache, then
`--turns` times to count, in an order that is reversed each turn. What counts is the searching
phase: candidates trained, and the seconds that it took; and the whole command's time.

    python benchmarks/quick.py [--against REVISION] [--turns N] [--docs]
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from performance import environment, write_section
from revisions import ROOT, import_folder, source_of


@dataclass(frozen=True)
class Count:
    """One run of the quick preset."""

    version: str
    trained: int
    searching: float  # seconds of the searching phase
    whole: float  # seconds of the command

    def line(self) -> str:
        rate = self.trained / self.searching
        return (
            f"| {self.version} | {self.trained:,} | {self.searching:.0f} s | {rate:.1f} /s "
            f"| {self.whole:.0f} s |"
        )


def search(version: str, path: Path, folder: Path, cache: Path) -> Count:
    """Runs the preset once."""
    environment = {**os.environ, "PYTHONPATH": str(path), "EVOPTAX_CACHE_DIR": str(cache)}
    command = [sys.executable, "-m", "evoptax.cli.main", "search", "--preset", "quick"]
    start = time.perf_counter()
    subprocess.run(
        [*command, "--name", "run", "--runs-dir", str(folder)],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    whole = time.perf_counter() - start
    ledger = sqlite3.connect(folder / "run" / "ledger.sqlite")
    query = "select count(*) from candidates where status in ('new', 'again')"
    (trained,) = ledger.execute(query).fetchone()
    (seconds,) = ledger.execute("select sum(seconds) from sessions").fetchone()
    return Count(version, trained, seconds, whole)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", metavar="REVISION", help="measure this commit too")
    parser.add_argument("--turns", type=int, default=1, help="runs that count, of each version")
    parser.add_argument("--docs", action="store_true", help="write docs/performance.md's table")
    args = parser.parse_args()
    print(environment())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {"now": ROOT}
        if args.against:
            sources[args.against] = source_of(args.against, folder / "source")
        lines = []
        versions = list(enumerate(sources))
        for i, version in versions:
            import_folder(sources[version], folder / f"path{i}")
        for turn in range(args.turns + 1):
            # The machine's speed drifts, so no version always comes first.
            for i, version in versions[:: -1 if turn % 2 else 1]:
                count = search(
                    version, folder / f"path{i}", folder / f"runs{turn}-{i}", folder / f"cache{i}"
                )
                print("counted" if turn else "first", count.line(), flush=True)
                lines += [count.line()] if turn else []
    header = "| version | candidates | searching | rate | whole command |\n"
    header += "| --- | ---: | ---: | ---: | ---: |\n"
    if args.docs:
        write_section("quick", f"{environment()}\n\n{header}" + "\n".join(lines))


if __name__ == "__main__":
    main()
