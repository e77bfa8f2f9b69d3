"""Terms: what a value is, as a shared, hashed expression.

Two variables that hold the same term hold the same number. A program of n statements has at most
n distinct terms, however large they would be when written out, so nothing here walks a term as a
tree without remembering what it has seen. Nor does anything recurse into a term, which may be as
deep as a program is long: `postorder` lists its parts, and a loop does the rest.

A search meets the same terms again and again, since a child differs from its parent in one place.
So terms are kept in a table and found there instead of being made and hashed anew.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from itertools import count
from typing import TypeVar, final

from ..primitives import PRIMITIVES

CONSTANT = "#"
SYMBOL = "$"

# Entries of a table of terms, after which it is emptied: some megabytes.
TABLE_SIZE = 4096

_COMMUTATIVE = frozenset(row.name for row in PRIMITIVES.values() if row.commutative)
_serial = count()

Key = TypeVar("Key")
Value = TypeVar("Value")


@final
class Term:
    """A constant, a symbol, or a primitive over terms. Immutable.

    Attributes:
      head: `CONSTANT`, `SYMBOL`, or the name of a primitive.
      args: the argument terms.
      value: a constant's number.
      name: a symbol's name.
      symbols: the names of all symbols in it.
      digest: 12 bytes; equal digests mean equal terms up to exchanging commuting arguments.
      serial: a number that no other object has. Unlike `digest` it tells x + y from y + x, and
        unlike `id` it is never used again.
    """

    __slots__ = ("args", "digest", "head", "name", "serial", "symbols", "value")

    def __init__(
        self,
        head: str,
        digest: bytes,
        args: tuple[Term, ...] = (),
        value: float = 0.0,
        name: str = "",
        symbols: frozenset[str] = frozenset(),
    ) -> None:
        self.head = head
        self.digest = digest
        self.args = args
        self.value = value
        self.name = name
        self.symbols = symbols
        self.serial = next(_serial)

    def __repr__(self) -> str:
        if self.head == CONSTANT:
            return str(self.value)
        if self.head == SYMBOL:
            return self.name
        # Written out it could be exponentially long.
        return f"{self.head}({', '.join('…' if arg.args else repr(arg) for arg in self.args)})"

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Term) and self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)

    def is_constant(self, value: float | None = None) -> bool:
        """Whether it is a constant (of this value, if one is given)."""
        return self.head == CONSTANT and (value is None or self.value == value)


def digest(data: bytes) -> bytes:
    """Twelve bytes that identify a byte string, the same in every process."""
    return blake2b(data, digest_size=12).digest()


def keep(table: dict[Key, Value], key: Key, value: Value) -> Value:
    """Puts a value into a table of bounded size and returns it.

    Tables only spare work: what is looked up again after they were emptied is computed again.
    """
    if len(table) >= TABLE_SIZE:
        table.clear()
    table[key] = value
    return value


_constants: dict[float, Term] = {}
_symbols: dict[str, Term] = {}
_calls: dict[tuple[object, ...], Term] = {}
_unions: dict[frozenset[str], frozenset[str]] = {}


def constant(value: float) -> Term:
    """The term of a number; minus zero counts as zero."""
    value = value + 0.0
    known = _constants.get(value)
    if known is not None:
        return known
    term = Term(CONSTANT, digest(b"#" + struct.pack("<d", value)), value=value)
    return keep(_constants, value, term)


def symbol(name: str) -> Term:
    """The term of an unknown."""
    known = _symbols.get(name)
    if known is not None:
        return known
    term = Term(SYMBOL, digest(b"$" + name.encode()), name=name, symbols=frozenset((name,)))
    return keep(_symbols, name, term)


def call(primitive: str, args: Sequence[Term]) -> Term:
    """The term of a primitive applied to terms, as it stands."""
    key = (primitive, *[arg.serial for arg in args])
    known = _calls.get(key)
    if known is not None:
        return known
    mark = call_digest(primitive, [arg.digest for arg in args])
    term = Term(primitive, mark, tuple(args), symbols=_union(args))
    return keep(_calls, key, term)


def call_digest(primitive: str, args: list[bytes]) -> bytes:
    """The digest of a primitive over arguments of some digests; sorts them if they commute."""
    if primitive in _COMMUTATIVE:
        args.sort()
    return digest(b"".join((primitive.encode(), b"(", *args)))


def _union(args: Sequence[Term]) -> frozenset[str]:
    """All symbols of some terms. Few sets are shared by many terms."""
    union: frozenset[str] = frozenset()
    for arg in args:
        if not arg.symbols <= union:
            union = arg.symbols if union <= arg.symbols else union | arg.symbols
    return _unions.get(union) or keep(_unions, union, union)


def postorder(
    roots: Iterable[Term], is_leaf: Callable[[Term], object] = lambda term: False
) -> list[Term]:
    """All terms under some roots, arguments before what uses them, each object once.

    Args:
      roots: themselves listed.
      is_leaf: whether nothing below a term is listed.
    """
    found: dict[int, Term] = {}
    stack = list(roots)[::-1]
    while stack:
        term = stack[-1]
        if term.serial not in found:
            missing = [] if is_leaf(term) else [a for a in term.args if a.serial not in found]
            if missing:
                stack += missing[::-1]
                continue
            found[term.serial] = term
        stack.pop()
    return list(found.values())
