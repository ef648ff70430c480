"""Audio files as tensors."""

from __future__ import annotations

import math
from math import gcd
from pathlib import Path

from torch import Tensor

from antiphon.common.signal.decoders import AudioError, AudioInfo, opened
from antiphon.common.signal.resample import resample, resampled_length

__all__ = ["AUDIO_SUFFIXES", "AudioError", "AudioInfo", "audio_info", "check_audio", "read_audio", "write_audio"]

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf", ".m4a", ".aac", ".wma")
_BLOCK = 1 << 20  # frames that a check decodes at a time
_WRITE_BLOCK = 1 << 16  # frames; libsndfile's Vorbis encoder overruns its stack where some minutes come in one piece
_TAIL = 4096  # frames; more than an MP3 may lack at its end
_FILTER_REACH = 128  # input samples that an output sample of `resample` depends on, either side, at the lower of the two rates


def audio_info(path: str | Path) -> AudioInfo:
    """What the header of an audio file says; nothing is decoded.

    Raises:
        AudioError: a file that is missing, empty, no audio, cut off (as far as its header shows), or of an absurd sampling rate.
    """
    with opened(path) as reader:
        return reader.info


def check_audio(path: str | Path, *, decode: bool = False) -> AudioInfo:
    """`audio_info` after looking at the samples: the last ones, which a truncated file lacks, or all of them (`decode`).

    Raises:
        AudioError: what `read_audio` would raise.
    """
    with opened(path) as reader:
        frames = reader.info.frames
        for start in range(0, frames, _BLOCK) if decode else (max(0, frames - _TAIL),):
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
    (to 1e-5), not those of a snippet with edges of its own.

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
    with opened(path) as reader:
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

    if waves.ndim != 2 or not len(waves):
        raise ValueError(f"waves must be (channels, time), got shape {tuple(waves.shape)}")
    samples = waves.detach().cpu().numpy().T
    try:
        with soundfile.SoundFile(path, "w", sample_rate, len(waves)) as file:
            for start in range(0, len(samples), _WRITE_BLOCK):
                file.write(samples[start : start + _WRITE_BLOCK])
    except (TypeError, ValueError, soundfile.LibsndfileError) as error:
        raise ValueError(f"cannot write {path}: {error}; use .wav, .flac, .ogg or .mp3") from error
