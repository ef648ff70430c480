"""Debian packages as archives: an `ar` of two tar files, control and data. Nothing is installed and no script in it is run."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

_MAGIC = b"!<arch>\n"
_HEADER = 60  # name 16, time 12, owner 6, group 6, mode 8, size 10, end mark 2


def ar_members(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the members of an `ar` archive, in order.

    Raises:
        ValueError: not an `ar` archive, or one that is cut off.
    """
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("not an ar archive")
    while header := file.read(_HEADER):
        if len(header) < _HEADER or header[58:] != b"`\n":
            raise ValueError("the ar archive is damaged")
        size = int(header[48:58])
        content = file.read(size)
        if len(content) < size:
            raise ValueError("the ar archive is cut off")
        yield header[:16].decode().rstrip(" /"), content
        file.read(size % 2)  # members begin at even places


def open_deb(path: Path, part: Literal["control", "data"]) -> tarfile.TarFile:
    """The tar archive in a .deb that holds its description ("control") or its files ("data").

    Raises:
        ValueError: not a Debian package, or one whose compression cannot be read here.
    """
    try:
        with path.open("rb") as file:
            name, content = next(member for member in ar_members(file) if member[0].startswith(f"{part}.tar"))
        if name.endswith(".zst") and sys.version_info < (3, 14):
            content = _uncompressed(path, part)
        return tarfile.open(fileobj=io.BytesIO(content))
    except (ValueError, StopIteration, tarfile.TarError) as error:
        raise ValueError(
            f"{path} is no readable Debian package ({str(error) or f'it has no {part}'}): download it again"
        ) from error


def _uncompressed(path: Path, part: str) -> bytes:
    """Zstandard, which Ubuntu uses, came to Python's tarfile with 3.14; such a machine has dpkg."""
    if shutil.which("dpkg-deb") is None:
        raise ValueError("zstd needs Python 3.14 or dpkg-deb")
    option = {"control": "--ctrl-tarfile", "data": "--fsys-tarfile"}[part]
    return subprocess.run(["dpkg-deb", option, str(path)], check=True, capture_output=True).stdout


def deb_version(path: Path) -> tuple[str, str]:
    """Name and version that a .deb states."""
    with open_deb(path, "control") as archive:
        control = next((member for member in archive if Path(member.name).name == "control"), None)
        file = None if control is None else archive.extractfile(control)
        lines = [] if file is None else file.read().decode().splitlines()
    fields = dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith(" "))
    if not {"Package", "Version"} <= fields.keys():
        raise ValueError(f"{path} is no readable Debian package (it states no name and version): download it again")
    return fields["Package"], fields["Version"]
