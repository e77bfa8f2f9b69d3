"""Whether memory stays flat over a long search.

Runs the evolution as the engine drives it, in a process that has loaded what the engine needs, and
prints the resident size after each tenth of the candidates. Fitness is made up, so that 100,000
candidates take minutes; with --train every candidate is trained by the machine on the quadratic
task, for a few steps. Counts distinct candidates, each of which is remembered by its digest and
fitness; duplicates and rejected ones come on top.

    python benchmarks/memory.py [--candidates N] [--train] [--steps N]
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from evoptax.dsl.program import Program
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.settings import SearchConfig
from evoptax.search.engine import loop as engine
from evoptax.search.store.records import Proposal
from evoptax.search.strategies.kinds.evolution import STRATEGY
from evoptax.search.strategies.regularized import round_is_over
from evoptax.search.strategies.state import SearchState

Fitness = Callable[[Proposal], float]


def made_up(proposal: Proposal) -> float:
    """A number that is the same everywhere, and sinks slowly: else one early candidate would stay
    the best, and a search among its neighbours alone runs dry."""
    return int(proposal.digest[:8], 16) / 2**32 - proposal.ordinal / 10_000


def by_training(steps: int) -> Fitness:
    """The score of one short run on the quadratic task."""
    from evoptax.evaluators.backends.base import open_backend
    from evoptax.evaluators.backends.problems import Problems
    from evoptax.evaluators.fidelity import Fidelity
    from evoptax.evaluators.tasks import get_task

    machine = open_backend("machine", Problems(get_task("quadratic")))
    fidelity = Fidelity((1e-2,), steps=steps)
    # Both machines are compiled before anything is measured: the full one takes 80 MB, once.
    for name in ("adamw", "muon"):
        machine.train([get_known(name).program], fidelity)

    def fitness(proposal: Proposal) -> float:
        (result,) = machine.train([proposal.program], fidelity)
        return float(result.score.item())

    return fitness


def resident() -> float:
    """Resident size of this process in MB; where only its peak is known, that."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        pages = int(statm.read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def search(state: SearchState, candidates: int, fitness: Fitness) -> SearchState:
    """Asks and tells until this many candidates were trained, in rounds as a search does."""
    while state.trained < candidates:
        if round_is_over(state):
            state = STRATEGY.next_round(state)
        while STRATEGY.should_ask(state):
            _, state = STRATEGY.ask(state)
        batch = state.pending[0]
        told = {p.ordinal: fitness(p) for p in batch if p.status.is_trained}
        state = STRATEGY.tell(state, told)
    return state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=100_000)
    parser.add_argument("--train", action="store_true", help="train every candidate")
    parser.add_argument("--steps", type=int, default=20, help="of training")
    args = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {platform.system()};"
        f" {resident():.1f} MB with {engine.__name__} loaded"
    )
    fitness = by_training(args.steps) if args.train else made_up
    starters: list[Program] = [get_known("adamw").program]
    state = STRATEGY.init(SearchConfig(), starters)
    sizes = []
    start = time.perf_counter()
    for tenth in range(1, 11):
        state = search(state, args.candidates * tenth // 10, fitness)
        sizes.append(resident())
        seconds = time.perf_counter() - start
        calls = sum(i.program.size for i in state.population) / len(state.population)
        print(
            f"{state.trained:9,} candidates of {state.next_ordinal:9,} proposed:"
            f" {sizes[-1]:7.1f} MB resident, {calls:.0f} calls on average, {seconds:.0f} s",
            flush=True,
        )
    growth = sizes[-1] / sizes[0] - 1
    print(f"growth after the first tenth: {growth:+.1%}")


if __name__ == "__main__":
    main()
