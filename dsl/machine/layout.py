"""How the tensors of a model lie in the machine's memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import jax
import jax.numpy as jnp
import numpy as np

from ..kinds import Kind, shape_of
from .operations import HOLD_SQUARES, LEAN, MAX_TEMPORARIES, V_KEPT
from .stacks import Stack, stacks_of

Array = jax.Array

# A block of a few thousand numbers keeps every operand of a chain of operations in the first
# level of the cache; see docs/performance.md.
MOST_IN_BLOCK = 2048
# Models so small that all replicates make one block of this size are not cut at all.
MOST_UNCUT = 2**15


@dataclass(frozen=True)
class Layout:
    """The registers of a model's tensors, for some number of replicates.

    A register holds `replicates` rows of `width` numbers: all tensors, one after the other, then
    zeros. Elementwise operations go through it block by block, wide ones take it whole.

    Attributes:
      shapes: of the parameter tensors.
      replicates: R, how many models are trained at once with one program.
      form: of the machine; see `operations`. The registers of some are wide enough for the
        square matrices of every tensor.
    """

    shapes: tuple[tuple[int, ...], ...]
    replicates: int = 1
    form: str = LEAN

    @cached_property
    def weights(self) -> int:
        """N, the number of weights."""
        return sum(math.prod(shape) for shape in self.shapes)

    @cached_property
    def _used(self) -> int:
        grams = (Kind.ROW_GRAM, Kind.COLUMN_GRAM) if self.form in HOLD_SQUARES else ()
        return max(self.weights, *(sum(map(math.prod, self.shapes_of(k))) for k in grams), 1)

    @cached_property
    def together(self) -> int:
        """Replicates in one block: all of them, or one."""
        return self.replicates if self._used * self.replicates <= MOST_UNCUT else 1

    @cached_property
    def _cuts(self) -> int:
        """Blocks that the numbers of one replicate are cut into."""
        uncut = self.together == self.replicates
        return 1 if uncut else math.ceil(self._used / MOST_IN_BLOCK)

    @cached_property
    def width(self) -> int:
        """Numbers in a register for each replicate, the same in every block."""
        return 16 * math.ceil(self._used / self._cuts / 16) * self._cuts

    @property
    def block(self) -> int:
        """Numbers in a block, those of all its replicates."""
        return self.together * self.width // self._cuts

    @property
    def blocks(self) -> int:
        """Blocks in a register."""
        return self.replicates // self.together * self._cuts

    def first_replicate(self, block: Array) -> Array:
        """The first replicate of a block."""
        return block // self._cuts

    @property
    def memory_rows(self) -> int:
        """Rows of `width` numbers: what is kept for all weights, then one block's temporaries."""
        temporaries = math.ceil(MAX_TEMPORARIES * self.block / self.width)
        return V_KEPT * self.replicates + temporaries

    def shapes_of(self, kind: Kind) -> list[tuple[int, ...]]:
        """The shapes of a value of some kind, for each tensor."""
        return [shape_of(kind, shape) for shape in self.shapes]

    def pieces(self, kind: Kind) -> list[tuple[slice, tuple[int, ...]]]:
        """Where each tensor of some kind lies among flat numbers, and its shape."""
        shapes = self.shapes_of(kind)
        ends = list(accumulate(math.prod(shape) for shape in shapes))
        return [(slice(i, j), s) for i, j, s in zip([0, *ends], ends, shapes, strict=False)]

    @cached_property
    def stacks(self) -> tuple[Stack, ...]:
        """The tensors as few arrays."""
        return stacks_of(self.shapes)

    @cached_property
    def slack(self) -> int:
        """Numbers that writing a padded tensor needs behind the last."""
        return max(stack.slack for stack in self.stacks)

    def starts(self, kind: Kind) -> np.ndarray:
        """Where each tensor of some kind begins."""
        return np.array([part.start for part, _ in self.pieces(kind)], np.int32)

    def padded(self, register: Array) -> Array:
        """Numbers (R, n) filled up to the full width."""
        return jnp.pad(register, ((0, 0), (0, self.width - register.shape[1])))
