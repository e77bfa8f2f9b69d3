"""NumPy archives (.npz) from anywhere: plain arrays, and no more memory than the file accounts for.

NumPy allocates what an array's header claims before it reads it, so the headers come first here.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from ....dsl.errors import UserError

Array = np.ndarray[Any, Any]

# Bytes of all arrays together in float64, as which they are read: a thousand steps of 80,000
# weights with their gradients and updates.
MOST_BYTES = 2 * 1024**3
# No stream of deflate is longer when it is unpacked, by its format.
_MOST_PACKED = 1032
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_archive(path: Path | str) -> dict[str, Array]:
    """The arrays of a file by name.

    Raises:
      UserError: the file cannot be read, is no archive of plain arrays, or claims to hold more than
        `MOST_BYTES` or than it can.
    """
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise UserError(f"cannot read traces '{path}': it is no file")
        with open(path, "rb") as file:
            if file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX:
                raise UserError(f"'{path}' holds one array; a file of traces is an .npz archive")
            with zipfile.ZipFile(file) as archive:
                return _read(path, archive)
    except OSError as error:
        reason = error.strerror or "it is no NumPy archive"
        raise UserError(f"cannot read traces '{path}': {reason}") from None
    except (ValueError, EOFError, zipfile.BadZipFile, NotImplementedError, zlib.error):
        raise UserError(
            f"cannot read traces '{path}': it is no NumPy archive (.npz) of plain arrays"
        ) from None


def _read(path: Path | str, archive: zipfile.ZipFile) -> dict[str, Array]:
    keys = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    claimed = 0
    for key, info in keys.items():
        claimed += _claimed(path, key, archive, info)
        if claimed > MOST_BYTES:
            raise UserError(
                f"'{path}': its arrays take {claimed:,} bytes as far as '{key}'; accepted:"
                f" {MOST_BYTES:,} in all"
            )
    found = {}
    for key, info in keys.items():
        with archive.open(info) as member:
            try:
                found[key] = np.lib.format.read_array(member, allow_pickle=False)
            except (ValueError, EOFError, zipfile.BadZipFile, zlib.error):
                raise _refusal(path, key) from None
    return found


def _claimed(path: Path | str, key: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """The bytes that an array takes in float64. What its header claims is what follows it."""
    if info.flag_bits & 1 or info.compress_type not in _PACKED:
        raise _refusal(path, key)
    with archive.open(info) as member:
        shape, dtype = _header(path, key, member)
        left = info.file_size - member.tell()
    claimed = math.prod(shape) * dtype.itemsize
    unpacked = info.compress_size * _MOST_PACKED
    if dtype.hasobject or min(shape, default=0) < 0:
        raise _refusal(path, key)
    if claimed != left or info.file_size > unpacked:
        raise UserError(
            f"'{path}': array '{key}' claims {claimed:,} bytes, and the file holds"
            f" {min(left, unpacked):,} of it"
        )
    return math.prod(shape) * max(dtype.itemsize, 8)


def _header(path: Path | str, key: str, member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    try:
        read = _HEADERS[np.lib.format.read_magic(member)]
        shape, _, dtype = read(member)
    except Exception:  # whatever NumPy makes of a header that it has not written
        raise _refusal(path, key) from None
    return shape, dtype


def _refusal(path: Path | str, key: str) -> UserError:
    return UserError(
        f"'{path}': array '{key}' holds Python objects or is damaged; accepted: arrays of real"
        " numbers"
    )
