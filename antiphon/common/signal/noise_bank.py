"""Recorded noise: segments of the recordings of a manifest, read when they are first needed."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from antiphon.common.data.manifest import Manifest, Row, read_manifest
from antiphon.common.signal.io import audio_info, read_audio


class NoiseBank:
    """Noise recordings at one sampling rate, in categories.

    `recordings`: a manifest, or what `read_manifest` takes: a .csv or .jsonl file, or a folder. The first label of a row is its
    category; in a folder that is the name of the sub-folder, so the root of MUSAN has the categories music, noise and speech.

    A recording is read when it is first drawn and kept in memory until `memory_mb` is full; of what no longer fits, each segment is
    read from its file when drawn. Both give the same, to a fraction of a sample where the sampling rate is converted.
    """

    def __init__(self, recordings: Manifest | str | Path, *, sample_rate: int, memory_mb: float = 512.0) -> None:
        manifest = recordings if isinstance(recordings, Manifest) else read_manifest(recordings)
        if not len(manifest):
            raise ValueError(f"{manifest.name} lists no recordings: a noise bank needs at least one")
        self.sample_rate = sample_rate
        self._free_bytes = int(memory_mb * 1e6)
        # In order of their categories, so that those of one category are a range of numbers.
        self._rows = sorted(manifest.rows, key=_category)
        self.categories = tuple(sorted({_category(row) for row in self._rows}))
        self._frames: list[int | None] = [None] * len(self._rows)
        self._resident: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def category_range(self, category: str) -> range:
        """The numbers of the recordings in `category`.

        Raises:
            ValueError: no such category.
        """
        if category not in self.categories:
            raise ValueError(f"the noise bank has no category {category!r}: it has {', '.join(map(repr, self.categories))}")
        names = [_category(row) for row in self._rows]
        return range(names.index(category), names.index(category) + names.count(category))

    def segments(self, recordings: Tensor, positions: Tensor, lengths: Tensor, *, channels: int, size: int) -> Tensor:
        """One segment per example, (B, channels, size), silent beyond `lengths`, on the device of `recordings`.

        Args:
            recordings: (B,) int64, which recording.
            positions: (B,) in [0, 1): where in it the segment begins; 0 the earliest, 1 the latest that is possible.
            lengths: (B,) int64, samples of each segment. A recording that is shorter is repeated.
            channels: a recording with as many is taken as it is, any other is averaged to one channel and goes to all.
            size: samples of the result.
        """
        noise = torch.zeros(len(recordings), channels, size)
        rows = zip(recordings.tolist(), positions.tolist(), lengths.tolist(), strict=True)
        for target, (number, position, length) in zip(noise, rows, strict=True):  # it copies memory: nothing to compute at once
            segment = self._segment(number, position, length)
            target[:, :length] = segment if len(segment) == channels else segment.mean(dim=0)
        return noise.to(recordings.device)

    def _segment(self, number: int, position: float, length: int) -> Tensor:
        """(channels of the recording, length)."""
        whole = self._whole(number)
        frames = self._length(number)
        start = int(position * (frames - length + 1)) if frames >= length else int(position * frames)
        if whole is None:
            row, count = self._rows[number], min(length, frames - start)
            whole = _read(row, self.sample_rate, row.start_s + start / self.sample_rate, count / self.sample_rate)
            if start > 0 and start + length > frames:
                whole = torch.cat((whole[:, :count], _read(row, self.sample_rate, row.start_s, start / self.sample_rate)), dim=1)
            start, frames = 0, whole.shape[1]
        if start + length <= frames:
            return whole[:, start : start + length]
        return whole[:, (start + torch.arange(length)) % frames]

    def _whole(self, number: int) -> Tensor | None:
        """The recording, if it is in memory or still fits."""
        if number in self._resident:
            return self._resident[number]
        row = self._rows[number]
        if self._length(number) * 4 * (row.info or audio_info(row.path)).channels > self._free_bytes:
            return None
        whole = _read(row, self.sample_rate, row.start_s, None if row.end_s is None else row.end_s - row.start_s)
        self._free_bytes -= whole.numel() * whole.element_size()
        self._resident[number] = whole
        self._frames[number] = min(self._length(number), whole.shape[1])  # a header may promise a little too much
        return whole

    def _length(self, number: int) -> int:
        """Samples of the recording at the rate of the bank."""
        frames = self._frames[number]
        if frames is None:
            row = self._rows[number]
            end_s = (row.info or audio_info(row.path)).duration_s if row.end_s is None else row.end_s
            frames = self._frames[number] = max(1, int((end_s - row.start_s) * self.sample_rate))
        return frames


def _category(row: Row) -> str:
    return row.labels[0] if row.labels else ""


def _read(row: Row, sample_rate: int, start_s: float, duration_s: float | None) -> Tensor:
    waves, _ = read_audio(row.path, start_s=start_s, duration_s=duration_s, sample_rate=sample_rate)
    return waves
