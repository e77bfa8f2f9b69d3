"""What a ledger holds, read and checked: facts, candidates, training results and counts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ...dsl.errors import UserError
from ...dsl.program import Program
from ...dsl.syntax import parse
from . import database
from .database import Database
from .plain import Mismatch, from_json, shown, structured
from .records import MOST_TEXT, SELECT, Candidate, Status, candidate_of

# The fact that says at what workers hung.
HUNG = "hung"
# The fact that says how many candidates there were, where not all are kept.
COUNTS = "counts"


class LedgerReader:
    """An open ledger, of which each column is checked as it is read.

    Whatever goes wrong with its file, or stands in it that no run has written, is a UserError.
    """

    def __init__(self, connection: Database) -> None:
        """Takes a connection, which whoever opened it closes."""
        self._db = connection

    def copy_to(self, path: Path) -> None:
        """Copies the whole ledger to a new file. Raises UserError if it cannot be written."""
        with closing(database.create(path, ())) as copy:
            self._db.backup(copy)

    def damaged(self, what: str) -> UserError:
        """The error that says that this ledger holds what no run has written."""
        return database.damaged(self._db.path, what)

    def _rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows that a query gives. All reading goes through here."""
        yield from self._db.execute(query, values)

    def _candidates(self, rest: str = "", values: Sequence[Any] = ()) -> Iterator[Candidate]:
        """Candidates, each column being checked."""
        for row in self._rows(f"{SELECT} {rest}", values):
            try:
                yield candidate_of(row)
            except Mismatch as error:
                raise self.damaged(str(error)) from None

    def fact(self, key: str, default: Any = None) -> Any:
        """Something stored about the run, as plain data; `fact_as` checks what it is made of."""
        found = [*self._rows("select value from facts where key = ?", [key])]
        if not found:
            return default
        try:
            return from_json(found[0][0])
        except Mismatch as error:
            raise self.damaged(f"fact '{key}': {error}") from None

    def fact_as(self, key: str, kind: Any, default: Any = None) -> Any:
        """Something stored about the run, as a value of a type; see `plain.structured`.

        Raises:
          UserError: something else is stored.
        """
        stored = self.fact(key)
        if stored is None:
            return default
        try:
            return structured(stored, kind)
        except Mismatch as error:
            raise self.damaged(f"fact '{key}': {error}") from None

    def program(self, text: str, whose: str) -> Program:
        """A program that this ledger holds.

        Raises:
          UserError: the text is none; `whose` says where it stands, as in "candidate 5".
        """
        try:
            if len(text) > MOST_TEXT:
                raise UserError(f"it is longer than {MOST_TEXT:,} characters")
            return parse(text)
        except UserError as error:
            raise self.damaged(f"the program of {whose} cannot be read, {error}") from None

    def check_ordinals(self, ordinals: Iterable[int], where: str) -> None:
        """Raises UserError where one of these is no candidate."""
        for ordinal in ordinals:
            if not [*self._rows("select 1 from candidates where ordinal = ?", [ordinal])]:
                raise self.damaged(f"{where} names candidate {ordinal}, which is not there")

    def hung(self) -> dict[str, str]:
        """What workers hung at, with the task."""
        found: dict[str, str] = self.fact_as(HUNG, Mapping[str, str], {})
        return found

    @property
    def is_trimmed(self) -> bool:
        """Whether `keep_only` has dropped candidates."""
        return self.fact(COUNTS) is not None

    def seconds(self) -> float:
        """How long the run has searched, over all sessions."""
        total = 0.0
        for (seconds,) in self._rows("select seconds from sessions"):
            if not isinstance(seconds, float) or not 0 <= seconds < math.inf:
                raise self.damaged(f"a session took {shown(seconds)} seconds")
            total += seconds
        return total

    def result(self, digest: str, task: str, version: int, fidelity: str, path: str) -> str | None:
        """A stored training result."""
        from ...evaluators.scores.scoring import TaskScore  # NumPy, which only who trains needs

        query = (
            "select scores from results where"
            " digest = ? and task = ? and version = ? and fidelity = ? and path = ?"
        )
        found = [*self._rows(query, [digest, task, version, fidelity, path])]
        if not found:
            return None
        scores: str = found[0][0]
        try:
            structured(from_json(scores), TaskScore)
        except Mismatch as error:
            raise self.damaged(f"a result on {shown(task)}: {error}") from None
        return scores

    def candidates(self) -> Iterator[Candidate]:
        """All candidates by ordinal; parents come before their children."""
        seen: set[int | None] = {None}
        for candidate in self._candidates("order by ordinal"):
            if candidate.parent not in seen:
                raise self.damaged(
                    f"the parent of candidate {candidate.ordinal} is {candidate.parent}, which is"
                    " not there"
                )
            seen.add(candidate.ordinal)
            yield candidate

    def results(self) -> Iterator[tuple[str, str, str, str, str]]:
        """All training results: digest, task, fidelity, path and scores of each."""
        for row in self._rows("select digest, task, fidelity, path, scores from results"):
            if not all(isinstance(text, str) for text in row):
                raise self.damaged("a result holds something else than text")
            digest, task, fidelity, path, scores = row
            yield digest, task, fidelity, path, scores

    def best_new(self) -> Iterator[Candidate]:
        """Those that were trained and did not diverge, the fittest first."""
        return self._candidates(
            "where status = 'new' and fitness < 9e999 order by fitness, ordinal"
        )

    def candidate(self, ordinal: int) -> Candidate | None:
        """One candidate."""
        found = [*self._candidates("where ordinal = ?", [ordinal])]
        return found[0] if found else None

    def best_fitness(self) -> float | None:
        """The lowest fitness so far; None before anything was trained."""
        query = "select min(fitness), max(typeof(fitness) not in ('real', 'null')) from candidates"
        ((best, wrong),) = self._rows(query)
        if wrong:
            raise self.damaged("the fitness of a candidate is no number")
        return best

    def counts(self) -> dict[str, int]:
        """Number of candidates by status."""
        counted: dict[str, int] | None = self.fact_as(COUNTS, Mapping[str, int])
        if counted is None:
            counted = dict(self._rows("select status, count(*) from candidates group by status"))
        known = dict.fromkeys((s.value for s in Status), 0)
        if unknown := counted.keys() - known:
            raise self.damaged(f"the status of a candidate is {shown(next(iter(unknown)))}")
        return known | counted

    def content(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything but clock times, in a fixed order; equal for equal runs."""
        tables = {
            "facts": "key",
            "candidates": "ordinal",
            "results": "digest, task, path, fidelity",
        }
        return {
            table: [*self._rows(f"select * from {table} order by {order}")]
            for table, order in tables.items()
        }
