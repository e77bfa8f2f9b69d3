"""A lock that one process holds at a time, that says who holds it, and that its death frees.

It is the operating system's lock on a file, so a killed process leaves none behind, and where a
network folder's server keeps locks, as for NFS, it holds between machines. The file says who holds
it. It is removed at the end; one that a killed process left hinders nobody.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import gethostname

from ...dsl.errors import UserError

# Seconds between two tries to take a lock that is waited for.
_PAUSE = 0.02

# What this thread holds: how many times, by path.
_held = threading.local()


@contextmanager
def hold(path: Path, what: str, *, wait: float = 0.0) -> Iterator[None]:
    """Holds a lock. The thread that holds it may take it again.

    Args:
      path: of the file that is locked; created, and removed at the end.
      what: happens while it is held, for the refusal, as in "run 'first' is being searched".
      wait: seconds to wait for another process to free it.

    Raises:
      UserError: another process or thread holds it, which is named, or the file cannot be locked.
    """
    depths: dict[Path, int] = vars(_held).setdefault("depths", {})
    key = path.resolve()
    if key in depths:
        depths[key] += 1
        try:
            yield
        finally:
            depths[key] -= 1
        return
    handle = _take(path, what, wait)
    depths[key] = 1
    try:
        yield
    finally:
        del depths[key]
        # Before the lock is freed: whoever takes this file's lock then finds it gone, and makes
        # another; the other way round, a lock that was just taken could be removed.
        with suppress(OSError):
            if _is_at(handle, path):
                path.unlink()
        os.close(handle)


def _take(path: Path, what: str, wait: float) -> int:
    """A handle that holds the lock, and by it the name and host of this process in the file."""
    until = time.monotonic() + wait
    while True:
        try:
            # No link is followed: a folder of runs may be shared, and what the file held is lost.
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            handle = os.open(path, flags, 0o666)
        except OSError as error:
            raise UserError(f"cannot write to '{path.parent}': {error.strerror}") from None
        try:
            is_free = _lock(handle)
            if is_free and _is_at(handle, path):  # else its last owner has just removed it
                with suppress(OSError):  # on a full disk it is held without a name
                    os.ftruncate(handle, 0)
                    os.write(handle, f"{os.getpid()} {gethostname()}\n".encode())
                return handle
            owner = _owner(handle)
        except OSError as error:
            os.close(handle)
            raise UserError(
                f"cannot lock '{path}': {error.strerror}; runs must be kept in a folder"
                " where files can be locked"
            ) from None
        os.close(handle)
        if not is_free:
            if time.monotonic() >= until:
                raise UserError(f"{what} by {owner}; wait until it ends, or stop it")
            time.sleep(_PAUSE)


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file is the one that stands at the path, and not one that was removed."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _owner(handle: int) -> str:
    """Who holds the lock, as the file says, which is read as data that anyone may have written."""
    os.lseek(handle, 0, os.SEEK_SET)
    text = os.read(handle, 300).decode("ascii", "replace")
    found = re.fullmatch(r"([0-9]{1,20}) ([A-Za-z0-9._-]{1,255})\n", text)
    return f"process {found[1]} on {found[2]}" if found else "another process"


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> bool:
        # A byte far behind the text, because a locked one cannot be read.
        os.lseek(handle, 1 << 30, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        finally:
            os.lseek(handle, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _lock(handle: int) -> bool:
        """Takes the lock if it is free. Worker processes do not inherit the handle."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
