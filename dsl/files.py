"""Files that are whole or absent, and text that a terminal cannot be tricked by."""

from __future__ import annotations

import os
import secrets
import unicodedata
from contextlib import suppress
from pathlib import Path

from .errors import UserError

# A file until it is whole and takes its name.
_BESIDE = ".evoptax-{}.tmp"
# What turns the direction of writing, ends a line, or is refused by XML.
_TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_HIDDEN = frozenset(f"{_TURNS}\u2028\u2029\ufffe\uffff")


def replace_text(path: Path, text: str) -> None:
    """Writes text in UTF-8 as `replace_bytes` does."""
    replace_bytes(path, text.encode("utf-8"))


def replace_bytes(path: Path, content: bytes) -> None:
    """Writes a file beside its place and renames it: whoever reads meets the old one or the new.

    A symbolic link stays one, and what is not a plain file (/dev/stdout, a pipe) is written to as
    it is. Where the folder takes no further file but the file can be written, it is overwritten.

    Raises:
      UserError: the file cannot be written; what was there is still there, and nothing beside it.
    """
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():
            with open(path, "wb") as device:
                device.write(content)
            return
        _replace(target, content)
    except OSError as error:
        raise UserError(f"cannot write '{path}': {error.strerror or error}") from None


def remove_abandoned(folder: Path) -> None:
    """Removes what a process that was killed in `replace_bytes` left; where no other writes."""
    for path in folder.glob(_BESIDE.format("*")):
        with suppress(OSError):
            path.unlink()


def _replace(target: Path, content: bytes) -> None:
    beside = target.parent / _BESIDE.format(secrets.token_hex(8))
    try:
        handle = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except PermissionError:
        if not target.exists():
            raise
        target.write_bytes(content)
        return
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            beside.chmod(target.stat().st_mode & 0o777)
        os.replace(beside, target)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def printable(text: str) -> str:
    r"""Text for a terminal: control characters and lone surrogates are written as `\x1b`.

    Line feed and tab stay. What comes from a program, a name, a file or an error goes through this.
    """
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" or not _is_control(c) else _escaped(c) for c in text)


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs") or character in _HIDDEN


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
