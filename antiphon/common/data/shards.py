"""Recordings packed into a few large tar files, as WebDataset reads them, with a manifest whose paths point into them.

The manifest is the index: it names the place of every recording's bytes. So shards are read like loose files, in any order, by
everything that takes a manifest, and resume and split over ranks and workers as they do.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from torch import Tensor

from antiphon.common.data.audio_set import AudioSet
from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.data.quarantine import Quarantine, check
from antiphon.common.random import shuffled
from antiphon.common.signal.io import AudioError, AudioInfo, audio_info, read_audio
from antiphon.common.signal.tar_member import archive_of, member_path, open_member

Format = Literal["flac", "pcm16", "copy"]
_ENCODINGS = {"flac": ("FLAC", ".flac"), "pcm16": ("WAV", ".wav")}
_BLOCK = 512  # tar's unit


def pack(
    manifest: Manifest,
    folder: str | Path,
    *,
    shard_size_mb: float = 256.0,
    format: Format = "flac",
    sample_rate: int | None = None,
    mono: bool = False,
    quarantine: bool = False,
) -> Quarantine:
    """Write the recordings of a manifest into tar files of about `shard_size_mb`, with manifest.csv and index.json beside them.

    The folder appears when it is whole. A recording becomes two members, 00000042.flac and 00000042.json with its labels, text and
    so on: what the webdataset library groups to a sample. index.json counts the recordings and bytes of each shard.

    Args:
        manifest: what to pack, in its order: shuffle it first if it is sorted and the shards are to be alike.
        folder: where to; must not be there yet.
        shard_size_mb: a shard is closed when it holds this many million bytes, so that one longer recording makes a longer shard.
        format: "flac" (16 bits), "pcm16" (WAV: nearly twice the size, and faster to read), or "copy" (files as they are). The first
            two cut out the part that a row names; "copy" keeps the whole file, once for all rows that name parts of it.
        sample_rate: resample to this many Hz, which saves it in every epoch; not with "copy".
        mono: mix down; not with "copy".
        quarantine: leave out what cannot be read instead of raising.

    Returns:
        What was left out.

    Raises:
        ValueError: an unknown format, something in the folder's place, or (without `quarantine`) a recording that cannot be read.
    """
    folder = Path(folder).absolute()
    if format not in get_args(Format):
        raise ValueError(f"format must be one of {', '.join(get_args(Format))}, got {format!r}")
    if format == "copy" and (sample_rate is not None or mono):
        raise ValueError("format='copy' leaves files as they are: resample and mix down with 'flac' or 'pcm16'")
    if shard_size_mb <= 0:
        raise ValueError(f"shard_size_mb must be above 0, got {shard_size_mb}")
    if not len(manifest):
        raise ValueError(f"{manifest.name} lists no recordings")
    if folder.exists():
        raise ValueError(f"{folder} is there already: choose another folder, or delete it")
    kept, left_out = check(manifest)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.partial-", dir=folder.parent)).resolve()
    try:
        refused = _write(kept, partial, int(shard_size_mb * 1e6), format, sample_rate, mono)
        left_out += Quarantine(tuple(refused), len(kept))
        if left_out and not quarantine:
            path, reason = left_out.entries[0]
            raise ValueError(
                f"{len(left_out)} of {len(manifest)} recordings cannot be packed (first: {path}: {reason}): repair "
                "them, or leave them out with quarantine=True (--quarantine)"
            )
        if len(left_out) == len(manifest):
            raise ValueError(f"none of {len(manifest)} recordings can be packed (first: {': '.join(left_out.entries[0])})")
        partial.chmod(0o755)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return left_out


def shard_counts(folder: str | Path) -> list[dict[str, Any]]:
    """Name, number of recordings and bytes of each shard that `pack` wrote."""
    counts: list[dict[str, Any]] = json.loads((Path(folder) / "index.json").read_text())["shards"]
    return counts


def _write(
    manifest: Manifest, folder: Path, limit: int, format: Format, sample_rate: int | None, mono: bool
) -> list[tuple[str, str]]:
    """Write shards, manifest and index; returns (path, reason) of what could not be read."""
    members: dict[tuple[Any, ...], list[Row]] = {}
    for row in manifest:
        members.setdefault((row.path,) if format == "copy" else (row.path, row.start_s, row.end_s), []).append(row)
    packed: list[Row] = []
    refused: list[tuple[str, str]] = []
    with _ShardWriter(folder, limit) as writer:
        for rows in members.values():
            try:
                content, suffix, info = _encoded(rows[0], format, sample_rate, mono)
            except AudioError as error:
                refused += [(error.path, error.reason)] * len(rows)
                continue
            about = [_about(row) for row in rows]
            path = writer.add(content, suffix, about[0] if len(rows) == 1 else about)
            cut = rows if format == "copy" else [replace(row, start_s=0.0, end_s=None) for row in rows]
            packed += [replace(row, path=path, info=info) for row in cut]
    Manifest(tuple(packed)).write(folder / "manifest.csv")
    index = {"format": format, "recordings": len(packed), "shards": writer.counts}
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    return refused


def _encoded(row: Row, format: Format, sample_rate: int | None, mono: bool) -> tuple[bytes, str, AudioInfo]:
    """The bytes of a recording, the ending of their format, and what their header says."""
    import soundfile

    if format == "copy":
        member = open_member(row.path)
        content = Path(row.path).read_bytes() if member is None else member.read()
        try:
            soundfile.SoundFile(io.BytesIO(content)).close()
        except soundfile.LibsndfileError as error:
            raise AudioError(row.path, "soundfile cannot read it out of a tar file: pack it as flac") from error
        return content, Path(row.path).suffix.lower(), row.info or audio_info(row.path)
    duration_s = None if row.end_s is None else row.end_s - row.start_s
    waves, rate = read_audio(row.path, start_s=row.start_s, duration_s=duration_s, sample_rate=sample_rate, mono=mono)
    kind, suffix = _ENCODINGS[format]
    out = io.BytesIO()
    samples = (waves * 2**15).round().clamp(-(2**15), 2**15 - 1).to(torch.int16)  # libsndfile would not round
    try:
        soundfile.write(out, samples.numpy().T, rate, format=kind, subtype="PCM_16")
    except soundfile.LibsndfileError as error:
        reason = f"{len(waves)} channels at {rate} Hz cannot be written as {format} ({error.error_string}): FLAC holds 8 channels"
        raise AudioError(row.path, f"{reason}, use pcm16") from error
    return out.getvalue(), suffix, AudioInfo(rate, *waves.shape)


def _about(row: Row) -> dict[str, Any]:
    """What a member's JSON says of a row."""
    known = {"labels": list(row.labels), **{name: row.value(name) for name in ("text", "speaker", "group", "split")}, **row.extra}
    part = {"start_s": row.start_s, "end_s": row.end_s} if row.start_s or row.end_s is not None else {}
    return {"source": Path(row.path).name, **part, **{name: value for name, value in known.items() if value}}


class _ShardWriter:
    """Members one after the other; a new tar file when one is full. `counts`: what went into each."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self.counts: list[dict[str, Any]] = []
        self._archive: tarfile.TarFile | None = None
        self._number = 0

    def __enter__(self) -> _ShardWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def add(self, content: bytes, suffix: str, about: Any) -> str:
        """Write a recording and its JSON; returns the recording's member path."""
        archive = self._open() if self._archive is None else self._archive
        name = f"{self._number:08d}{suffix}"
        place = self._member(archive, name, content)
        self._member(archive, f"{self._number:08d}.json", json.dumps(about, ensure_ascii=False).encode())
        self._number += 1
        self.counts[-1]["recordings"] += 1
        self.counts[-1]["bytes"] = archive.offset
        path = member_path(self.folder / self.counts[-1]["name"], offset=place, size=len(content), name=name)
        if archive.offset >= self.limit:
            self._close()
        return path

    def _open(self) -> tarfile.TarFile:
        name = f"{len(self.counts):06d}.tar"
        self.counts.append({"name": name, "recordings": 0, "bytes": 0})
        self._archive = archive = tarfile.open(self.folder / name, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        return archive

    def _close(self) -> None:
        if self._archive is not None:
            self._archive.close()
            self._archive = None

    @staticmethod
    def _member(archive: tarfile.TarFile, name: str, content: bytes) -> int:
        """Write a member and return where its content begins."""
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
        return archive.offset - -(-len(content) // _BLOCK) * _BLOCK


@dataclass(frozen=True, eq=False)
class ShardSet(AudioSet):
    """An AudioSet that is visited shard by shard, for disks and stores that are slow at random access.

    Made like an AudioSet, from the manifest that `pack` wrote. An epoch goes through the shards in a random order, `mixed` of them
    at a time, and through the recordings of these in a random order. The rest is AudioSet's: an AudioSet of the same manifest
    visits everything in any order.
    """

    mixed: int = 4

    @classmethod
    def from_manifest(cls, manifest: Manifest | str | Path, *, mixed: int = 4, **options: Any) -> Self:
        """See `AudioSet.from_manifest`; a batch comes from `mixed` shards at a time.

        Raises:
            ValueError: `mixed` below 1, and what an AudioSet refuses.
        """
        if mixed < 1:
            raise ValueError(f"mixed is {mixed}: at least 1 shard is read at a time")
        return replace(super().from_manifest(manifest, **options), mixed=mixed)

    def order(self, seed: int, epoch: int) -> Tensor:
        """The order (n,) int64 in which an epoch visits the examples; a function of (seed, epoch)."""
        archives = [archive_of(row.path) or row.path for row in self.manifest.rows]
        names, shard_of_row = np.unique(archives, return_inverse=True)
        turn = torch.empty(len(names), dtype=torch.int64)
        turn[shuffled(len(names), seed, epoch)] = torch.arange(len(names)) // self.mixed
        within = shuffled(len(self), seed, epoch).argsort()
        turns = turn[torch.from_numpy(shard_of_row[self.rows])]
        return torch.from_numpy(np.lexsort((within.numpy(), turns.numpy())))
