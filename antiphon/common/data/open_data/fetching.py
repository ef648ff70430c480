"""The cache of open recordings: a set is there whole, with its checksums, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from antiphon.common.data.manifest import Manifest, Row, read_manifest
from antiphon.common.data.open_data.catalogue import find_source
from antiphon.common.data.open_data.packages import download, sha256, stated_version, unpack
from antiphon.common.data.open_data.source import Package, Source

ABOUT, SUMS, MANIFEST = "source.json", "SHA256SUMS", "manifest.csv"
_STALE = 24 * 3600  # seconds after which a half-unpacked folder belongs to nobody


def cache_folder(cache: str | Path | None = None) -> Path:
    """Where sets are kept: `cache`, else the environment's ANTIPHON_CACHE, else ~/.cache/antiphon/data."""
    return Path(cache or os.environ.get("ANTIPHON_CACHE") or "~/.cache/antiphon/data").expanduser().absolute()


def fetch(name: str, *, cache: str | Path | None = None, package_files: Sequence[str | Path] = ()) -> Path:
    """The folder of a set of the catalogue, with its manifest.csv; downloaded and unpacked if it is not in the cache.

    Debian packages are downloaded by apt-get and PyPI's by pip, without root, and are not installed. `package_files` are packages
    that were downloaded by hand; they replace the download. A set in the cache is checked against its checksums and needs no
    network.

    Warns where the package is another version than the catalogued one, or where a recording in it cannot be read.

    Raises:
        ValueError: a name that the catalogue lacks, a damaged package, or a damaged set in the cache.
        OSError: the download failed; the message says what to do by hand.
    """
    source = find_source(name)
    folder = cache_folder(cache) / source.name
    if folder.is_dir():
        verify(folder)
        return folder
    given = _by_package(source, [Path(file) for file in package_files])
    with _partial(folder) as partial:
        about = _prepare(source, given, partial)
        try:
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
            verify(folder)  # another process was faster
    for note in about["notes"]:
        warnings.warn(note, stacklevel=2)
    return folder


def open_manifest(name: str, *, cache: str | Path | None = None) -> Manifest:
    """The manifest of a set of the catalogue, which is fetched if it is not in the cache."""
    return replace(read_manifest(fetch(name, cache=cache) / MANIFEST), name=name)


def describe(folder: str | Path) -> dict[str, Any]:
    """What is known of a fetched set: name, what, licence, packages, clips, duration_s, unreadable, notes."""
    about: dict[str, Any] = json.loads((Path(folder) / ABOUT).read_text(encoding="utf-8"))
    return about


def verify(folder: Path) -> None:
    """Check every file of a fetched set against its checksum.

    Raises:
        ValueError: a file is missing or has changed.
    """
    remedy = f"delete {folder} and fetch it again"
    if not (folder / SUMS).is_file():
        raise ValueError(f"{folder} was not made by `antiphon data fetch` (no {SUMS} in it): {remedy}")
    for line in (folder / SUMS).read_text(encoding="utf-8").splitlines():
        digest, name = line.split("  ", 1)
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name} is missing: {remedy}")
        if sha256(folder / name) != digest:
            raise ValueError(f"{folder / name} has changed since it was unpacked: {remedy}")


def _by_package(source: Source, files: Sequence[Path]) -> dict[str, Path]:
    """Which package each file given by hand is."""
    given = {stated_version(file)[0]: file for file in files}
    wanted = {package.name for package in source.packages}
    if given.keys() - wanted:
        raise ValueError(
            f"{source.name} comes from {', '.join(sorted(wanted))}, not from {', '.join(sorted(given.keys() - wanted))}"
        )
    return given


@contextmanager
def _partial(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that is gone afterwards, unless it was renamed; those of runs that were killed go, too."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f"{folder.name}.partial-*"):
        if time.time() - left.stat().st_mtime > _STALE:
            shutil.rmtree(left, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.partial-", dir=folder.parent)).resolve()  # as a manifest names files
    partial.chmod(0o755)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _prepare(source: Source, given: dict[str, Path], folder: Path) -> dict[str, Any]:
    """Download, unpack, list, and write what `describe` returns."""
    from antiphon.common.signal.io import AUDIO_SUFFIXES, AudioError, audio_info

    notes, packages, audio = [], [], folder / "audio"
    for package in source.packages:
        file = given.get(package.name) or download(package, folder / "packages")
        version, digest = stated_version(file)[1], sha256(file)
        notes += _compare(package, version, digest, file)
        unpack(file, package, audio)
        packages.append({"name": package.name, "kind": package.kind, "version": version, "sha256": digest})
    shutil.rmtree(folder / "packages", ignore_errors=True)
    rows: list[Row] = []
    unreadable: list[str] = []
    for row in sorted(source.read(audio), key=lambda row: row.path):
        try:
            rows.append(replace(row, info=audio_info(row.path)) if Path(row.path).suffix.lower() in AUDIO_SUFFIXES else row)
        except AudioError as error:
            unreadable.append(f"{Path(row.path).relative_to(folder).as_posix()}: {error.reason}")
    if unreadable:
        notes.append(f"{source.name}: {len(unreadable)} recordings cannot be read and are left out: {'; '.join(unreadable)}")
    if not rows:
        raise ValueError(f"{source.name}: the packages hold none of its recordings, so the catalogue does not fit their version")
    _remove_others(audio, {row.path for row in rows})
    Manifest(tuple(rows)).write(folder / MANIFEST)
    about = {
        "name": source.name,
        "what": source.what,
        "licence": source.licence,
        "packages": packages,
        "clips": len(rows),
        "duration_s": round(sum(row.info.duration_s for row in rows if row.info), 1),
        "unreadable": unreadable,
        "notes": notes,
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    _write_sums(folder)
    return about


def _compare(package: Package, version: str, digest: str, file: Path) -> list[str]:
    """A note where the package is another version; the same version with other content is refused."""
    if digest == package.sha256:
        return []
    if version == package.version:
        raise ValueError(f"{file} calls itself {package.name} {version} but its SHA-256 is {digest}: download it again")
    return [f"{package.name} is version {version}, the catalogue was measured on {package.version}: counts may differ"]


def _remove_others(folder: Path, keep: set[str]) -> None:
    """Remove what no row names, and folders that are empty then."""
    for path in sorted(folder.rglob("*"), reverse=True):  # a folder comes after what it holds
        if path.is_file() and str(path) not in keep:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _write_sums(folder: Path) -> None:
    """One line a file, as `sha256sum --check` reads it."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    (folder / SUMS).write_text("".join(f"{sha256(folder / name)}  {name}\n" for name in names), encoding="utf-8")
