"""Open audio files: soundfile reads them, torchcodec what soundfile cannot, where it is installed."""

from __future__ import annotations

import math
import os
import re
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import local
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from antiphon.common.signal.tar_member import archive_of, descriptor, open_member

MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz: outside them a header is damaged, or the file holds no audio
_CODEC_SUFFIXES = (".m4a", ".aac", ".wma", ".mp4", ".webm")  # what soundfile has no decoder for
_STREAMED = 0x7FFF0000  # bytes: programs that write to a pipe declare a length of this kind, which says nothing
_REUSED = 1 << 24  # bytes
_memory = local()
_MP3_LEAD = 16 * 1152  # a packet of MP3 leans on those before it, 8 of them where tones are packed tightly: decode these too
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
            self._member: BinaryIO | None = None
            embedded = _wav_in_archive(path)
            if embedded is None:
                self._member = open_member(path)
            self._file = embedded or soundfile.SoundFile(self._member or path)
        except soundfile.LibsndfileError as error:
            raise AudioError(path, "not readable as audio: damaged, or in a format that soundfile does not know") from error
        except OSError as error:
            raise AudioError(path, str(error)) from error
        self.path, self.info = path, AudioInfo(self._file.samplerate, self._file.channels, self._file.frames)

    def __enter__(self) -> _SoundfileReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._member is not None:
            self._member.close()

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

        form, subtype = self._file.format, self._file.subtype
        before = min(start, _MP3_LEAD) if form == "MP3" else 0
        kind = "int16" if (form, subtype) == ("WAV", "PCM_16") else "float32"  # numpy is faster at converting these than libsndfile
        try:
            if start:
                self._file.seek(start - before)
            into = _room(before + stop - start, self.info.channels, kind)
            samples: NDArray[Any] = self._file.read(out=into)[before:]
        except soundfile.LibsndfileError as error:
            reason = f"damaged or truncated between {start} and {stop} of {self.info.frames} frames"
            raise AudioError(self.path, f"{reason} ({error.error_string.rstrip('.')})") from error
        except MemoryError as error:
            raise AudioError(self.path, f"{stop - start} frames do not fit into memory: damaged, or to be read in parts") from error
        missing = stop - start - len(samples)
        if missing > (_MP3_SLACK if form == "MP3" and stop == self.info.frames else 0) or not len(samples):
            raise AudioError(self.path, f"truncated: {missing} of {self.info.frames} frames are missing")
        if self.info.channels == 1 and kind == "float32":
            waves = samples.T
        else:
            waves = np.empty(samples.shape[::-1], np.float32)
            np.multiply(samples.T, np.float32(2.0**-15 if kind == "int16" else 1.0), out=waves)
        if not subtype.startswith("PCM") and not _is_finite(waves.reshape(-1)):
            raise AudioError(self.path, "holds NaN or infinite samples")
        return torch.from_numpy(waves)


def _wav_in_archive(path: str) -> Any:
    """A WAV inside a tar file, opened by libsndfile where it lies, which spares a call into Python for every read.

    None for other files, and where the header declares more than the member holds: the end of such a file would be its neighbour.
    """
    import soundfile

    if not path.lower().endswith(".wav") or (place := descriptor(path)) is None:
        return None
    number, size = place
    try:
        file = soundfile.SoundFile(number, closefd=True)
    except soundfile.LibsndfileError:  # which has closed the descriptor
        return None
    width = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4}.get(file.subtype, size)
    if file.format == "WAV" and file.frames * file.channels * width < size:
        return file
    file.close()
    return None


def _is_finite(values: NDArray[Any]) -> bool:
    """Whether no value of (N,) is NaN or infinite; their energy, which takes one fast pass, says so unless it overflows."""
    return math.isfinite(np.dot(values, values)) or bool(np.isfinite(values).all())


def _room(frames: int, channels: int, kind: str) -> NDArray[Any]:
    """An array (frames, channels) to decode into. Where its content is copied on, a thread uses the same memory again and again:
    the system takes about as long to provide fresh memory as libsndfile to fill it from a WAV.
    """
    size = frames * channels * np.dtype(kind).itemsize
    if size > _REUSED or (channels == 1 and kind == "float32"):
        return np.empty((frames, channels), kind)
    if len(getattr(_memory, "bytes", b"")) < size:
        _memory.bytes = np.empty(size, np.uint8)
    return _memory.bytes[:size].view(kind).reshape(frames, channels)


class _TorchcodecReader:
    """An open file, for FFmpeg."""

    def __init__(self, path: str) -> None:
        try:
            from torchcodec.decoders import AudioDecoder  # fails where FFmpeg's libraries are missing, at once or in the next line

            self._decoder = AudioDecoder(path)
            about = self._decoder.metadata
            self.info = AudioInfo(about.sample_rate, about.num_channels, round(about.duration_seconds * about.sample_rate))
        except (ImportError, OSError, RuntimeError, ValueError, TypeError) as error:
            raise AudioError(path, f"torchcodec cannot read it ({_short(error)})") from error
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
            raise AudioError(self.path, f"damaged ({_short(error)})") from error
        offset = start - round(found.pts_seconds * rate)
        return found.data[:, offset : offset + stop - start]


def _short(error: Exception) -> str:
    """The start of torchcodec's message, without the place in its source."""
    return re.sub(r"^.*\.cpp:\d+, ", "", " ".join(str(error).split()))[:160]


def opened(path: str | Path) -> _SoundfileReader | _TorchcodecReader:
    """The file, open, after every check that its header allows.

    Raises:
        AudioError: see there.
    """
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
    if archive_of(path):
        raise first
    if not os.path.exists(path):
        raise AudioError(path, "no such file") from None
    if os.path.isdir(path):
        raise AudioError(path, "is a folder, not an audio file") from None
    if os.path.getsize(path) == 0:
        raise AudioError(path, "the file is empty (0 bytes)") from None
    foreign = path.lower().endswith(_CODEC_SUFFIXES)
    if find_spec("torchcodec") is None:
        raise AudioError(path, "install torchcodec and FFmpeg to read it, or convert it to FLAC") if foreign else first
    try:
        return _TorchcodecReader(path)
    except AudioError:
        if foreign:
            raise
        raise first from None
