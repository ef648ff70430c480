"""Which recordings of a manifest can be read as an encoder wants them, and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from antiphon.common.data.manifest import Manifest, Row
from antiphon.common.data.quarantine import Quarantine
from antiphon.common.distributed import is_first_process
from antiphon.common.encoder import InputSpec
from antiphon.domains.eeg.data.montage import (
    ChannelMap,
    OnMismatch,
    check_on_mismatch,
    map_channels,
    spec_positions,
    standard_positions,
)
from antiphon.domains.eeg.data.preparation import Preparation, Prepared, pooled_statistics, segment_starts
from antiphon.domains.eeg.data.preprocessing import baseline, robust_scale
from antiphon.domains.eeg.data.reading import Recording, RecordingError, RecordingInfo, Unit, open_recording, opened

if TYPE_CHECKING:
    from mne.io import BaseRaw

Statistics = tuple[NDArray[np.float64], NDArray[np.float64]]
Places = tuple[tuple[float, float, float], ...] | None


@dataclass(frozen=True, eq=False)
class Source:
    """How windows of one recording are read: `origin` is its path, or an open recording.

    `uv_per_value` makes microvolts of its numbers. `first` to `last` is the part that counts, in prepared samples; `statistics` are
    those of robust scaling.
    """

    origin: str | Recording
    uv_per_value: float
    prepared: Prepared
    first: int
    last: int
    statistics: Statistics | None = None

    @property
    def recording(self) -> Recording:
        """Open it, unless it was open."""
        return opened(self.origin, self.uv_per_value) if isinstance(self.origin, str) else self.origin

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
        wanted: names (and positions) of the channels, and the rate that is due; None: see `common_channels`.
        on_mismatch: see `map_channels`.
        unit: see `open_recording`.
        preparation: what is done to them.
        shortest_s: a recording with less than that in its part is left out.
        span_s: a part of every recording that counts, within that of its row.

    Raises:
        RecordingError: a manifest of one recording, which cannot be used.
        ValueError: nothing usable, recordings that do not have the same channels, or, without `preparation.sample_rate`, rates;
            another rate than is wanted; an unknown `on_mismatch`.
    """
    check_on_mismatch(on_mismatch)
    rows, found, refused = _open_all(manifest, raws or {}, unit)
    names, places = _wanted(found, wanted, on_mismatch)
    kept: list[Row] = []
    sources: list[Source] = []
    notes: list[str] = []
    unread: set[str] = set()
    for row, info in zip(rows, found, strict=True):
        try:
            channels = _channels(info, names, places, on_mismatch)
            if {info.names[pick] for pick in channels.picks} <= set(info.flat):
                raise RecordingError(row.path, f"its channels {', '.join(names)} are flat: nothing was recorded there")
            sources.append(_source(row, info, Prepared(preparation, channels, info.sample_rate, info.samples), shortest_s, span_s))
        except ValueError as error:
            refused.append((row.path, error.reason if isinstance(error, RecordingError) else str(error)))
            continue
        kept.append(row)
        notes += _told(row.path, info, channels)
        unread.update(set(info.names).difference(names))
    if not kept and len(manifest) == 1:
        raise RecordingError(*refused[0])
    if not kept:
        why = Quarantine(tuple(refused), len(manifest)).kinds()
        raise ValueError(f"{manifest.name}: none of {len(manifest)} recordings can be used: {why}")
    if unread and (wanted is None or wanted.names is None):
        notes.append(f"  channels that only some recordings have are not read: {', '.join(sorted(unread))}")
    left_out = Quarantine(tuple(refused), len(manifest))
    tell(manifest.name, [str(left_out)] if left_out else [])
    tell(manifest.name, [f"{len(notes)} note{'s' if len(notes) > 1 else ''}", *notes] if notes else [])
    return replace(manifest, rows=tuple(kept)), tuple(sources), _spec(sources, places, manifest.name, wanted), left_out


def _open_all(
    manifest: Manifest, raws: Mapping[str, BaseRaw], unit: Unit
) -> tuple[list[Row], list[RecordingInfo], list[tuple[str, str]]]:
    """The rows that can be opened, what is known of each, and (path, reason) of the others."""
    rows: list[Row] = []
    found: list[RecordingInfo] = []
    refused: list[tuple[str, str]] = []
    for row in manifest:
        try:
            recording = open_recording(raws.get(row.path, row.path), unit=unit, name=row.path)
            found.append(recording if row.path in raws else recording.info)
            rows.append(row)
        except RecordingError as error:
            refused.append((error.path, error.reason))
    return rows, found, refused


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
    """The channels that are read of a set of recordings.

    "strict": those that most of them have, so that the few others are left out; "subset": those that all have; "interpolate":
    those of the recording that has most (electrodes before what has no place, such as bipolar channels).

    Raises:
        ValueError: no set of channels that more than half of them have ("strict"), or none that all have ("subset").
    """
    if on_mismatch == "interpolate":
        return max(recordings, key=lambda one: (one.positions is not None, len(one.names))).names
    counts = Counter(frozenset(one.names) for one in recordings)
    usual = max(counts, key=lambda names: (counts[names], sum(names.issubset(one.names) for one in recordings)))
    first = next(one for one in recordings if set(one.names) == usual)
    odd = min(recordings, key=lambda one: len(usual.intersection(one.names)))
    if on_mismatch == "subset":
        shared = [name for name in first.names if all(name in one.names for one in recordings)]
        if not shared:
            raise ValueError(
                f"{odd.name} and the others have no channel in common (it has {', '.join(odd.names[:12])}): leave it out, or give "
                "channels=[...] (data.channels in a command)"
            )
        return tuple(shared)
    if 2 * sum(usual.issubset(one.names) for one in recordings) <= len(recordings):
        apart = sorted(usual.symmetric_difference(odd.names))
        raise ValueError(
            f"most recordings do not have the same channels ({', '.join(apart[:12])} in only one of {first.name} and {odd.name}): "
            "give channels=[...], on_mismatch='subset' for those that all have, or 'interpolate'; in a command data.channels, "
            "data.on_mismatch"
        )
    return first.names


def _source(row: Row, info: RecordingInfo, prepared: Prepared, shortest_s: float, span_s: tuple[float, float | None]) -> Source:
    rate = prepared.sample_rate
    ends = [end for end in (row.end_s, span_s[1]) if end is not None]
    first = round(max(row.start_s, span_s[0]) * rate)
    last = min([prepared.length, *(round(end * rate) for end in ends)])
    if last - first < max(1, round(shortest_s * rate)):
        raise RecordingError(info.name, f"too short: {max(0, last - first) / rate:g} s, {shortest_s:g} s are due")
    source = Source(info if isinstance(info, Recording) else row.path, info.uv_per_value, prepared, first, last)
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


def _spec(sources: Sequence[Source], places: Places, name: str, wanted: InputSpec | None) -> InputSpec:
    first = sources[0].prepared
    rates = sorted({source.prepared.sample_rate for source in sources})
    if len(rates) > 1:
        listed = ", ".join(f"{rate:g}" for rate in rates[:6])
        raise ValueError(f"{name}: recordings at {listed} Hz: give a sample_rate in the preparation to bring them to one")
    due = None if wanted is None else wanted.sample_rate
    if due not in (None, rates[0]):
        raise ValueError(
            f"{name}: recordings at {rates[0]:g} Hz, {due:g} Hz are due: give sample_rate={due:g} in the preparation, or no "
            "preparation where an encoder says its own"
        )
    names = first.channels.names
    return InputSpec(
        channels=len(names),
        names=names,
        sample_rate=rates[0],
        unit=first.preparation.unit,
        positions=places,
        preparation=first.preparation.to_dict(),
    )


def _told(path: str, info: RecordingInfo, channels: ChannelMap) -> list[str]:
    """What is to be known of a recording that is used."""
    made = ", ".join(channels.interpolated)
    found = (info.note, f"{made} interpolated" if made else "", f"without {', '.join(channels.absent)}" if channels.absent else "")
    return [f"  {path}: {one}" for one in found if one]


def tell(name: str, lines: Sequence[str], limit: int = 50) -> None:
    """Print what was left out or found out, on the error stream of the first process."""
    if lines and is_first_process():
        from rich.console import Console

        shown = [*lines[:limit], *([f"  and {len(lines) - limit} more"] if len(lines) > limit else [])]
        Console(stderr=True).print(f"{name}: " + "\n".join(shown), markup=False, highlight=False, soft_wrap=True)
