"""The domain of dependencies: from which inputs, states and hyperparameters a value comes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from .interpreter import interpret
from .oracles import ORACLES, oracles_of
from .primitive import Primitive
from .program import Program


class DependencyDomain:
    """A value is the set of names it depends on, one bit each.

    Args:
      oracles: the bits of what each oracle asks, by its name.
    """

    def __init__(self, oracles: Mapping[str, int] = MappingProxyType({})) -> None:
        self._oracles = oracles

    def constant(self, value: float) -> int:
        return 0

    def apply(self, primitive: Primitive, args: Sequence[int]) -> int:
        union = self._oracles.get(primitive.name, 0)
        for arg in args:
            union |= arg
        return union


def update_depends_on(program: Program) -> frozenset[str]:
    """All names that the update depends on, within a step or through state over several.

    Those of oracles are among them, and so is w where one is asked, for they ask about the loss
    around it.
    """
    oracles = [row.name for row in oracles_of(program)]
    names = [*(s.name for s in program.state), *program.inputs, *program.defaults]
    bits = {name: 1 << index for index, name in enumerate([*names, *oracles])}
    asked = {name: bits[name] | bits.get("w", 0) for name in oracles}
    outcome = interpret(program, DependencyDomain(asked), {name: bits[name] for name in names})
    reached = outcome.result
    while True:
        further = reached
        for s in program.state:
            if reached & bits[s.name]:
                further |= outcome.env[s.name]
        if further == reached:
            return frozenset(name for name, bit in bits.items() if reached & bit)
        reached = further


def sees_the_loss(names: Collection[str]) -> bool:
    """Whether what depends on these names is told by the loss where to go."""
    return "g" in names or any(row.name in names for row in ORACLES)
