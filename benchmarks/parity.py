"""Compares every documented rule with every reference that there is for it.

Each rule runs 25 steps in float64 by NumPy, fused, as its exported Optax file and, where the
machine trains the same, by the machine. What it is compared with is in tests/references.

    python benchmarks/parity.py           # prints a table, writes known_algorithms/parity.json
    python benchmarks/parity.py sam lion  # the same for some rules; what was measured before stays
    python benchmarks/parity.py --docs    # writes docs/known_algorithms.md from that file
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from evoptax.dsl.expressions import format_number
from evoptax.known_algorithms.catalogue import KNOWN, SCHEDULES
from evoptax.known_algorithms.parity import Match, Parity, load_parity
from evoptax.known_algorithms.rule import KnownRule, Paper

ROOT = Path(__file__).parents[1]
DATA = ROOT / "known_algorithms" / "parity.json"
DOCS = ROOT / "docs" / "known_algorithms.md"
EXACT = 1e-12
SOURCES = {"numpy": "NumPy from the equations", "numpy, second derivation": "NumPy, derived twice"}


def measure(names: Collection[str] = ()) -> Parity:
    """Runs the comparisons of some rules, or of all, and prints each."""
    sys.path.insert(0, str(ROOT / "tests"))
    from parity_runs import compared
    from references.problems import STEPS

    before = load_parity(DATA).rules if names else {}
    rules = {name: before[name] for name in KNOWN if name in before}
    for name in names or KNOWN:
        rules[name] = tuple(
            Match(
                source=SOURCES.get(check.source, check.source.removeprefix("golden ")),
                version=check.version,
                tolerance=check.tolerance,
                provenance=check.provenance,
                tensors=check.shapes,
                note=check.note,
                differences=differences,
            )
            for check, differences in compared(name)
        )
        for match in rules[name]:
            found = "  ".join(f"{path} {gap:.1e}" for path, gap in match.differences.items())
            agrees = "" if match.largest <= match.tolerance else "  DIFFERS"
            print(f"{name:21} {match.source:32} <= {match.tolerance:.0e}  {found}{agrees}")
    versions = {name: importlib.metadata.version(name) for name in ("numpy", "jax", "optax")}
    made_on = {"python": platform.python_version(), "machine": platform.machine()}
    return Parity(STEPS, versions | made_on, {name: rules[name] for name in KNOWN if name in rules})


def as_json(parity: Parity) -> str:
    """One line for each reference."""

    def lines(matches: tuple[Match, ...]) -> str:
        return ",\n".join(f"   {json.dumps(vars(match))}" for match in matches)

    rules = ",\n".join(f'  "{name}": [\n{lines(m)}\n  ]' for name, m in parity.rules.items())
    head = f'"steps": {parity.steps},\n "versions": {json.dumps(dict(parity.versions))}'
    return f'{{\n {head},\n "rules": {{\n{rules}\n }}\n}}\n'


def as_markdown(rules: Mapping[str, KnownRule], parity: Parity) -> str:
    """The page of all documented rules."""
    return "\n".join(_page(rules, parity)) + "\n"


def _page(rules: Mapping[str, KnownRule], parity: Parity) -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in parity.versions.items())
    yield from (
        "# The documented rules",
        "",
        "Written by `python benchmarks/parity.py --docs`; edit the rules in `known_algorithms/`"
        " instead. `evoptax known NAME` shows a rule's program and equations.",
        "",
        f"Each rule runs {parity.steps} steps in float64 beside each of its references, by NumPy,"
        " compiled by JAX, as its exported Optax file and by the machine that trains candidates;"
        " the number is the largest difference of a weight over all four. At most 1e-12 is accepted"
        f" unless the table says otherwise. Measured with {versions}.",
        "",
        "Missing of the list of rules are `lanton` (row 28), whose formulas could not be"
        " confirmed; rows 36, 37 and 46, which ask for a second loss; 38, 39 and 48, whose content"
        " is a loss or a learned objective; 43, which repeats a step; 45, which nests losses; 49"
        " and 50, which are solvers; 54, 55 and 56, which set the batch size or learning rates of"
        " groups; 63 and 70, which need the principal directions of members; 71 and 72, which are"
        " programs of the host; and 75, which needs a whole run before.",
        "",
        "| rule | paper | defaults | reference: largest difference |",
        "|---|---|---|---|",
    )
    for name, rule in rules.items():
        defaults = ", ".join(f"{k} {format_number(v)}" for k, v in rule.program.defaults.items())
        matches = "<br>".join(_matches(parity.rules[name]))
        yield f"| `{name}` | {_paper(rule.paper)} | {defaults} | {matches} |"
    yield from (
        "",
        "## Schedules",
        "",
        "They multiply a learning rate; rules call them by name.",
        "",
    )
    yield from ("| schedule | paper | program |", "|---|---|---|")
    for name, schedule in SCHEDULES.items():
        *_, last = schedule.text.strip().splitlines()
        value = last.strip().removeprefix("return ")
        yield f"| `{name}` | {_paper(schedule.paper)} | `{value}` |"
    yield from ("", "## What to mind", "")
    yield from (f"- `{name}`: {rule.caveat}" for name, rule in rules.items() if rule.caveat)


def _matches(matches: tuple[Match, ...]) -> Iterator[str]:
    for match in matches:
        version = "" if match.source in SOURCES.values() else f" {match.version[:10]}"
        accepted = f" ({match.tolerance:.0e} accepted)" if match.tolerance > EXACT else ""
        yield f"{match.source}{version}: {match.largest:.0e}{accepted}"
    if matches[0].provenance[0] not in "NC":
        yield "derived from the equations, not from official code"


def _paper(paper: Paper) -> str:
    link = f"[{paper.title}](https://arxiv.org/abs/{paper.arxiv})" if paper.arxiv else paper.title
    return f"{link} ({paper.year})"


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="RULE", help="of rules; all unless given")
    parser.add_argument("--docs", action="store_true", help="write the page, measure nothing")
    args: Any = parser.parse_args()
    if args.docs:
        DOCS.write_text(as_markdown(KNOWN, load_parity(DATA)), encoding="utf-8")
    else:
        DATA.write_text(as_json(measure(args.names)), encoding="utf-8")


if __name__ == "__main__":
    main()
