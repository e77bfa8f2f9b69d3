"""How many candidates the quick preset's search trains, now and at another revision.

Runs `evoptax search --preset quick` twice for each version: once to fill the compilation cache and
once to count, alternating. What counts is the searching phase: candidates trained, and the seconds
that it took; and the whole command's time.

    python benchmarks/quick.py [--against REVISION] [--docs]
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
    parser.add_argument("--docs", action="store_true", help="write docs/performance.md's table")
    args = parser.parse_args()
    print(environment())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {"now": ROOT}
        if args.against:
            sources[args.against] = source_of(args.against, folder / "source")
        lines = []
        for turn in ("first", "counted"):
            for i, (version, source) in enumerate(sources.items()):
                path = folder / f"path{i}"
                if not path.exists():
                    import_folder(source, path)
                count = search(version, path, folder / f"{turn}{i}", folder / f"cache{i}")
                print(turn, count.line(), flush=True)
                lines += [count.line()] if turn == "counted" else []
    header = "| version | candidates | searching | rate | whole command |\n"
    header += "| --- | ---: | ---: | ---: | ---: |\n"
    if args.docs:
        write_section("quick", f"{environment()}\n\n{header}" + "\n".join(lines))


if __name__ == "__main__":
    main()
