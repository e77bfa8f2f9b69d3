"""Makes a small copy of a finished run, to be shipped: its rules' ancestry instead of everything.

python benchmarks/ship_run.py RUN_FOLDER COPY_FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

from evoptax.search.report.trimming import trimmed
from evoptax.search.store.runs import Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("copy", type=Path)
    args = parser.parse_args()
    before, after = Run(args.run), trimmed(Run(args.run), args.copy)
    sizes = [run.ledger_path.stat().st_size / 1e6 for run in (before, after)]
    print(f"{after.folder}: ledger {sizes[0]:.1f} MB → {sizes[1]:.1f} MB")


if __name__ == "__main__":
    main()
