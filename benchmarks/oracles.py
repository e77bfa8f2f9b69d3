"""What oracles in the machine cost rules that do not call them: AdamW and Lion on the lean
machine, and on its sibling with oracles, noise and labels.

    python benchmarks/oracles.py [--turns N] [--task NAME]

On one core; both are compiled before anything is timed, and turns alternate. Prints processor
milliseconds of a training run of three learning rates and the median ratio of neighbouring runs,
with a 95 % interval, and how often each loop was compiled.
"""

from __future__ import annotations

import argparse
import os
import time

# Before JAX starts its threads.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import numpy as np
from evoptax.dsl.machine import machine
from evoptax.dsl.machine.bytecode import assemble
from evoptax.dsl.machine.operations import LEAN, WITH_ORACLES
from evoptax.evaluators.backends.base import AS_DATA, open_backend
from evoptax.evaluators.backends.kinds.machine import SCHEDULED
from evoptax.evaluators.backends.problems import Problems
from evoptax.evaluators.fidelity import Fidelity
from evoptax.evaluators.tasks import get_task
from evoptax.known_algorithms.catalogue import get_known
from performance import environment

RATES = (1e-3, 3e-3, 1e-2)
FORMS = (LEAN, WITH_ORACLES[LEAN])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=301)
    parser.add_argument("--task", default="digits_mlp")
    args = parser.parse_args()
    backend = open_backend(AS_DATA, Problems(get_task(args.task)))
    loops = backend._loops  # type: ignore[attr-defined]
    for name in ("adamw", "lion"):
        bytecode = assemble(get_known(name).program)
        tables = bytecode.arrays()
        tables["constants"] = bytecode.constants_for(get_known(name).program.defaults, len(RATES))

        def give(rates: np.ndarray, total: np.int32, tables: dict = tables) -> object:
            steps = SCHEDULED * -(-int(total) // SCHEDULED)
            by_step = np.ones((steps, 1), np.float32) * rates
            return tables, machine.schedule(tables, by_step, total, steps=steps)

        times: dict[str, list[float]] = {form: [] for form in FORMS}
        scores = {}
        for turn in range(args.turns + 1):
            for form in FORMS if turn % 2 else FORMS[::-1]:
                start = time.process_time()
                scores[form] = loops[form].run(give, Fidelity(RATES, (0,)), None).score
                times[form].append(1e3 * (time.process_time() - start))
        assert np.array_equal(*scores.values())
        lean, asking = (np.array(times[form][1:]) for form in FORMS)
        rng = np.random.default_rng(0)
        ratios = asking / lean - 1
        drawn = np.median(ratios[rng.integers(0, len(ratios), (2000, len(ratios)))], axis=1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        print(
            f"{name:6} lean {np.median(lean):.2f} ms, with oracles {np.median(asking):.2f} ms:"
            f" {np.median(ratios):+.1%} ({low:+.1%} to {high:+.1%})"
        )
    compiled = [loops[form]._advance._cache_size() for form in FORMS]
    print(f"compilations of each loop: {compiled}; {environment()}")


if __name__ == "__main__":
    main()
