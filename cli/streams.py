"""Standard streams whose errors become a sentence (output), or are ignored (progress)."""

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
        """Redirects the stream, with what is buffered, to /dev/null."""
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
            self._stream.flush()


class Output(_Stream):
    """Stdout. Errors are reported to the user.

    Raises:
      UserError: the output cannot be written, as on a full disk.
      BrokenPipeError: the reader has exited.
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
    """Stderr. If its terminal or pipe is closed, the work continues without it."""

    def write(self, text: str) -> int:
        """Writes; errors are ignored."""
        try:
            return self._stream.write(text)
        except OSError:
            self._discard()
            return len(text)

    def flush(self) -> None:
        """Writes what is buffered; errors are ignored."""
        try:
            self._stream.flush()
        except OSError:
            self._discard()
