"""Packages as archives of files: downloaded by apt or pip, unpacked here, never installed or imported."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from antiphon.common.data.open_data.deb import deb_version, open_deb
from antiphon.common.data.open_data.source import Package

_CHUNK = 1 << 20
_ENDINGS = {"debian": ".deb", "pypi": ".whl", "sdist": ".tar.gz"}


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(package: Package, folder: Path) -> Path:
    """Download a package into `folder` with apt or pip, which check it against their own index, and return the file.

    Raises:
        OSError: there is no such tool, or it fails; the message says what to do by hand.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.iterdir())
    failure = _apt(package, folder) if package.kind == "debian" else _pip(package, folder)
    ending = _ENDINGS[package.kind]
    by_hand = f"{package.name}{'_' if package.kind == 'debian' else '-'}*{ending}"
    if failure:
        raise OSError(
            f"{package.name} cannot be downloaded: {failure}. Or get {by_hand} by other means and pass it with --from FILE"
        )
    return next(file for file in folder.iterdir() if file.name.endswith(ending) and file not in before)


def _apt(package: Package, folder: Path) -> str | None:
    """Why apt failed, or None. A machine whose package lists are missing or old gets fresh ones in a folder of our own."""
    if shutil.which("apt-get") is None:
        return "it is a Debian package and this machine has no apt-get"
    if _failure(["apt-get", "download", package.name], folder) is None:
        return None
    lists, cache = folder / "apt" / "lists", folder / "apt" / "cache"
    for path in (lists / "partial", cache / "archives" / "partial"):
        path.mkdir(parents=True)
    own = ["apt-get", "-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}", "-o", "APT::Sandbox::User=root"]
    return _failure([*own, "update"], folder) or _failure([*own, "download", package.name], folder)


def _pip(package: Package, folder: Path) -> str | None:
    """Why pip failed, or None. Of a source archive pip runs the set-up, to learn its name; nothing is installed."""
    pinned = f"{package.name}=={package.version}"
    form = "--only-binary=:all:" if package.kind == "pypi" else "--no-binary=:all:"
    return _failure([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", form, "--dest", ".", pinned], folder)


def _failure(command: list[str], folder: Path) -> str | None:
    """The last line of a failing command's complaint, or None."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace")
    if done.returncode == 0:
        return None
    lines = [line for line in done.stderr.splitlines() if line.startswith(("E:", "ERROR:"))] or done.stderr.splitlines()
    return lines[-1].strip() if lines else f"{command[0]} stopped with code {done.returncode}"


def stated_version(file: Path) -> tuple[str, str]:
    """Name and version of a downloaded .deb, .whl or .tar.gz."""
    if file.name.endswith(".tar.gz"):
        name, _, version = file.name.removesuffix(".tar.gz").rpartition("-")
        return name.replace("_", "-").lower(), version
    if file.suffix != ".whl":
        return deb_version(file)
    name, version, *_ = file.name.split("-")
    return name.replace("_", "-").lower(), version


def unpack(file: Path, package: Package, folder: Path) -> Path:
    """Write the kept files of a package below `folder`, and its licence beside them; returns the licence file.

    Raises:
        ValueError: not the archive it should be, or nothing in it is below `package.keep`.
    """
    licence = folder.parent / f"LICENCE-{package.name}.txt"
    keep, written = PurePosixPath(package.keep), 0
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _files(file):
        if name.is_relative_to(keep):
            target = folder.joinpath(*name.relative_to(keep).parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            written += 1
        elif _is_licence(name, package):
            target = licence
        else:
            continue
        with target.open("wb") as out:
            shutil.copyfileobj(content, out, _CHUNK)
    if not written:
        raise ValueError(f"{file.name} has no files in {package.keep}: it may be another version than {package.version}")
    if not licence.is_file():
        raise ValueError(f"{file.name} states no licence, so it is left alone: it may be another version than {package.version}")
    return licence


def _is_licence(name: PurePosixPath, package: Package) -> bool:
    if package.kind == "debian":
        return name == PurePosixPath("usr/share/doc", package.name, "copyright")
    top = len(name.parts) == 2 if package.kind == "sdist" else ".dist-info" in name.parts[0]
    return top and name.name.upper().startswith(("LICENSE", "LICENCE", "COPYING"))


def _files(file: Path) -> Iterator[tuple[PurePosixPath, BinaryIO]]:
    """Every regular file of a .deb, .whl or .tar.gz with its content, which is to be read before the next is asked for."""
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                if not entry.is_dir():
                    with archive.open(entry) as content:
                        yield _inside(entry.filename, file), cast(BinaryIO, content)
        return
    with tarfile.open(file) if file.name.endswith(".tar.gz") else open_deb(file, "data") as tar:
        for member in tar:
            if member.isfile():
                yield _inside(member.name, file), cast(BinaryIO, tar.extractfile(member))


def _inside(name: str, file: Path) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{file.name} holds the path {name!r}, which leads out of its folder: it is not unpacked")
    return path
