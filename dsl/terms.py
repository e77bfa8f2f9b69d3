"""Terms: what a value is, as a shared, hashed expression.

Two variables that hold the same term hold the same number. A program of n statements has at most
n distinct terms, however large they would be when written out, so nothing here walks a term as a
tree without remembering what it has seen.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from .primitives import PRIMITIVES

CONSTANT = "#"
SYMBOL = "$"


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A constant, a symbol, or a primitive over terms.

    Attributes:
      head: `CONSTANT`, `SYMBOL`, or the name of a primitive.
      args: the argument terms.
      value: a constant's number.
      name: a symbol's name.
      digest: 12 bytes; equal digests mean equal terms up to exchanging commuting arguments.
    """

    head: str
    digest: bytes
    args: tuple[Term, ...] = ()
    value: float = 0.0
    name: str = ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Term) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def is_constant(self, value: float | None = None) -> bool:
        """Whether it is a constant (of this value, if one is given)."""
        return self.head == CONSTANT and (value is None or self.value == value)


def digest(*parts: bytes) -> bytes:
    """Twelve bytes that identify a sequence of byte strings of at most 65,535 bytes each."""
    hasher = blake2b(digest_size=12)
    for part in parts:
        hasher.update(len(part).to_bytes(2, "little"))
        hasher.update(part)
    return hasher.digest()


def constant(value: float) -> Term:
    """The term of a number; minus zero counts as zero."""
    value = value + 0.0
    return Term(CONSTANT, digest(b"#", struct.pack("<d", value)), value=value)


def symbol(name: str, identity: bytes | None = None) -> Term:
    """The term of an unknown. Symbols of the same identity (by default, name) are equal."""
    return Term(SYMBOL, digest(b"$", identity or name.encode()), name=name)


def call(primitive: str, args: Sequence[Term]) -> Term:
    """The term of a primitive applied to terms, as it stands."""
    parts = [arg.digest for arg in args]
    if PRIMITIVES[primitive].commutative:
        parts.sort()
    return Term(primitive, digest(primitive.encode(), *parts), tuple(args))
