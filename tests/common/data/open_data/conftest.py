"""Packages made on the spot: a Debian package is an `ar` of two tar files."""

from __future__ import annotations

import functools
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile


def _tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def ar(members: dict[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, content in members.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode() + content + b"\n" * (len(content) % 2)
    return out


def deb(package: str, version: str, files: dict[str, bytes]) -> bytes:
    control = f"Package: {package}\nVersion: {version}\nDescription: some sounds\n and: more of them\n".encode()
    members = {"debian-binary": b"2.0\n", "control.tar.xz": _tar({"./control": control}), "data.tar.xz": _tar(files)}
    return ar(members)


@functools.cache  # libsndfile writes a random serial number
def ogg(seconds: float = 0.1, rate: int = 8000) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, 0.1 * np.sin(np.arange(int(seconds * rate)) / 5), rate, format="OGG")
    return out.getvalue()


@pytest.fixture
def recording() -> bytes:
    """An Ogg file of 0.1 s."""
    return ogg()


@pytest.fixture
def write_deb(tmp_path: Path) -> Callable[..., Path]:
    """Writes a Debian package of recordings under usr/share/sounds, with a licence."""

    def write(version: str = "1.0", files: dict[str, bytes] | None = None, package: str = "some-sounds") -> Path:
        content = {f"./usr/share/sounds/{name}": data for name, data in (files or {"a.ogg": ogg(), "b/c.ogg": ogg(0.2)}).items()}
        content |= {f"./usr/share/doc/{package}/copyright": b"Free.", "./usr/bin/tool": b"#!"}
        path = tmp_path / f"{package}_{version}_all.deb"
        path.write_bytes(deb(package, version, content))
        return path

    return write
