"""How many operations the machine needs for a rule, and which pairs of them are worth fusing next.

Counts over all known rules and over descendants of AdamW and Lion, some near, some far. Each
fused operation is one more branch to compile for every task (about 30 ms), so a pair earns its
place in `dsl.operations` by how much of the code it saves.

    python benchmarks/operations.py [--descendants N]
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Iterator

from evoptax.dsl.machine import operations as ops
from evoptax.dsl.machine.bytecode import TooLarge, assemble
from evoptax.dsl.program import Program
from evoptax.known_algorithms.catalogue import KNOWN, get_known
from evoptax.search.filters.gates import rejection
from evoptax.search.mutation.mutate import mutate


def descendants(count: int) -> Iterator[Program]:
    """Programs that a search would train, 1 to 30 mutations from their start."""
    rng = random.Random(0)
    while count:
        program = get_known(rng.choice(("adamw", "lion"))).program
        for _ in range(rng.choice((1, 3, 10, 30))):
            mutated = mutate(program, rng)
            program = mutated.program if mutated else program
        if rejection(program, max_size=60) is None:
            count -= 1
            yield program


def code(program: Program) -> list[tuple[int, list[int]]]:
    """The elementwise instructions: operation, then destination and operands."""
    found = assemble(program)
    rows = []
    for start, middle, _ in found.segments[: found.segments_length]:
        rows += [(int(row[0]), row[1:].tolist()) for row in found.v_code[start:middle]]
    return rows


def pairs(rows: list[tuple[int, list[int]]]) -> Iterator[str]:
    """Operations that feed a temporary to one other operation, as one pattern."""
    for i, (opcode, (target, *_)) in enumerate(rows):
        readers = []
        for other, (written, *operands) in rows[i + 1 :]:
            letters = ops.letters(ops.ELEMENTWISE[other])
            readers += [
                (other, k)
                for k, letter in enumerate(letters)
                if letter == "V" and operands[k] == target
            ]
            if written == target:
                break
        if target < ops.V_WEIGHT and len(readers) == 1:
            outer, place = readers[0]
            yield text(ops.ELEMENTWISE[outer], iter(range(9)), place, ops.ELEMENTWISE[opcode])


def text(found: ops.Pattern, places: Iterator[int], place: int, inner: ops.Pattern) -> str:
    """A pattern as text with another one in place of its n-th operand."""
    if isinstance(found, str):
        here = next(places) == place
        return text(inner, iter(range(9)), -1, "") if here else found
    return f"{found[0]}({', '.join(text(arg, places, place, inner) for arg in found[1:])})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--descendants", type=int, default=1000)
    args = parser.parse_args()
    rules = [rule.program for rule in KNOWN.values()]
    for name, programs in (("known rules", rules), ("descendants", descendants(args.descendants))):
        used, wanted, primitives, rows = Counter[str](), Counter[str](), 0, 0
        for program in programs:
            try:
                instructions = code(program)
            except TooLarge:
                continue
            rows += len(instructions)
            primitives += sum(ops.size(ops.ELEMENTWISE[opcode]) for opcode, _ in instructions)
            used.update(
                text(found, iter(range(9)), -1, "")
                for opcode, _ in instructions
                if ops.size(found := ops.ELEMENTWISE[opcode]) > 1
            )
            wanted.update(pairs(instructions))
        print(f"{name}: {primitives:,} primitives in {rows:,} operations")
        for title, counter in (("fused", used), ("not fused", wanted)):
            for pattern, times in counter.most_common(14):
                print(f"  {title:9} {times / rows:6.1%}  {pattern}")


if __name__ == "__main__":
    main()
