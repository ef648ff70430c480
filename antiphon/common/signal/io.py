"""Audio files as tensors: soundfile reads them, torchcodec what soundfile cannot, where it is installed."""

from __future__ import annotations

import math
import os
import re
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from antiphon.common.signal.resample import resample, resampled_length

MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz: outside them a header is damaged, or the file holds no audio
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf", ".m4a", ".aac", ".wma")
_CODEC_SUFFIXES = (".m4a", ".aac", ".wma", ".mp4", ".webm")  # what soundfile has no decoder for
_STREAMED = 0x7FFF0000  # bytes: programs that write to a pipe declare a length of this kind, which says nothing
_BLOCK = 1 << 20  # frames
_FILTER_REACH = 64  # input samples that an output sample of `resample` depends on, either side, at the lower of the two rates
_MP3_SLACK = 2 * 1152  # an MP3 header may count encoder padding that decoding removes


class AudioError(ValueError):
    """A file that cannot be used as audio; the message is one line that names the file and the reason.

    `path` and `reason` are its two parts.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = str(path), reason

    def __reduce__(self) -> tuple[Any, ...]:
        return AudioError, (self.path, self.reason)  # the message alone would not rebuild it on the way from a loader's worker


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a header says: `sample_rate` in Hz, number of `channels`, number of `frames` (samples of each channel)."""

    sample_rate: int
    channels: int
    frames: int

    @property
    def duration_s(self) -> float:
        """How long it lasts."""
        return self.frames / self.sample_rate


class _SoundfileReader:
    """An open file, for libsndfile."""

    def __init__(self, path: str) -> None:
        import soundfile

        try:
            self._file = soundfile.SoundFile(path)
        except soundfile.LibsndfileError as error:
            raise AudioError(path, f"not readable as audio ({error.error_string.rstrip('.')})") from error
        self.path, self.info = path, AudioInfo(self._file.samplerate, self._file.channels, self._file.frames)

    def __enter__(self) -> _SoundfileReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def cut_off(self) -> str:
        """What the log of opening says about a missing end, if anything."""
        log = self._file.extra_info
        if "should be" in log:
            found = re.search(r"^data : (\d+) \(should be (\d+)\)", log, re.MULTILINE)
            declared, present = map(int, found.groups()) if found else (0, 0)
            if present < declared < _STREAMED:
                return f"truncated: {present} of {declared} bytes of samples are there"
        if "lacks an end-of-stream" in log and "Junk after the last page" in log:
            return "truncated: the last page is not whole"
        return ""

    def read(self, start: int, stop: int) -> Tensor:
        """Frames `start` to `stop` as (C, T)."""
        import soundfile

        try:
            if start:
                self._file.seek(start)
            samples: NDArray[np.float32] = self._file.read(stop - start, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            reason = f"damaged or truncated between {start} and {stop} of {self.info.frames} frames"
            raise AudioError(self.path, f"{reason} ({error.error_string.rstrip('.')})") from error
        except MemoryError as error:
            raise AudioError(self.path, f"{stop - start} frames do not fit into memory: damaged, or to be read in parts") from error
        missing = stop - start - len(samples)
        if missing > (_MP3_SLACK if self._file.format == "MP3" and stop == self.info.frames else 0):
            raise AudioError(self.path, f"truncated: {missing} of {self.info.frames} frames are missing")
        if not self._file.subtype.startswith("PCM") and not np.isfinite(samples.sum(dtype=np.float64)):
            raise AudioError(self.path, "holds NaN or infinite samples")
        return torch.from_numpy(np.ascontiguousarray(samples.T))


class _TorchcodecReader:
    """An open file, for FFmpeg."""

    def __init__(self, path: str) -> None:
        from torchcodec.decoders import AudioDecoder

        try:
            self._decoder = AudioDecoder(path)
            about = self._decoder.metadata
            self.info = AudioInfo(about.sample_rate, about.num_channels, round(about.duration_seconds * about.sample_rate))
        except (RuntimeError, ValueError, TypeError) as error:
            raise AudioError(path, f"not readable as audio ({' '.join(str(error).split())[:100]})") from error
        self.path = path

    def __enter__(self) -> _TorchcodecReader:
        return self

    def __exit__(self, *_: object) -> None:
        del self._decoder

    def cut_off(self) -> str:
        """FFmpeg does not say before decoding."""
        return ""

    def read(self, start: int, stop: int) -> Tensor:
        """Frames `start` to `stop` as (C, T)."""
        rate = self.info.sample_rate
        try:
            found = self._decoder.get_samples_played_in_range(start / rate, stop / rate)
        except RuntimeError as error:
            raise AudioError(self.path, f"damaged ({' '.join(str(error).split())[:100]})") from error
        offset = start - round(found.pts_seconds * rate)
        return found.data[:, offset : offset + stop - start]


def _opened(path: str | Path) -> _SoundfileReader | _TorchcodecReader:
    """The file, open, after every check that its header allows."""
    name = os.fspath(path)
    try:
        reader: _SoundfileReader | _TorchcodecReader = _SoundfileReader(name)
    except AudioError as error:
        reader = _second_opinion(name, error)
    with ExitStack() as on_failure:
        on_failure.enter_context(reader)
        rate, frames = reader.info.sample_rate, reader.info.frames
        reason = reader.cut_off()
        if not MIN_RATE <= rate <= MAX_RATE:
            reason = f"a sampling rate of {rate} Hz is absurd (not within {MIN_RATE} to {MAX_RATE}): the header is damaged"
        elif frames < 1:
            reason = "holds no audio (0 frames)"
        if reason:
            raise AudioError(name, reason)
        on_failure.pop_all()
    return reader


def _second_opinion(path: str, first: AudioError) -> _TorchcodecReader:
    """FFmpeg's reader of a file that soundfile cannot open, or the reason why nothing can."""
    if not os.path.exists(path):
        raise AudioError(path, "no such file") from None
    if os.path.isdir(path):
        raise AudioError(path, "is a folder, not an audio file") from None
    if os.path.getsize(path) == 0:
        raise AudioError(path, "the file is empty (0 bytes)") from None
    if find_spec("torchcodec") is None:
        if path.lower().endswith(_CODEC_SUFFIXES):
            raise AudioError(path, "soundfile has no decoder for it: install torchcodec and FFmpeg, or convert it to FLAC") from None
        raise first
    return _TorchcodecReader(path)


def audio_info(path: str | Path) -> AudioInfo:
    """What the header of an audio file says; nothing is decoded.

    Raises:
        AudioError: a file that is missing, empty, no audio, cut off (as far as its header shows), or of an absurd sampling rate.
    """
    with _opened(path) as reader:
        return reader.info


def check_audio(path: str | Path, *, decode: bool = False) -> AudioInfo:
    """`audio_info` after looking at the samples: the last one, which a truncated file lacks, or all of them (`decode`).

    Raises:
        AudioError: what `read_audio` would raise.
    """
    with _opened(path) as reader:
        frames = reader.info.frames
        for start in range(0, frames, _BLOCK) if decode else (frames - 1,):
            reader.read(start, min(start + _BLOCK, frames))
        return reader.info


def read_audio(
    path: str | Path,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    sample_rate: int | None = None,
    mono: bool = False,
    min_duration_s: float = 0.0,
) -> tuple[Tensor, int]:
    """An audio file, or a part of it, as waves (C, T) float32 within [-1, 1], and their sampling rate in Hz.

    Only the part asked for is decoded. Resampled, it holds the samples that the whole recording would have there after resampling
    (to 1e-4), not those of a snippet with edges of its own.

    Args:
        path: a file of any format that soundfile reads (wav, flac, ogg, mp3, ...), or torchcodec where it is installed.
        start_s: where the part begins.
        duration_s: how long it is, shorter where the file ends before; None: to the end.
        sample_rate: resample to this many Hz; None: as it is.
        mono: mix all channels down to their mean.
        min_duration_s: refuse a part shorter than this.

    Raises:
        AudioError: a file that is missing, empty, no audio, damaged, truncated, of an absurd sampling rate, with NaN or infinite
            samples, or shorter than `start_s` or `min_duration_s` ask.
        ValueError: a negative start or duration.
    """
    if start_s < 0 or (duration_s is not None and duration_s <= 0):
        raise ValueError(f"start_s must be at least 0 and duration_s above 0, got {start_s} and {duration_s}")
    with _opened(path) as reader:
        info = reader.info
        rate = info.sample_rate if sample_rate is None else sample_rate
        total, first = resampled_length(info.frames, info.sample_rate, rate), round(start_s * rate)
        count = total - first if duration_s is None else min(round(duration_s * rate), total - first)
        if count <= 0:
            raise AudioError(path, f"nothing to read from {start_s:g} s on: it lasts {info.duration_s:g} s")
        if count < round(min_duration_s * rate):
            raise AudioError(path, f"too short: {count / rate:g} s where at least {min_duration_s:g} s are needed")
        start, stop, offset = _source_part(info, first, count, rate)
        waves = reader.read(start, stop)
    waves = waves.mean(dim=0, keepdim=True) if mono and len(waves) > 1 else waves
    return resample(waves, info.sample_rate, rate)[:, offset : offset + count], rate


def _source_part(info: AudioInfo, first: int, count: int, rate: int) -> tuple[int, int, int]:
    """Which frames `start` to `stop` give the `count` samples from `first` on at `rate`, and how many resampled ones come before.

    The part begins where a frame and a sample fall together, so that the phase is right, and early enough for the filter.
    """
    source = info.sample_rate
    if source == rate:
        return first, first + count, 0
    common = gcd(source, rate)
    reach = math.ceil(_FILTER_REACH * max(1.0, source / rate))
    block = max(0, first * source // rate - reach) // (source // common)
    stop = min(info.frames, -(-(first + count) * source // rate) + reach)
    return block * (source // common), stop, first - block * (rate // common)


def write_audio(path: str | Path, waves: Tensor, sample_rate: int) -> None:
    """Write waves (C, T) within [-1, 1]; the ending of `path` says the format, samples are 16-bit where that is the usual depth.

    Raises:
        ValueError: another shape, or an ending that libsndfile does not write.
    """
    import soundfile

    if waves.ndim != 2:
        raise ValueError(f"waves must be (channels, time), got shape {tuple(waves.shape)}")
    try:
        soundfile.write(path, waves.detach().cpu().numpy().T, sample_rate)
    except (TypeError, soundfile.LibsndfileError) as error:
        raise ValueError(f"cannot write {path}: {error}; use .wav, .flac, .ogg or .mp3") from error
