"""What a search has asked for and been told, as a value that grows cheaply.

A search state must stay valid after later states were made from it, and a run asks for hundreds of
thousands of candidates. Copying a dictionary for each batch would take time and memory that grow
with the run; so all states of a run share one append-only log, and each sees a prefix of it. Some
70 bytes per candidate, where dictionaries of Python objects take several hundred.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, replace

_EMPTY = -1
_LEAST_SLOTS = 64


class _Log:
    """Digests of candidates, and their trials, in the order in which they came.

    Attributes:
      keys, named: a digest's key, and the candidate that it belongs to; found through `slots`, an
        open-addressing hash table of a power of two of places, at most four fifths in use.
      tried, ordinals, before: of each trial its candidate, its proposal, and the candidate's trial
        before it, or -1.
      fitness: of each trial that was told, its candidate's fitness after it.
      last: of each candidate, its latest trial in the whole log.
    """

    __slots__ = ("before", "fitness", "keys", "last", "named", "ordinals", "slots", "tried")

    def __init__(self) -> None:
        self.keys = array("Q")
        self.named = array("I")
        self.tried = array("I")
        self.ordinals = array("I")
        self.before = array("i")
        self.fitness = array("d")
        self.last = array("i")
        self.slots = array("i", [_EMPTY]) * _LEAST_SLOTS

    def find(self, key: int) -> int:
        """The place of a key, or -1."""
        return self.slots[self._slot(key)]

    def add_key(self, key: int, candidate: int) -> None:
        if 5 * (len(self.keys) + 1) > 4 * len(self.slots):
            self._rehash(2 * len(self.slots))
        self.slots[self._slot(key)] = len(self.keys)
        self.keys.append(key)
        self.named.append(candidate)

    def add_trial(self, candidate: int, ordinal: int) -> None:
        if candidate == len(self.last):
            self.last.append(_EMPTY)
        self.before.append(self.last[candidate])
        self.last[candidate] = len(self.tried)
        self.tried.append(candidate)
        self.ordinals.append(ordinal)

    def _slot(self, key: int) -> int:
        """Where the key is, or would go. Keys are hashes already."""
        slots, keys, mask = self.slots, self.keys, len(self.slots) - 1
        slot = key & mask
        while (place := slots[slot]) != _EMPTY and keys[place] != key:
            slot = (slot + 1) & mask
        return slot

    def _rehash(self, count: int) -> None:
        self.slots = array("i", [_EMPTY]) * count
        for place, key in enumerate(self.keys):
            self.slots[self._slot(key)] = place


def _key(digest: str) -> int:
    """The first eight bytes of a digest, by which one run in 10^7 confuses two of a million."""
    return int(digest[:16], 16)


@dataclass(frozen=True, slots=True)
class History:
    """The candidates that one state has asked for, and the fitness of those told.

    A candidate is a number, from 0. It may have several digests, by which it is found, and several
    trials, each of which is a proposal that was trained. Trials are told in the order in which
    they were asked for. A candidate's fitness is the mean over its trials and over what was
    expected of it, its parent's fitness, which counts as one trial more.

    Attributes:
      keys: number of digests. candidates: number of candidates.
      asked: number of trials. told: number of those whose fitness is known.
    """

    _log: _Log
    keys: int = 0
    candidates: int = 0
    asked: int = 0
    told: int = 0

    def candidate(self, digest: str) -> int | None:
        """The candidate of this digest, or None."""
        place = self._log.find(_key(digest))
        return self._log.named[place] if 0 <= place < self.keys else None

    def first_ordinal(self, candidate: int) -> int:
        """The proposal that was a candidate's first trial."""
        trial = self._log.last[candidate]
        while (before := self._log.before[trial]) != _EMPTY:
            trial = before
        return self._log.ordinals[trial]

    def last_ordinal(self, candidate: int) -> int:
        """The proposal that is a candidate's latest trial."""
        return self._log.ordinals[self._last(candidate, self.asked)]

    def fitness(self, candidate: int) -> float:
        """A candidate's fitness by its trials so far. Raises KeyError when none was told."""
        trial = self._last(candidate, self.told)
        if trial == _EMPTY:
            raise KeyError(candidate)
        return self._log.fitness[trial]

    def tries(self, candidate: int) -> int:
        """How many of a candidate's trials were told."""
        trial, count = self._last(candidate, self.told), 0
        while trial != _EMPTY:
            trial, count = self._log.before[trial], count + 1
        return count

    def is_proven(self, candidate: int) -> bool:
        """Whether a candidate was tried more than once: the fittest of the others are lucky."""
        return self.tries(candidate) > 1

    def is_told(self, candidate: int) -> bool:
        """Whether every trial of a candidate was told."""
        return self._last(candidate, self.asked) == self._last(candidate, self.told)

    def with_candidate(self, digest: str, ordinal: int) -> History:
        """One more candidate, of a digest that is not here yet, and its first trial."""
        candidate = self.candidates
        named = replace(self.with_digest(digest, candidate), candidates=candidate + 1)
        return named.with_trial(candidate, ordinal)

    def with_digest(self, digest: str, candidate: int) -> History:
        """One more digest, which is not here yet, of a candidate."""
        log, key = self._log, _key(digest)
        # Where another state has grown from this one and did the same, the log is shared still.
        further = self.keys < len(log.keys)
        if further and (log.keys[self.keys], log.named[self.keys]) != (key, candidate):
            log = self._copied()
        if self.keys == len(log.keys):
            log.add_key(key, candidate)
        return replace(self, _log=log, keys=self.keys + 1)

    def with_trial(self, candidate: int, ordinal: int) -> History:
        """One more trial of a candidate."""
        log, asked = self._log, self.asked
        further = asked < len(log.tried)
        if further and (log.tried[asked], log.ordinals[asked]) != (candidate, ordinal):
            log = self._copied()
        if asked == len(log.tried):
            log.add_trial(candidate, ordinal)
        return replace(self, _log=log, asked=asked + 1)

    def with_fitness(self, value: float, expected: float = math.nan) -> History:
        """What came out of the trial that has waited longest.

        Args:
          value: lower is better; NaN counts as infinity.
          expected: of the candidate, if this is its first trial; NaN or infinite if nothing was.
        """
        log, told = self._log, self.told
        if told == self.asked:
            raise ValueError("every trial asked for has a fitness already")
        mean = math.inf if math.isnan(value) else value
        candidate = log.tried[told]
        count = self.tries(candidate)
        earlier = self.fitness(candidate) if count else expected
        if math.isfinite(earlier):
            mean = earlier + (mean - earlier) / (count + 2)
        elif count:
            mean = earlier  # who diverged once has diverged
        if told < len(log.fitness) and log.fitness[told] != mean:
            log = self._copied()
        if told == len(log.fitness):
            log.fitness.append(mean)
        return replace(self, _log=log, told=told + 1)

    def _last(self, candidate: int, trials: int) -> int:
        """The latest of a candidate's trials among the first so many, or -1."""
        trial = self._log.last[candidate]
        while trial >= trials:
            trial = self._log.before[trial]
        return trial

    def _copied(self) -> _Log:
        """The part of the log that this state sees."""
        log, copy = self._log, _Log()
        for key, candidate in zip(log.keys[: self.keys], log.named, strict=False):
            copy.add_key(key, candidate)
        for candidate, ordinal in zip(log.tried[: self.asked], log.ordinals, strict=False):
            copy.add_trial(candidate, ordinal)
        copy.fitness = log.fitness[: self.told]
        return copy


def empty_history() -> History:
    """Nothing asked for yet."""
    return History(_Log())
