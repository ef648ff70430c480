"""Which recordings of a manifest can be read as an encoder wants them, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.data.quarantine import Quarantine
from antiphon.common.distributed import is_first_process
from antiphon.common.encoder import InputSpec
from antiphon.domains.eeg.data.montage import ChannelMap, OnMismatch, map_channels, spec_positions, standard_positions
from antiphon.domains.eeg.data.preparation import Preparation, Prepared, pooled_statistics, segment_starts
from antiphon.domains.eeg.data.preprocessing import baseline, robust_scale
from antiphon.domains.eeg.data.reading import UV_PER, Recording, RecordingError, RecordingInfo, Unit, open_recording, opened

if TYPE_CHECKING:
    from mne.io import BaseRaw

Statistics = tuple[NDArray[np.float64], NDArray[np.float64]]
Places = tuple[tuple[float, float, float], ...] | None


@dataclass(frozen=True, eq=False)
class Source:
    """How windows of one recording are read: `origin` is its path, or an open recording.

    `first` to `last` is the part that counts, in prepared samples; `statistics` are those of robust scaling.
    """

    origin: str | Recording
    unit: Unit
    prepared: Prepared
    first: int
    last: int
    statistics: Statistics | None = None

    @property
    def recording(self) -> Recording:
        """Open it, unless it was open."""
        return opened(self.origin, self.unit) if isinstance(self.origin, str) else self.origin

    def read(self, start: int, size: int) -> NDArray[np.float32]:
        """Prepared samples `start` to `start + size` of the recording, (C, size), after all steps but alignment."""
        steps, recording = self.prepared.preparation, self.recording
        first, last = self.prepared.source_part(start, size)
        values = recording.read(max(0, first), min(recording.samples, last), picks=self.prepared.channels.picks)
        signals = self.prepared.read(values, start, size)
        if steps.baseline_s is not None:
            signals = baseline(signals, round(steps.baseline_s * self.prepared.sample_rate))
        if self.statistics is not None:
            signals = robust_scale(signals, self.statistics, clamp=None).astype(np.float32)
        return signals if steps.clamp is None else signals.clip(-steps.clamp, steps.clamp)


def open_sources(
    manifest: Manifest,
    *,
    raws: Mapping[str, BaseRaw] | None = None,
    wanted: InputSpec | None = None,
    on_mismatch: OnMismatch = "strict",
    unit: Unit = "auto",
    preparation: Preparation,
    shortest_s: float = 0.0,
    span_s: tuple[float, float | None] = (0.0, None),
) -> tuple[Manifest, tuple[Source, ...], InputSpec, Quarantine]:
    """The usable rows of a manifest, how each is read, what comes out, and what was left out; the latter is printed.

    Args:
        manifest: rows whose `start_s` and `end_s` say which part counts.
        raws: mne objects by the path that their row has.
        wanted: names (and positions) of the channels; None: those that every recording has, see `common_channels`.
        on_mismatch: see `map_channels`.
        unit: see `open_recording`.
        preparation: what is done to them.
        shortest_s: a recording with less than that in its part is left out.
        span_s: a part of every recording that counts, within that of its row.

    Raises:
        RecordingError: a manifest of one recording, which cannot be used.
        ValueError: nothing usable, recordings that do not have the same channels, or, without `preparation.sample_rate`, rates.
    """
    raws, refused, notes = raws or {}, [], []
    rows: list[Row] = []
    found: list[RecordingInfo] = []
    for row in manifest:
        try:
            recording = open_recording(raws.get(row.path, row.path), unit=unit, name=row.path)
            found.append(recording if row.path in raws else recording.info)
            rows.append(row)
        except RecordingError as error:
            refused.append((error.path, error.reason))
    kept: list[Row] = []
    sources: list[Source] = []
    names, places = _wanted(found, wanted, on_mismatch)
    for row, info in zip(rows, found, strict=True):
        try:
            channels = _channels(info, names, places, on_mismatch)
            sources.append(_source(row, info, Prepared(preparation, channels, info.sample_rate, info.samples), shortest_s, span_s))
            kept.append(row)
            notes += [f"  {row.path}: {info.note}"] if info.note else []
            notes += _told(row.path, channels)
        except ValueError as error:
            refused.append((row.path, error.reason if isinstance(error, RecordingError) else str(error)))
    left_out = Quarantine(tuple(refused), len(manifest))
    if not kept and len(manifest) == 1:
        raise RecordingError(*refused[0])
    if not kept:
        raise ValueError(f"{manifest.name}: none of {len(manifest)} recordings can be used (first: {': '.join(refused[0])})")
    tell(manifest.name, [str(left_out)] if left_out else [])
    tell(manifest.name, [f"{len(notes)} note{'s' if len(notes) > 1 else ''}", *notes] if notes else [])
    return replace(manifest, rows=tuple(kept)), tuple(sources), _spec(sources, places, manifest.name), left_out


def _wanted(found: Sequence[RecordingInfo], wanted: InputSpec | None, on_mismatch: OnMismatch) -> tuple[tuple[str, ...], Places]:
    """The names of the channels that are read, and where they are."""
    if wanted is not None and wanted.names is not None:
        return wanted.names, spec_positions(wanted)
    if not found:
        return (), None
    names = common_channels(found, on_mismatch)
    first = next(one for one in found if set(names) <= set(one.names))
    own = first.positions
    return names, None if own is None else tuple(own[first.names.index(name)] for name in names)


def _channels(info: RecordingInfo, names: tuple[str, ...], places: Places, on_mismatch: OnMismatch) -> ChannelMap:
    own = None if standard_positions(info.names) else info.positions
    return map_channels(names, info.names, on_mismatch=on_mismatch, positions=places, available_positions=own)


def common_channels(recordings: Sequence[RecordingInfo], on_mismatch: OnMismatch) -> tuple[str, ...]:
    """The channels of a set of recordings: those of all of them.

    "strict": they must all have the same; "subset": those that all have; "interpolate": those of the recording that has most.

    Raises:
        ValueError: they differ ("strict"), or have none in common.
    """
    if on_mismatch == "interpolate":
        return max(recordings, key=lambda one: len(one.names)).names
    shared = [name for name in recordings[0].names if all(name in one.names for one in recordings)]
    odd = next((one for one in recordings if set(one.names) != set(recordings[0].names)), None)
    if odd is not None and on_mismatch == "strict":
        apart = sorted(set(odd.names) ^ set(recordings[0].names))
        raise ValueError(
            f"{odd.name} and {recordings[0].name} do not have the same channels ({', '.join(apart[:12])} in one only): give "
            "channels=[...], on_mismatch='subset' for those that all have, or 'interpolate'"
        )
    if not shared:
        raise ValueError(f"{recordings[0].name} and the others have no channel in common: give channels=[...]")
    return tuple(shared)


def _source(row: Row, info: RecordingInfo, prepared: Prepared, shortest_s: float, span_s: tuple[float, float | None]) -> Source:
    rate = prepared.sample_rate
    ends = [end for end in (row.end_s, span_s[1]) if end is not None]
    first = round(max(row.start_s, span_s[0]) * rate)
    last = min([prepared.length, *(round(end * rate) for end in ends)])
    if last - first < max(1, round(shortest_s * rate)):
        raise RecordingError(info.name, f"too short: {max(0, last - first) / rate:g} s, {shortest_s:g} s are due")
    told = next(name for name, scale in UV_PER.items() if scale == info.uv_per_value)
    source = Source(info if isinstance(info, Recording) else row.path, told, prepared, first, last)
    return replace(source, statistics=_statistics(source, shortest_s)) if prepared.preparation.robust else source


def _statistics(source: Source, window_s: float) -> Statistics:
    """Of the recording as windows of it are before they are scaled: where each loses its baseline, of such windows.

    Electrodes have offsets of many times what they vary by; the median of what still has them would push all that has lost them
    against the clamp.
    """
    steps = source.prepared.preparation
    length_s = 1.0 if steps.baseline_s is None else max(1.0, window_s, 2 * steps.baseline_s)
    size = max(1, min(source.last - source.first, round(length_s * source.prepared.sample_rate)))
    plain = replace(source.prepared, preparation=replace(steps, robust=False, clamp=None))
    bare = replace(source, prepared=plain)
    starts = segment_starts(source.last - source.first, size)
    return pooled_statistics([bare.read(source.first + start, size) for start in starts])


def _spec(sources: Sequence[Source], places: Places, name: str) -> InputSpec:
    first = sources[0].prepared
    rates = sorted({source.prepared.sample_rate for source in sources})
    if len(rates) > 1:
        listed = ", ".join(f"{rate:g}" for rate in rates[:6])
        raise ValueError(f"{name}: recordings at {listed} Hz: give a sample_rate in the preparation to bring them to one")
    names = first.channels.names
    return InputSpec(
        channels=len(names),
        names=names,
        sample_rate=rates[0],
        unit=first.preparation.unit,
        positions=places,
        preparation=first.preparation.to_dict(),
    )


def _told(path: str, channels: ChannelMap) -> list[str]:
    made = [f"  {path}: {', '.join(channels.interpolated)} interpolated"] if channels.interpolated else []
    return made + ([f"  {path}: without {', '.join(channels.absent)}"] if channels.absent else [])


def tell(name: str, lines: Sequence[str], limit: int = 50) -> None:
    """Print what was left out or found out, on the error stream of the first process."""
    if lines and is_first_process():
        from rich.console import Console

        shown = [*lines[:limit], *([f"  and {len(lines) - limit} more"] if len(lines) > limit else [])]
        Console(stderr=True).print(f"{name}: " + "\n".join(shown), markup=False, highlight=False, soft_wrap=True)
