"""What a search has asked for and been told, as a value that grows cheaply.

A search state must stay valid after later states were made from it, and a run asks for hundreds of
thousands of candidates. Copying a dictionary for each batch would take time and memory that grow
with the run; so all states of a run share one append-only log, and each sees a prefix of it. About
25 bytes per candidate, where a dictionary of Python objects takes 200.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass

_EMPTY = -1
_LEAST_SLOTS = 64


class _Log:
    """Candidates in the order asked for, found by key; an open-addressing hash table.

    Attributes:
      keys, ordinals: of each candidate. fitness: of the first of them, in the same order.
      slots: a power of two of candidate indices, or -1; at most four fifths are in use.
    """

    __slots__ = ("fitness", "keys", "ordinals", "slots")

    def __init__(self, keys: array[int], ordinals: array[int], fitness: array[float]) -> None:
        self.keys = keys
        self.ordinals = ordinals
        self.fitness = fitness
        slots = _LEAST_SLOTS
        while 5 * len(keys) > 4 * slots:
            slots *= 2
        self._rehash(slots)

    def find(self, key: int) -> int:
        """The index of a candidate, or -1."""
        return self.slots[self._slot(key)]

    def append(self, key: int, ordinal: int) -> None:
        if 5 * (len(self.keys) + 1) > 4 * len(self.slots):
            self._rehash(2 * len(self.slots))
        self.slots[self._slot(key)] = len(self.keys)
        self.keys.append(key)
        self.ordinals.append(ordinal)

    def _slot(self, key: int) -> int:
        """Where the key is, or would go. Keys are hashes already."""
        slots, keys, mask = self.slots, self.keys, len(self.slots) - 1
        slot = key & mask
        while (index := slots[slot]) != _EMPTY and keys[index] != key:
            slot = (slot + 1) & mask
        return slot

    def _rehash(self, count: int) -> None:
        self.slots = array("i", [_EMPTY]) * count
        for index, key in enumerate(self.keys):
            self.slots[self._slot(key)] = index


def _key(digest: str) -> int:
    """The first eight bytes of a digest, by which one run in 10^7 confuses two of a million."""
    return int(digest[:16], 16)


@dataclass(frozen=True, slots=True)
class History:
    """The candidates that one state has asked for, and the fitness of those told.

    Fitness is told in the order in which candidates were asked for.

    Attributes:
      asked: number of distinct candidates. told: number of those whose fitness is known.
    """

    _log: _Log
    asked: int = 0
    told: int = 0

    def ordinal(self, digest: str) -> int | None:
        """The proposal that first had this digest, or None."""
        index = self._index(digest)
        return None if index is None else self._log.ordinals[index]

    def fitness(self, digest: str) -> float:
        """The fitness told for a digest. Raises KeyError when none was."""
        index = self._index(digest)
        if index is None or index >= self.told:
            raise KeyError(digest)
        return self._log.fitness[index]

    def with_candidate(self, digest: str, ordinal: int) -> History:
        """One more candidate, of a digest that is not here yet."""
        log, key = self._log, _key(digest)
        # Where another state has grown from this one and did the same, the log is shared still.
        further = self.asked < len(log.ordinals)
        if further and (log.keys[self.asked], log.ordinals[self.asked]) != (key, ordinal):
            log = self._copied()
        if self.asked == len(log.ordinals):
            log.append(key, ordinal)
        return History(log, self.asked + 1, self.told)

    def with_fitness(self, value: float) -> History:
        """The fitness of the candidate that has waited longest; NaN counts as infinity."""
        log, value = self._log, math.inf if math.isnan(value) else value
        if self.told == self.asked:
            raise ValueError("every candidate asked for has a fitness already")
        if self.told < len(log.fitness) and log.fitness[self.told] != value:
            log = self._copied()
        if self.told == len(log.fitness):
            log.fitness.append(value)
        return History(log, self.asked, self.told + 1)

    def _index(self, digest: str) -> int | None:
        index = self._log.find(_key(digest))
        return index if 0 <= index < self.asked else None

    def _copied(self) -> _Log:
        log = self._log
        keys, ordinals = log.keys[: self.asked], log.ordinals[: self.asked]
        return _Log(keys, ordinals, log.fitness[: self.told])


def empty_history() -> History:
    """Nothing asked for yet."""
    return History(_Log(array("Q"), array("I"), array("d")))
