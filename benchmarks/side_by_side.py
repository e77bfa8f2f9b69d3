"""Runs a benchmark of this revision and of another, in turns, so that a busy machine slows both.

Each revision runs its own script of that name, with its own evoptax. The figures of `mutation.py`
are medians with ranges; compare them within these.

    python benchmarks/side_by_side.py REVISION mutation.py [--turns N] [-- arguments of the script]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from performance import environment
from revisions import ROOT, import_folder, source_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision", help="to be measured too, as Git names it")
    parser.add_argument("script", help="of this folder")
    parser.add_argument("--turns", type=int, default=2)
    own, arguments = sys.argv[1:], []
    if "--" in own:
        own, arguments = own[: own.index("--")], own[own.index("--") + 1 :]
    args = parser.parse_args(own)
    print(environment(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {args.revision: source_of(args.revision, folder / "source"), "now": ROOT}
        paths = {key: import_folder(source, folder / key) for key, source in sources.items()}
        for turn in range(args.turns):
            for version, source in sources.items():
                print(f"\n## {version}, turn {turn + 1}\n", flush=True)
                script = str(source / "benchmarks" / args.script)
                subprocess.run(
                    [sys.executable, script, *arguments],
                    env={**os.environ, "PYTHONPATH": str(paths[version])},
                    check=True,
                )


if __name__ == "__main__":
    main()
