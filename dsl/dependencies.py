"""The domain of dependencies: from which inputs, states and hyperparameters a value comes."""

from __future__ import annotations

from collections.abc import Sequence

from .interpreter import interpret
from .primitive import Primitive
from .program import Program


class DependencyDomain:
    """A value is the set of names it depends on, one bit each."""

    def constant(self, value: float) -> int:
        return 0

    def apply(self, primitive: Primitive, args: Sequence[int]) -> int:
        union = 0
        for arg in args:
            union |= arg
        return union


def update_depends_on(program: Program) -> frozenset[str]:
    """All names that the update depends on, within a step or through state over several."""
    names = [*(s.name for s in program.state), *program.inputs, *program.defaults]
    bits = {name: 1 << index for index, name in enumerate(names)}
    outcome = interpret(program, DependencyDomain(), bits)
    reached = outcome.result
    while True:
        further = reached
        for s in program.state:
            if reached & bits[s.name]:
                further |= outcome.env[s.name]
        if further == reached:
            return frozenset(name for name, bit in bits.items() if reached & bit)
        reached = further
