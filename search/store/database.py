"""Connections to a run's SQLite file: how it is opened, left, and what its errors say."""

from __future__ import annotations

import functools
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from ...dsl.errors import UserError

Result = TypeVar("Result")

# Seconds that another process may keep the file to itself, as while it is opened to be written.
_PATIENCE = 30.0
# So often, with so many seconds between, the log is tried to be merged at the end.
_TRIES, _PAUSE = 20, 0.05
# Bytes that writing needs at least: the index of the log takes 32 kB.
_LEAST_ROOM = 65536
# What SQLite says of a file that is no database of ours (any more); all else is not its contents.
_DAMAGE = (
    *(sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT),
    *(sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA),
)


def _in_sentences(method: Callable[..., Result]) -> Callable[..., Result]:
    """A method of a connection or a cursor whose SQLite errors are UserErrors."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **options: Any) -> Result:
        try:
            return method(self, *args, **options)
        except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
            raise  # a mistake in our code
        except sqlite3.Error as error:
            database = self if isinstance(self, Database) else self.connection
            raise database.sentence(error) from None

    return call


class _Cursor(sqlite3.Cursor):
    execute = _in_sentences(sqlite3.Cursor.execute)
    executemany = _in_sentences(sqlite3.Cursor.executemany)
    fetchone = _in_sentences(sqlite3.Cursor.fetchone)
    fetchall = _in_sentences(sqlite3.Cursor.fetchall)
    __next__ = _in_sentences(sqlite3.Cursor.__next__)


class Database(sqlite3.Connection):
    """A connection whose errors are UserErrors. Use `create`, `connect_to_write` or
    `connect_to_read`.

    Attributes:
      path: of the file.
      writes: whether it may change it.
      file: what stood there when it was opened; None for a new one.
    """

    path: Path
    writes = False
    file: os.stat_result | None = None

    backup = _in_sentences(sqlite3.Connection.backup)

    def cursor(self, *_: Any) -> _Cursor:  # type: ignore[override]
        """A cursor whose errors are UserErrors too."""
        return super().cursor(_Cursor)

    def execute(self, *statement: Any) -> _Cursor:
        """Of such a cursor: SQLite's own makes one that is not."""
        return self.cursor().execute(*statement)

    def executemany(self, *statement: Any) -> _Cursor:
        """Of such a cursor."""
        return self.cursor().executemany(*statement)

    def __exit__(self, *error: Any) -> Any:
        """Commits, or takes back what was done if there was an error, or if the file is gone."""
        if error[0] is None and not self._is_in_place():
            self.rollback()
            raise UserError(
                f"'{self.path}' was deleted or replaced while it was being written;"
                " nothing more can be stored in it"
            )
        return _in_sentences(sqlite3.Connection.__exit__)(self, *error)

    def _is_in_place(self) -> bool:
        # SQLite goes on writing to a file that was deleted, for nobody.
        try:
            return self.file is None or os.path.samestat(os.stat(self.path), self.file)
        except OSError:
            return False

    def close(self) -> None:
        """Closes the file; what was written is left as one file, as far as nobody reads it now."""
        if self.writes:
            self._merge_log()
        super().close()

    def _merge_log(self) -> None:
        """Puts what stands in the log beside the file into it, and removes the log."""
        for _ in range(_TRIES):
            try:
                sqlite3.Cursor(self).execute("pragma journal_mode = delete")
            except sqlite3.Error as error:
                if _kind(error) != sqlite3.SQLITE_BUSY:
                    return  # the disk is full, or the file gone: the log stays, which loses nothing
                time.sleep(_PAUSE)
            else:
                return

    def sentence(self, error: sqlite3.Error) -> UserError:
        """What an error of SQLite is to the user."""
        return _sentence(self.path, error, writes=self.writes)


def create(path: Path, statements: Iterable[tuple[str, Sequence[Any]]]) -> Database:
    """A new file, made by some statements and their values, all or nothing.

    Raises:
      UserError: it exists, or cannot be written.
    """
    if path.exists():
        raise UserError(f"'{path}' exists already")
    connection = _connected(path, f"{_uri(path)}?mode=rwc", writes=True)
    try:
        with connection:
            connection.execute("begin")
            for statement, values in statements:
                connection.execute(statement, values)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_write(path: Path) -> Database:
    """An existing file, which others may read meanwhile. Raises UserError if it cannot be opened.

    One thread writes; worker processes hand their numbers to it.
    """
    connection = _connected(path, f"{_uri(path)}?mode=rw", writes=True)
    try:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        connection.file = os.stat(path)
    except OSError as error:
        connection.close()
        raise UserError(f"cannot write '{path}': {error.strerror}") from None
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(path: Path) -> Database:
    """An existing file, which is not changed. Raises UserError if it cannot be read."""
    try:
        return _readable(path, "")
    except sqlite3.Error as error:
        # Where nothing can be written SQLite cannot read a file that was last written with a log,
        # even if the log is empty, unless it is told that nobody writes.
        needs_writing = _kind(error) in (
            *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR),
        )
        if not needs_writing:
            raise _sentence(path, error, writes=False) from None
        for log in (path.with_name(path.name + end) for end in ("-wal", "-journal")):
            if log.exists() and log.stat().st_size:
                raise UserError(
                    f"cannot read '{path}': part of it is still in '{log.name}', which can be read"
                    f" only where files can be written; copy the folder to such a place"
                ) from None
    try:
        return _readable(path, "&immutable=1")
    except sqlite3.Error as error:
        raise _sentence(path, error, writes=False) from None


def _readable(path: Path, option: str) -> Database:
    """A connection that has read something, which shows whether it can."""
    connection = _connected(path, f"{_uri(path)}?mode=ro{option}", writes=False)
    try:
        sqlite3.Cursor(connection).execute("select count(*) from sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _connected(path: Path, name: str, *, writes: bool) -> Database:
    try:
        connection = sqlite3.connect(name, uri=True, timeout=_PATIENCE, factory=Database)
    except sqlite3.Error as error:
        raise _sentence(path, error, writes=writes) from None
    connection.path, connection.writes = path, writes
    return connection


def _uri(path: Path) -> str:
    return f"file:{quote(str(path))}"


def _kind(error: sqlite3.Error) -> int:
    """SQLite's primary result code."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _is_full(path: Path, error: sqlite3.Error) -> bool:
    # What does not fit into the index of the log is called an input or output error.
    if _kind(error) != sqlite3.SQLITE_IOERR:
        return _kind(error) == sqlite3.SQLITE_FULL
    try:
        return shutil.disk_usage(path.parent).free < _LEAST_ROOM
    except OSError:
        return False


def damaged(path: Path, what: str) -> UserError:
    """The error that says that a ledger holds what no run has written."""
    return UserError(
        f"the ledger of run '{path.absolute().parent.name}' is damaged: {what}; restore it from a"
        " copy, or start a new run"
    )


def _sentence(path: Path, error: sqlite3.Error, *, writes: bool) -> UserError:
    if _is_full(path, error):
        return UserError(
            f"cannot write '{path}': the disk is full; what was stored before is kept, and"
            f" `evoptax resume {path.parent.name}` goes on from there once there is room"
        )
    if getattr(error, "sqlite_errorcode", None) is None:
        # Text that is no UTF-8 has no code, and all of the text in its message; so may an error of
        # SQLite's own that quotes it.
        return damaged(path, "it holds text that is not UTF-8")
    if _kind(error) in _DAMAGE:
        return damaged(path, str(error))
    return UserError(f"cannot {'write' if writes else 'read'} '{path}' as a ledger: {error}")
