"""What hurdles save and what they cost: how many runs are stopped, and how many of them wrongly.

Trains descendants of AdamW and Lion to the end, with ten checkpoints, and says for some margins
which would have been stopped at which checkpoint, and how many of the candidates that ended level
with tuned AdamW (at most 5 % worse), or better, would have been lost.

    python benchmarks/early_stopping.py [--task NAME] [--descendants N]
"""

from __future__ import annotations

import argparse

import numpy as np
from evoptax.dsl.machine.bytecode import TooLarge
from evoptax.evaluators.backends.base import open_backend
from evoptax.evaluators.backends.problems import Problems
from evoptax.evaluators.fidelity import Fidelity
from evoptax.evaluators.tasks import get_task
from evoptax.known_algorithms.catalogue import get_known
from operations import descendants

CHECKPOINTS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="digits_mlp")
    parser.add_argument("--descendants", type=int, default=250)
    args = parser.parse_args()
    machine = open_backend("machine", Problems(get_task(args.task)))
    fidelity = Fidelity(checkpoints=CHECKPOINTS)
    adamw = get_known("adamw").program
    (base,) = machine.train([adamw], fidelity)
    rows = []
    for program in descendants(args.descendants):
        try:
            (found,) = machine.train([program], fidelity)
        except TooLarge:
            continue
        rows.append(np.log(found.curve[0].min(0) / base.curve[0].min(0)))
    behind = np.array(rows)
    final = behind[:, -1]
    level, better = final <= 0.05, final < 0
    print(f"{args.task}: of {len(rows)} candidates {level.mean():.0%} end level with AdamW,")
    print(f"{better.mean():.0%} better, {np.isinf(final).mean():.0%} diverge")
    print("after  margin  stopped  of the level  of the better")
    for checkpoint in (0, 1, 2, 4):
        for margin in (0.05, 0.1, 0.2, 0.4, 0.8):
            stopped = behind[:, checkpoint] > margin
            print(
                f"{(checkpoint + 1) / CHECKPOINTS:5.0%}  {margin:6}  {stopped.mean():7.0%}"
                f"  {stopped[level].mean():12.1%}  {stopped[better].mean():13.1%}"
            )


if __name__ == "__main__":
    main()
