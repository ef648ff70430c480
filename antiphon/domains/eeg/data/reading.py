"""EEG files and mne objects as anonymous recordings in microvolts, of which a part is read when it is asked for."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from antiphon.common.signal.decoders import AudioError
from antiphon.domains.eeg.data.montage import standard_positions
from antiphon.domains.eeg.data.names import canonical_names, is_electrode

if TYPE_CHECKING:
    from mne import BaseEpochs
    from mne.io import BaseRaw

Unit = Literal["auto", "V", "mV", "uV"]
SUFFIXES = (".edf", ".bdf", ".gdf", ".vhdr", ".set", ".fif", ".fif.gz")
UV_PER: dict[Unit, float] = {"V": 1e6, "mV": 1e3, "uV": 1.0}
PLAUSIBLE_UV = (0.1, 1000.0)  # typical deviation of a channel within a second
_ROUNDING = 1e-12  # a flat channel deviates by less, whatever its unit
_LOOKS = 20  # seconds, spread over the recording, that the unit is judged by
_COUNTS = slice(236, 252)  # bytes of an EDF's or BDF's header: data records (-1: nobody knows), and seconds that each lasts
_HEADER = {".edf": slice(8, 168), ".bdf": slice(8, 168), ".gdf": slice(8, 168), ".vhdr": slice(0)}  # bytes on the patient


class RecordingError(AudioError):
    """A recording of EEG that cannot be used: one line that names the file and the reason, never the subject."""

    def __reduce__(self) -> tuple[Any, ...]:
        return RecordingError, (self.path, self.reason)


@dataclass(frozen=True, eq=False)
class RecordingInfo:
    """What is known of a recording without its samples.

    `names` of its EEG channels in today's spelling (those marked bad are left out), `sample_rate` in Hz, `samples` of each channel,
    `positions` (C, 3) in metres where they are known, `uv_per_value` makes microvolts of what the file holds, and `flat` names the
    channels that never vary. `note` says what was found out: an odd unit, flat channels, an end that is missing. `name` is that of
    the file. Nothing here tells whose head it was.
    """

    name: str
    names: tuple[str, ...]
    sample_rate: float
    samples: int
    positions: tuple[tuple[float, float, float], ...] | None
    uv_per_value: float
    note: str
    flat: tuple[str, ...]

    @property
    def duration_s(self) -> float:
        """How long it lasts."""
        return self.samples / self.sample_rate


@dataclass(frozen=True, eq=False)
class Recording(RecordingInfo):
    """A continuous recording whose samples stay on disk until `read` asks for them."""

    _raw: BaseRaw
    _picks: NDArray[np.int64]

    @property
    def info(self) -> RecordingInfo:
        """The same without the open file."""
        return RecordingInfo(**{item.name: getattr(self, item.name) for item in fields(RecordingInfo)})

    def read(self, start: int = 0, stop: int | None = None, *, picks: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Samples `start` to `stop` of the channels `picks` (numbers within `names`; None: all) in microvolts, (C, T).

        Raises:
            RecordingError: a part that cannot be read, or values that are no numbers.
        """
        chosen = self._picks if picks is None else self._picks[picks]
        with quiet(self.name):
            values = self._raw.get_data(picks=chosen, start=start, stop=stop, verbose="ERROR")
        if not np.isfinite(values).all():
            raise RecordingError(self.name, "holds NaN or infinite values: repair it, or leave that part out")
        return np.asarray(values, np.float64) * self.uv_per_value

    def events(self) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """Samples (E,) at which something is annotated, and what; from a trigger channel where there are no annotations."""
        import mne

        with quiet(self.name):
            if len(self._raw.annotations):
                found, codes = mne.events_from_annotations(self._raw, verbose="ERROR")
            elif "stim" in self._raw.get_channel_types():
                found, codes = mne.find_events(self._raw, shortest_event=1, verbose="ERROR"), {}
            else:
                return np.empty(0, np.int64), ()
        words = {number: str(word) for word, number in codes.items()}
        return found[:, 0] - self._raw.first_samp, tuple(words.get(code, str(code)) for code in found[:, 2].tolist())


def open_recording(source: str | Path | BaseRaw, *, unit: Unit = "auto", name: str | None = None) -> Recording:
    """A recording from an EDF, BDF, GDF, BrainVision (.vhdr), EEGLAB (.set) or FIF file, or from an mne `Raw`.

    What the file says of the subject is dropped. The channels are those that are electrodes of the 10-05 system by name; where
    fewer than half of the EEG channels are, all EEG channels. Twenty seconds spread over the recording are looked at: for its
    unit, and for channels that are flat.

    Args:
        source: the file or the object, which is left as it is.
        unit: of the numbers that mne gives, which are volts where the file is honest. "auto" judges by the deviation that EEG has:
            numbers that would be microvolts are taken for such, with a note, and others are refused. "V", "mV", "uV": so be it.
        name: what it is called in messages; None: the path, or "Raw".

    Raises:
        RecordingError: a file that is missing, empty, damaged, of another format, without EEG channels, of an implausible unit, or
            with nothing but flat channels.
        ValueError: an unknown unit.
    """
    if unit not in get_args(Unit):
        raise ValueError(f"unknown unit {unit!r}: use one of {', '.join(get_args(Unit))}")
    recording = _unjudged(source, name)
    spreads = _spreads(recording)
    flat = tuple(one for one, spread in zip(recording.names, spreads.max(axis=0), strict=True) if spread <= _ROUNDING)
    if len(flat) == len(recording.names):
        raise RecordingError(recording.name, "every channel is flat: nothing was recorded")
    scale, *notes = _microvolts(recording.name, spreads, unit)
    notes += [f"flat wherever it was looked at: {', '.join(flat)}"] if flat else []
    notes += _missing_end(source, recording) if isinstance(source, str | Path) else []
    return replace(recording, uv_per_value=scale, flat=flat, note="; ".join(notes))


def _unjudged(source: str | Path | BaseRaw, name: str | None = None) -> Recording:
    """A recording before anything is read of it, in volts if the file is honest."""
    if isinstance(source, str | Path):
        called, raw = name or str(source), _open_file(Path(source))
    else:
        called, raw = name or "Raw", source
    picks = eeg_picks(raw)
    if not len(picks):
        raise RecordingError(called, f"has no EEG channel among {', '.join(raw.ch_names[:8])}")
    if not raw.n_times:
        raise RecordingError(called, "the recording is empty")
    try:
        names = canonical_names([raw.ch_names[pick] for pick in picks])
    except ValueError as error:
        raise RecordingError(called, str(error)) from error
    positions = standard_positions(names) or _own_positions(raw, picks)
    return Recording(called, names, float(raw.info["sfreq"]), int(raw.n_times), positions, 1.0, "", (), raw, picks)


def opened(path: str, uv_per_value: float) -> Recording:
    """A file that was looked at before, kept for the next window: the headers of the last 64 files are not read again."""
    try:
        changed_ns = os.stat(path).st_mtime_ns
    except OSError as error:
        raise RecordingError(path, "no such file any more") from error
    return _opened(path, uv_per_value, changed_ns)


@lru_cache(maxsize=64)
def _opened(path: str, uv_per_value: float, changed_ns: int) -> Recording:
    return replace(_unjudged(path), uv_per_value=uv_per_value)


def raw_from_array(signals: ArrayLike, names: list[str], sample_rate: float, *, unit: Unit = "auto") -> BaseRaw:
    """Signals (C, T) as an mne `Raw` in volts, with the template's positions where all names are electrodes'.

    Raises:
        ValueError: another shape, or numbers that are neither microvolts nor volts ("auto").
    """
    import mne

    values = np.asarray(signals, np.float64)
    if values.ndim != 2 or len(values) != len(names):
        raise ValueError(f"signals must be ({len(names)} channels, time), got shape {values.shape}")
    scale = array_scale(values, unit)
    raw = mne.io.RawArray(values * scale * 1e-6, mne.create_info(names, sample_rate, "eeg"), verbose="ERROR")
    places = standard_positions(names)
    if places is not None:
        raw.set_montage(mne.channels.make_dig_montage(dict(zip(names, map(np.asarray, places), strict=True)), coord_frame="head"))
    return raw


def array_scale(signals: NDArray[Any], unit: Unit = "auto") -> float:
    """What makes microvolts of an array (..., T): 1 or 1e6 by its deviation ("auto"), or what the `unit` says.

    Raises:
        ValueError: an unknown unit, or a deviation that EEG has neither in microvolts nor in volts.
    """
    if unit not in get_args(Unit):
        raise ValueError(f"unknown unit {unit!r}: use one of {', '.join(get_args(Unit))}")
    if unit != "auto":
        return UV_PER[unit]
    spread = float(np.median(signals.std(axis=-1)))
    for scale in (1.0, 1e6):
        if PLAUSIBLE_UV[0] <= spread * scale <= PLAUSIBLE_UV[1]:
            return scale
    raise ValueError(
        f"the channels have a deviation of {spread:g}: EEG in microvolts or volts has not; say unit='uV', 'mV' or 'V' "
        "(data.unit=uV in a command)"
    )


class quiet:
    """No warnings or log lines of mne; its errors become one line without a word of the header's lines on the patient."""

    def __init__(self, path: str | Path) -> None:
        self._path, self._warnings = path, warnings.catch_warnings()

    def __enter__(self) -> None:
        self._warnings.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._warnings.__exit__(kind, error, trace)
        if isinstance(error, Exception) and not isinstance(error, RecordingError | ModuleNotFoundError):
            reason = f"mne cannot read it ({type(error).__name__}{_told(error, Path(self._path))})"
            raise RecordingError(self._path, reason) from None  # the cause may quote the header


def _told(error: Exception, path: Path) -> str:
    """What an error says, unless a word of it stands in the header's lines on patient and recording."""
    message = " ".join(str(error).split())[:200]
    part = _HEADER.get(path.suffix.lower())
    if part is None:  # the patient may stand anywhere
        return ""
    with path.open("rb") as file:
        header = file.read(256)[part].decode("latin-1")
    secret = {word.lower() for word in re.findall(r"[^\W\d_]{2,}", header)}
    words = {word.lower() for word in re.findall(r"[^\W\d_]{2,}", message)}
    return "" if secret & words or not message else f": {message}"


def _open_file(path: Path) -> BaseRaw:
    """An anonymous mne object of a file; no samples are read (EEGLAB files with samples inside excepted)."""
    if not path.is_file():
        raise RecordingError(path, "no such file")
    if not path.stat().st_size:
        raise RecordingError(path, "the file is empty")
    read = _reader(path)
    with quiet(path):
        try:
            raw = read(path, preload=False, verbose="ERROR")
        except Exception as error:  # mne raises nothing narrower for annotations that are no UTF-8
            if "latin1" not in str(error):
                raise
            raw = read(path, preload=False, encoding="latin1", verbose="ERROR")
        raw.anonymize(verbose="ERROR")
    return raw


def _reader(path: Path) -> Callable[..., BaseRaw]:
    try:
        import mne
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"EEG needs {error.name}: pip install 'antiphon[eeg]'", name=error.name) from error
    readers: dict[str, Callable[..., BaseRaw]] = {
        ".edf": mne.io.read_raw_edf,
        ".bdf": mne.io.read_raw_bdf,
        ".gdf": mne.io.read_raw_gdf,
        ".vhdr": mne.io.read_raw_brainvision,
        ".set": mne.io.read_raw_eeglab,
        ".fif": mne.io.read_raw_fif,
        ".gz": mne.io.read_raw_fif,
    }
    if not path.name.lower().endswith(SUFFIXES):
        raise RecordingError(path, f"is no recording of EEG by its name: give one of {', '.join(SUFFIXES)}")
    return readers[path.suffix.lower()]


def eeg_picks(raw: BaseRaw | BaseEpochs) -> NDArray[np.int64]:
    """The numbers of the channels that are EEG, as `open_recording` says, without those marked bad."""
    kinds, bad = raw.get_channel_types(), set(raw.info["bads"])
    picks = [number for number, name in enumerate(raw.ch_names) if kinds[number] == "eeg" and name not in bad]
    named = [number for number in picks if is_electrode(raw.ch_names[number])]
    return np.asarray(named if 2 * len(named) >= len(picks) else picks, np.int64)


def _own_positions(raw: BaseRaw, picks: NDArray[np.int64]) -> tuple[tuple[float, float, float], ...] | None:
    """Where the file says that the electrodes are, if it says so for all of them."""
    places = np.asarray([raw.info["chs"][pick]["loc"][:3] for pick in picks])
    known = np.isfinite(places).all() and (np.abs(places).max(axis=1) > 0).all()
    return tuple((float(x), float(y), float(z)) for x, y, z in places) if known else None


def _spreads(recording: Recording) -> NDArray[np.float64]:
    """The deviation of each channel within seconds spread over a recording, (seconds, C), in what mne gives."""
    size = max(1, min(recording.samples, round(recording.sample_rate)))
    starts = np.unique(np.linspace(0, recording.samples - size, _LOOKS).astype(np.int64))
    return np.stack([recording.read(start, start + size).std(axis=1) for start in starts.tolist()])


def _microvolts(name: str, spreads: NDArray[np.float64], unit: Unit) -> tuple[float, *tuple[str, ...]]:
    """What makes microvolts of the numbers that mne gives, then a note where that is not what they are said to be."""
    if unit != "auto":
        return (UV_PER[unit],)
    spread, (low, high) = float(np.median(spreads[spreads > _ROUNDING])), PLAUSIBLE_UV
    if low <= spread * 1e6 <= high:
        return (1e6,)
    if low <= spread <= high:
        note = (
            f"its values are said to be volts but deviate by {spread:.3g}: taken for microvolts (unit='uV' confirms, 'V' insists; "
            "data.unit=uV in a command)"
        )
        return 1.0, note
    raise RecordingError(
        name,
        f"its channels deviate by {spread * 1e6:.3g} uV, EEG by {low:g} to {high:g}: if the file is right, say unit='V' "
        "(data.unit=V in a command), else 'mV' or 'uV' for what its numbers are",
    )


def _missing_end(path: str | Path, recording: Recording) -> list[str]:
    """A note where an EDF or BDF file ends before all that its header announces."""
    path = Path(path)
    if path.suffix.lower() not in (".edf", ".bdf"):
        return []
    with path.open("rb") as file:
        counts = file.read(256)[_COUNTS].decode("latin-1").replace("\0", " ")
    record_s, there_s = float(counts[8:]), recording.duration_s
    announced_s = int(counts[:8]) * record_s
    if announced_s - there_s < record_s / 2:  # also where the number of records is -1
        return []
    return [f"it was cut off: only {there_s:g} s of {announced_s:g} s are there"]
