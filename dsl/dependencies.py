"""The domain of dependencies: from which inputs, states and hyperparameters a value comes."""

from __future__ import annotations

from collections.abc import Sequence

from .interpreter import interpret
from .primitives import Primitive
from .program import Program

_NOTHING: frozenset[str] = frozenset()


class DependencyDomain:
    """A value is the set of names it depends on."""

    def constant(self, value: float) -> frozenset[str]:
        return _NOTHING

    def apply(self, primitive: Primitive, args: Sequence[frozenset[str]]) -> frozenset[str]:
        return _NOTHING.union(*args)


def update_depends_on(program: Program) -> frozenset[str]:
    """All names that the update depends on, within a step or through state over several."""
    names = [*program.inputs, *(s.name for s in program.state), *program.defaults]
    outcome = interpret(program, DependencyDomain(), {n: frozenset({n}) for n in names})
    reached = outcome.result
    while True:
        further = reached.union(*(outcome.env[s.name] for s in program.state if s.name in reached))
        if further == reached:
            return reached
        reached = further
