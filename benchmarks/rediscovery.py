"""Whether distillation finds documented rules again, from their traces alone.

Each rule, its hyperparameters at their defaults, is a black box that is recorded on streams of
gradients; the search sees gradients in and updates out, and starts from a program that returns 0.
What it finds is checked on traces of other streams, and of more steps. A rule counts as found
where the largest relative error over the tensors of these is at most 1e-4.

    python benchmarks/rediscovery.py [--rules sgd,lion] [--seeds N] [--seconds S] [--processes N]
                                     [--docs]

Seeds decide the streams as well as the search. Runs are spread over two processes, one run in each
at a time; seconds are those of the clock, from the traces to the answer.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

from evoptax.dsl.program import Program
from evoptax.dsl.syntax import format_program, parse
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.strategies.distillation.distill import advance, finish, init, pose
from evoptax.search.strategies.distillation.recording import record_rule
from evoptax.search.strategies.distillation.traces import relative_error
from performance import environment

DOCS = Path(__file__).resolve().parent.parent / "docs" / "rediscovery.md"
ACCEPTED = 1e-4
# Fresh traces: streams that no search sees, of this many steps.
FRESH_SEED, FRESH_STEPS = 10_000, 60
# Candidates between two looks at the clock.
CHUNK = 50

# Rules that the catalogue does not have in this form.
TEXTS = {
    "signsgd": """
def signsgd(w, g, *, lr=1e-3):
    return lr * sign(g)
""",
    "adam_uncorrected": """
def adam_uncorrected(w, g, m=0, v=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8):
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    return lr * m / (sqrt(v) + eps)
""",
    "powersign": """
def powersign(w, g, m=0, *, lr=1e-3, b=0.9):
    m = lerp(g, m, b)
    return lr * exp(sign(m) * sign(g)) * g
""",
}
RULES = (
    "sgd",
    "momentum",
    "nesterov",
    "signsgd",
    "adagrad",
    "rmsprop",
    "adam_uncorrected",
    "lion",
    "adabelief",
    "powersign",
)


@dataclass(frozen=True)
class Result:
    """One run. `error` is that on fresh traces; `text` is the answer."""

    rule: str
    seed: int
    error: float
    seconds: float
    candidates: int
    text: str

    @property
    def found(self) -> bool:
        return self.error <= ACCEPTED


def hidden(name: str) -> Program:
    """The rule of a name."""
    return parse(TEXTS[name].strip()) if name in TEXTS else get_known(name).program


def rediscover(rule: str, seed: int, seconds: float) -> Result:
    """One run: records, searches at most so long, and checks."""
    program = hidden(rule)
    traces = record_rule(program, seed)
    started = time.perf_counter()
    problem = pose(traces)
    state = init(seed, problem)
    while not state.solved and time.perf_counter() - started < seconds:
        state = advance(state, problem, CHUNK)
    answer = finish(state, problem)
    took = time.perf_counter() - started
    fresh = record_rule(program, FRESH_SEED + seed, steps=FRESH_STEPS)
    error = relative_error(answer, fresh)
    return Result(rule, seed, error, took, state.candidates, format_program(answer))


def report(results: Sequence[Result], seconds: float) -> str:
    """Markdown: the environment, a table, and an answer for each rule that was found."""
    rules = list(dict.fromkeys(r.rule for r in results))
    lines = [
        f"{environment()}, NumPy {version('numpy')}; two processes, each with one run at a time,"
        f" at most {seconds:g} s a run.",
        "",
        "| rule | found | seconds: median (range) | candidates: median | error on fresh traces |",
        "|---|---|---|---|---|",
    ]
    count = 0
    for rule in rules:
        runs = [r for r in results if r.rule == rule]
        times = sorted(r.seconds for r in runs)
        candidates = statistics.median(r.candidates for r in runs)
        found = sum(r.found for r in runs)
        count += found > len(runs) / 2
        lines.append(
            f"| {rule} | {found} of {len(runs)} | {statistics.median(times):.1f}"
            f" ({times[0]:.1f} to {times[-1]:.1f}) | {candidates:,.0f} |"
            f" {', '.join(f'{r.error:.0e}' for r in runs)} |"
        )
    lines += ["", f"Found by most seeds: {count} of {len(rules)}.", ""]
    for rule in rules:
        run = next((r for r in results if r.rule == rule and r.found), None)
        if run is not None:
            lines += [f"{rule}, seed {run.seed}:", "", "```python", run.text.rstrip(), "```", ""]
    return "\n".join(lines)


PAGE = """# Rediscovery

Each rule is hidden in a black box, its hyperparameters at their defaults. The search is given
traces of it, gradients in and updates out, and starts from the empty program,
`def distilled(w, g, *, lr=1e-3): return 0`. A rule counts as found where the answer's largest
relative error over tensors (‖û - u‖ / ‖u‖) is at most 1e-4 on fresh traces: other streams of
gradients, 60 steps instead of 36. How it works is in [distill.md](distill.md).
From `python benchmarks/rediscovery.py --docs`:

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rules", default=",".join(RULES), help="names, with commas between")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0")
    parser.add_argument("--seconds", type=float, default=600.0, help="most for each run")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--docs", action="store_true", help="write docs/rediscovery.md")
    args = parser.parse_args()
    runs = [(rule, seed) for rule in args.rules.split(",") for seed in range(args.seeds)]
    # Forking a process that has loaded libraries with threads is unsafe.
    with ProcessPoolExecutor(args.processes, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(rediscover, rule, seed, args.seconds) for rule, seed in runs]
        results = []
        for future in futures:
            result = future.result()
            results.append(result)
            mark = "found" if result.found else "not found"
            print(
                f"{result.rule} {result.seed}: {mark}, error {result.error:.1e},"
                f" {result.seconds:.1f} s, {result.candidates} candidates",
                flush=True,
            )
    text = report(results, args.seconds)
    print("\n" + text)
    if args.docs:
        DOCS.write_text(PAGE + text, encoding="utf-8")
        # Lines of programs may be longer than the repository's.
        subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", str(DOCS)], check=True)


if __name__ == "__main__":
    main()
