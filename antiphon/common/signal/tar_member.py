"""Recordings inside tar files, named by where their bytes lie: nothing but those bytes is read, and no index is searched."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import BinaryIO

_AT_ONCE = 1 << 20  # bytes: what is no larger is read with one request
_BUFFER = 1 << 16
_MEMBER = re.compile(r"(?P<archive>.+\.tar)::(?P<offset>\d+)\+(?P<size>\d+)::(?P<name>[^/\\]+)")


def member_path(archive: str | Path, *, offset: int, size: int, name: str) -> str:
    """The path of the `size` bytes that lie `offset` bytes into a tar file and are called `name` in it."""
    return f"{archive}::{offset}+{size}::{name}"


def archive_of(path: str) -> str | None:
    """The tar file that a `member_path` points into; None for the path of a file."""
    found = _MEMBER.fullmatch(path)
    return found["archive"] if found else None


def descriptor(path: str) -> tuple[int, int] | None:
    """A file descriptor that stands where a `member_path` begins, and the member's size in bytes; None for the path of a file.

    Raises:
        OSError: the tar file is missing.
    """
    found = _MEMBER.fullmatch(path)
    if found is None:
        return None
    number = os.open(found["archive"], os.O_RDONLY | getattr(os, "O_BINARY", 0))
    os.lseek(number, int(found["offset"]), os.SEEK_SET)
    return number, int(found["size"])


def open_member(path: str) -> BinaryIO | None:
    """What lies at a `member_path`, open for reading; None for the path of a file.

    Raises:
        OSError: the tar file is missing, or ends before.
    """
    found = _MEMBER.fullmatch(path)
    if found is None:
        return None
    stretch = _Stretch(found["archive"], int(found["offset"]), int(found["size"]))
    if int(found["size"]) > _AT_ONCE:
        return io.BufferedReader(stretch, _BUFFER)
    with stretch:
        return io.BytesIO(stretch.readall())


class _Stretch(io.RawIOBase):
    """A stretch of a file as a file of its own."""

    def __init__(self, archive: str, offset: int, size: int) -> None:
        self._file = open(archive, "rb", buffering=0)  # noqa: SIM115 (closed by close)
        self._offset, self._size, self._place = offset, size, 0
        if self._file.seek(0, io.SEEK_END) < offset + size:
            self._file.close()
            raise OSError(f"{archive} is cut off: it ends before byte {offset + size}")

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, as in any file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + place)
        return self._place

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer as far as there is something to read."""
        view = memoryview(buffer).cast("B")[: max(0, self._size - self._place)]
        self._file.seek(self._offset + self._place)
        count = self._file.readinto(view) or 0
        self._place += count
        return count

    def close(self) -> None:
        """Close the tar file."""
        self._file.close()
        super().close()
