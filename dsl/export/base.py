"""What a format of export is. Each is a module or a folder of `formats/`, whose name is its name.

To add one is to add a file with an `EXPORTER` there. `evoptax export --to NAME` and the contract
suite find it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..plugins import implementation, names_in
from ..program import Program

if TYPE_CHECKING:
    import numpy as np  # takes a while, and this is imported to list the formats

_FORMATS = "evoptax.dsl.export.formats"

# A tree: one array for each tensor, by its name.
Tree = dict[str, Any]
# Where a rule is after a step: a tree for each of "weights" and "evaluation point".
Points = dict[str, Tree]


class Inputs(NamedTuple):
    """What a rule is given, to see what it does.

    Attributes:
      w: the initial weights.
      gradients: a tree for each step.
      varying: by name of further inputs, their value at each step, trees for those of tensors.
      fixed: the same of those whose value stays, trees for those of tensors.
      members: how many there are, along the first axis of all that is their own; 0 if the rule is
        of no members.
    """

    w: Tree
    gradients: list[Tree]
    varying: dict[str, Any]
    fixed: dict[str, Any]
    members: int = 0


class Runnable(Protocol):
    """An exported rule that can be run."""

    def __call__(
        self, inputs: Inputs, rates: np.ndarray | None, starts: list[Tree]
    ) -> list[Points]:
        """Where the rule is after each step.

        Args:
          inputs: what it is given.
          rates: the learning rate of each step; None for the rule's default.
          starts: the weights before each step, which replace the rule's own, so that rounding
            errors do not grow from step to step. Its state is its own.
        """
        ...


class Exporter(Protocol):
    """Writes rules in some format.

    Attributes:
      suffix: of a file's name, as in ".py".
    """

    suffix: str

    def write(self, program: Program) -> str:
        """A rule in this format.

        Raises:
          ProgramError: if the program is not well formed.
        """
        ...

    def load(self, program: Program, text: str) -> Runnable | None:
        """The rule in a text that `write` has made of a program; None where only people read it.

        Never hand over text from anywhere else: it may be executed.
        """
        ...


def formats() -> tuple[str, ...]:
    """The names of all formats."""
    return names_in(_FORMATS)


def exporter(name: str) -> Exporter:
    """The exporter of a format. Raises UserError naming those that exist."""
    found: Exporter = implementation(_FORMATS, name, "EXPORTER", "format")
    return found
