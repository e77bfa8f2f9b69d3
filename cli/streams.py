"""Standard streams that fail in a sentence (output), or not at all (progress)."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

from ..dsl.errors import UserError


def wrap_streams() -> None:
    """Makes this process's stdout an `Output` and its stderr a `Progress`."""
    sys.stdout = cast(TextIO, Output(sys.stdout))
    sys.stderr = cast(TextIO, Progress(sys.stderr))


class _Stream:
    """Passes everything on to another stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _discard(self) -> None:
        """Sends what is still to come, and what is buffered, to /dev/null."""
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
            self._stream.flush()


class Output(_Stream):
    """Stdout. What cannot be written is the user's to know.

    Raises:
      UserError: there is no room.
      BrokenPipeError: nobody reads it any more.
    """

    def write(self, text: str) -> int:
        """Writes, or raises."""
        try:
            return self._stream.write(text)
        except OSError as error:
            raise self._failure(error) from error

    def flush(self) -> None:
        """Writes what is buffered, or raises."""
        try:
            self._stream.flush()
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> Exception:
        self._discard()
        if isinstance(error, BrokenPipeError):
            return error
        return UserError(f"cannot write the output: {error.strerror or error}")


class Progress(_Stream):
    """Stderr. Where nobody can read it any more (a terminal or a pipe that is gone), the work goes
    on in silence.
    """

    def write(self, text: str) -> int:
        """Writes what can be written."""
        try:
            return self._stream.write(text)
        except OSError:
            self._discard()
            return len(text)

    def flush(self) -> None:
        """Writes what is buffered, if that can be."""
        try:
            self._stream.flush()
        except OSError:
            self._discard()
