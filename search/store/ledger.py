"""The ledger: a run's one database, SQLite.

It is cache, resume point, lineage and audit trail at once. One process writes; everyone else
opens it read-only. Proposals are rows before they are trained, results are idempotent upserts, so
that a run killed at any moment and resumed ends with the same content as one that was not.
Clock times live in the table `sessions` alone, which `content` leaves out. Nothing is pickled.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import astuple
from pathlib import Path
from typing import Any

from ...dsl.errors import UserError
from ...dsl.syntax import format_program
from . import database
from .database import Database
from .lock import hold
from .reader import COUNTS, HUNG, LedgerReader
from .records import Proposal

FILE = "ledger.sqlite"
APPLICATION_ID = 0x65766F70  # "evop", so that a foreign database is recognised
SCHEMA = 2

_SET_FACT = "insert or replace into facts values (?, ?)"

_TABLES = """
create table facts (key text primary key, value text not null);
create table candidates (
  ordinal integer primary key, parent integer, change text not null, program text not null,
  digest text not null, status text not null, reason text not null, twin integer, fitness real
);
create index candidates_digest on candidates (digest);
create table results (
  digest text, task text, version integer, fidelity text, path text, scores text not null,
  primary key (digest, task, version, fidelity, path)
);
create table sessions (id integer primary key, started real not null, seconds real not null);
"""


class Ledger(LedgerReader):
    """An open ledger, to be written as well. Use `create`, `open_to_write` or `open_to_read`."""

    def __init__(self, connection: Database, lock: ExitStack | None = None) -> None:
        """Takes a connection, and the lock that is held as long as it is open."""
        super().__init__(connection)
        self._lock = lock or ExitStack()
        self._session: int | None = None

    def close(self) -> None:
        """Closes the file, and lets others write."""
        with self._lock:
            self._db.close()

    def start_session(self) -> None:
        """Begins to count the time of this session."""
        with self._db:
            cursor = self._db.execute(
                "insert into sessions (started, seconds) values (?, 0)", [time.time()]
            )
        self._session = cursor.lastrowid

    def add_seconds(self, seconds: float) -> None:
        """Sets how long this session has searched."""
        with self._db:
            self._db.execute(
                "update sessions set seconds = ? where id = ?", [seconds, self._session]
            )

    def set_fact(self, key: str, value: Any) -> None:
        """Stores something about the run as JSON, replacing what was there."""
        self.set_facts({key: value})

    def set_facts(self, facts: Mapping[str, Any]) -> None:
        """Stores several, all or none."""
        with self._db:
            self._db.executemany(_SET_FACT, [(k, _dump(v)) for k, v in facts.items()])

    def note_hung(self, what: str, task: str) -> None:
        """Stores that workers hung at something on a task, which depends on the machine."""
        self.set_fact(HUNG, self.hung() | {what: task})

    def propose(self, proposals: Iterable[Proposal]) -> dict[int, float | None]:
        """Stores proposals before they are trained.

        Returns:
          By ordinal, the fitness of those that an earlier session stored; None if it did not get
          to train them.

        Raises:
          UserError: if the ledger holds something else under an ordinal, which means that it was
            written by a version of evoptax that searches differently.
        """
        earlier = {}
        with self._db:
            for p in proposals:
                row = (
                    *(p.ordinal, p.parent, p.change, format_program(p.program), p.digest),
                    *(p.status.value, p.reason, p.duplicate_of),
                )
                added = self._db.execute(
                    "insert or ignore into candidates values (?,?,?,?,?,?,?,?,null)", row
                )
                if added.rowcount:
                    continue
                stored = self.candidate(p.ordinal)
                assert stored is not None  # it stood in the way
                *written, fitness = astuple(stored)
                if tuple(written) != row:
                    raise UserError(
                        f"this run cannot be continued: candidate {p.ordinal} in its ledger is not"
                        " the one that this version of evoptax proposes; start a new run"
                    )
                earlier[p.ordinal] = fitness
        return earlier

    def record(self, results: Iterable[tuple[str, str, int, str, str, str]]) -> None:
        """Stores training results: digest, task, version, fidelity, path and scores of each.

        Storing one again changes nothing.
        """
        with self._db:
            self._db.executemany("insert or ignore into results values (?,?,?,?,?,?)", results)

    def commit_fitness(self, fitness: Mapping[int, float]) -> None:
        """Stores the fitness of candidates by ordinal."""
        with self._db:
            self._db.executemany(
                "update candidates set fitness = ? where ordinal = ?",
                [(value, ordinal) for ordinal, value in fitness.items()],
            )

    def rename_task(self, old: str, new: str, facts: Mapping[str, Any]) -> None:
        """Gives a task another name in all results, and stores facts that name it, all at once."""
        names = [f'"task": {json.dumps(name)}' for name in (old, new)]
        with self._db:
            self._db.execute(
                "update or replace results set task = ?, scores = replace(scores, ?, ?)"
                " where task = ?",
                [new, *names, old],
            )
            self._db.executemany(_SET_FACT, [(k, _dump(v)) for k, v in facts.items()])

    def keep_only(self, ordinals: Collection[int]) -> None:
        """Drops all candidates but these, all training results, and the room they took.

        The candidates are still counted.
        """
        self.set_fact(COUNTS, self.counts())
        with self._db:
            rows = self._db.execute("select ordinal from candidates").fetchall()
            dropped = [row for row in rows if row[0] not in ordinals]
            self._db.executemany("delete from candidates where ordinal = ?", dropped)
            self._db.execute("delete from results")
        self._db.execute("vacuum")


def create(path: Path, facts: Mapping[str, Any] | None = None) -> Ledger:
    """Creates a ledger that holds some facts alone.

    Raises:
      UserError: the file exists or cannot be written; then there is none.
    """
    head = f"pragma application_id = {APPLICATION_ID};pragma user_version = {SCHEMA};"
    rows = [(_SET_FACT, (key, _dump(value))) for key, value in (facts or {}).items()]
    tables = [(statement, ()) for statement in (head + _TABLES).split(";")[:-1]]
    return Ledger(database.create(path, [*tables, *rows]))


def open_to_write(path: Path) -> Ledger:
    """Opens a run's ledger to continue it, which one process does at a time.

    Raises:
      UserError: as `open_to_read` does, or another process has it open to write.
    """
    open_to_read(path).close()
    with ExitStack() as stack:
        stack.enter_context(writing(path))
        return Ledger(database.connect_to_write(path), stack.pop_all())


def writing(path: Path) -> AbstractContextManager[None]:
    """Keeps other processes from writing a ledger; this thread may open it to write meanwhile.

    Raises:
      UserError: another process has it open to write, which is named.
    """
    name = path.resolve().parent.name
    return hold(path.with_name(f"{path.name}-lock"), f"run '{name}' is being written")


def open_to_read(path: Path) -> Ledger:
    """Opens a ledger without ever changing it.

    Raises:
      UserError: the file is missing, unreadable, no SQLite database, or not a ledger of ours.
    """
    if not path.is_file():
        raise UserError(f"no ledger at '{path}'; a run folder holds {FILE}")
    connection = database.connect_to_read(path)
    try:
        application = connection.execute("pragma application_id").fetchone()[0]
        version = connection.execute("pragma user_version").fetchone()[0]
        if application != APPLICATION_ID:
            raise UserError(f"'{path}' is a database, but not a ledger of evoptax")
        if version != SCHEMA:
            raise UserError(
                f"'{path}' has ledger format {version}; this version of evoptax reads {SCHEMA}"
            )
    except UserError:
        connection.close()
        raise
    return Ledger(connection)


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def read_content(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The content of a ledger file; see `Ledger.content`."""
    with closing(open_to_read(path)) as ledger:
        return ledger.content()
