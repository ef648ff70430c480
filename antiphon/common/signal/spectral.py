"""Time-frequency features: mel spectrograms and what is made of them.

Numerically those of torchaudio and librosa: `MelSpec` names the settings under which each of them is met. They are computed in
float32 (float64 if the waves are) even under autocast: powers overflow float16, and bfloat16 has three digits.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class MelSpec:
    """How a mel spectrogram is made.

    `n_fft`, `window_size` (None: n_fft) and `hop` (None: a quarter of n_fft) are in samples; frame t is centred on sample t x hop,
    and beyond the ends the waves are mirrored ("reflect") or silent ("constant"). `bands` mel bands lie between `f_min_hz` and
    `f_max_hz` (None: half the sampling rate). `log`: "db" is 10 log10 max(x, floor), "ln" is ln(x + floor), where x sums the
    magnitudes of a band, each to the `power`; `top_db` lifts what lies further than that below the maximum of its example.

    The defaults are those of torchaudio's `MelSpectrogram` and `AmplitudeToDB`. librosa has mel_scale="slaney",
    mel_norm="slaney", pad_mode="constant" and top_db=80.

    Raises:
        ValueError: a setting that makes no spectrogram.
    """

    sample_rate: float
    bands: int = 64
    n_fft: int = 1024
    window_size: int | None = None
    hop: int | None = None
    f_min_hz: float = 0.0
    f_max_hz: float | None = None
    window: Literal["hann", "hamming"] = "hann"
    power: float = 2.0
    pad_mode: Literal["reflect", "constant"] = "reflect"
    mel_scale: Literal["htk", "slaney"] = "htk"
    mel_norm: Literal["slaney"] | None = None
    log: Literal["db", "ln"] = "db"
    floor: float = 1e-10
    top_db: float | None = None

    def __post_init__(self) -> None:
        choices = {
            "window": ("hann", "hamming"),
            "pad_mode": ("reflect", "constant"),
            "mel_scale": ("htk", "slaney"),
            "mel_norm": ("slaney", None),
            "log": ("db", "ln"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}, got {getattr(self, name)!r}")
        if not 0 <= self.f_min_hz < self.highest_hz <= self.sample_rate / 2:
            raise ValueError(
                f"mel bands need 0 <= f_min_hz < f_max_hz <= {self.sample_rate / 2:g} (half the sampling rate), "
                f"got {self.f_min_hz:g} and {self.highest_hz:g}"
            )
        if self.bands < 1 or not 1 <= self.frame <= self.n_fft or self.step < 1:
            raise ValueError(
                f"a mel spectrogram needs bands >= 1, hop >= 1 and 1 <= window_size <= n_fft, "
                f"got bands={self.bands}, hop={self.step}, window_size={self.frame}, n_fft={self.n_fft}"
            )
        if self.floor <= 0 or (self.top_db is not None and (self.top_db <= 0 or self.log != "db")):
            raise ValueError(f"floor and top_db must be positive, and top_db goes with log='db': got {self}")

    @property
    def highest_hz(self) -> float:
        """The upper end of the mel bands."""
        return self.sample_rate / 2 if self.f_max_hz is None else self.f_max_hz

    @property
    def frame(self) -> int:
        """Samples in the window."""
        return self.n_fft if self.window_size is None else self.window_size

    @property
    def step(self) -> int:
        """Samples from frame to frame."""
        return max(1, self.n_fft // 4) if self.hop is None else self.hop


def hz_to_mel(frequency_hz: NDArray[np.float64], scale: Literal["htk", "slaney"]) -> NDArray[np.float64]:
    """Frequencies on the mel scale: O'Shaughnessy's formula (htk), or Slaney's, which is linear up to 1000 Hz."""
    if scale == "htk":
        return 2595.0 * np.log10(1.0 + frequency_hz / 700.0)
    above = 15.0 + 27.0 * np.log(np.maximum(frequency_hz, 1.0) / 1000.0) / math.log(6.4)
    return np.where(frequency_hz < 1000.0, frequency_hz * 3.0 / 200.0, above)


def mel_to_hz(mels: NDArray[np.float64], scale: Literal["htk", "slaney"]) -> NDArray[np.float64]:
    """The inverse of `hz_to_mel`."""
    if scale == "htk":
        return 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    return np.where(mels < 15.0, mels * 200.0 / 3.0, 1000.0 * np.exp((mels - 15.0) * math.log(6.4) / 27.0))


@lru_cache(maxsize=32)
def mel_filterbank(spec: MelSpec) -> NDArray[np.float32]:
    """Triangles on the mel scale, (bands, n_fft // 2 + 1), read-only. Warns of bands too narrow to hold a bin of the FFT."""
    low, high = hz_to_mel(np.array([spec.f_min_hz, spec.highest_hz]), spec.mel_scale)
    corners = mel_to_hz(np.linspace(low, high, spec.bands + 2), spec.mel_scale)[:, None]
    bins = np.linspace(0.0, spec.sample_rate / 2, spec.n_fft // 2 + 1)
    rising = (bins - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - bins) / (corners[2:] - corners[1:-1])
    filters = np.maximum(0.0, np.minimum(rising, falling))
    empty = int((filters.max(axis=1) == 0).sum())
    if empty:
        warnings.warn(
            f"{empty} of {spec.bands} mel bands hold no bin of an FFT of {spec.n_fft} and stay empty: use fewer or a larger n_fft",
            stacklevel=2,
        )
    if spec.mel_norm == "slaney":
        filters *= 2.0 / (corners[2:] - corners[:-2])
    return _frozen(filters)


@lru_cache(maxsize=32)
def _window(name: str, size: int) -> NDArray[np.float32]:
    cosine = np.cos(2 * math.pi * np.arange(size) / size)  # periodic
    return _frozen(0.5 - 0.5 * cosine if name == "hann" else 0.54 - 0.46 * cosine)


@lru_cache(maxsize=32)
def cosine_transform(coefficients: int, bands: int) -> NDArray[np.float32]:
    """The orthonormal DCT-II as a matrix, (coefficients, bands), read-only."""
    rows = np.arange(coefficients)[:, None]
    norms = np.where(rows == 0, math.sqrt(1 / bands), math.sqrt(2 / bands))
    return _frozen(np.cos(math.pi / bands * (np.arange(bands) + 0.5) * rows) * norms)


def _frozen(array: NDArray[np.float64]) -> NDArray[np.float32]:
    """float32 that nobody can write to, for it is cached. No tensor: one made in inference mode would break training later."""
    single = array.astype(np.float32)
    single.setflags(write=False)
    return single


def spectrogram(waves: Tensor, window: Tensor, *, n_fft: int, hop: int, power: float, pad_mode: str) -> Tensor:
    """Magnitudes of the short-time Fourier transform to the `power`: (B, C, T) -> (B, C, T // hop + 1, n_fft // 2 + 1).

    As torch.stft, but frames stay before bins, which a matrix of filters wants: half the time.
    """
    if pad_mode == "reflect" and waves.shape[-1] <= n_fft // 2:
        raise ValueError(
            f"{waves.shape[-1]} samples are too few to be mirrored over {n_fft // 2}: "
            "use longer waves, a smaller n_fft, or pad_mode='constant'"
        )
    before = (n_fft - len(window)) // 2
    window = F.pad(window, (before, n_fft - len(window) - before))
    padded = F.pad(waves, (n_fft // 2, n_fft // 2), mode=pad_mode)
    spectra = torch.fft.rfft(padded.unfold(-1, n_fft, hop) * window)
    squared = torch.addcmul(spectra.real.square(), spectra.imag, spectra.imag)
    return squared if power == 2.0 else squared.clamp(min=1e-30) ** (power / 2)  # the root has no gradient at 0


class LogMel(nn.Module):
    """Log-mel spectrogram as a layer: no weights, and nothing to save but its `spec`.

    Zeros beyond an example's length are silence; `frame_lengths` says how many frames lie inside it.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, spec: MelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("window", torch.tensor(_window(spec.window, spec.frame)), persistent=False)
        self.register_buffer("filters", torch.tensor(mel_filterbank(spec)), persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """Waves (B, C, T) -> (B, C, bands, T // hop + 1).

        Raises:
            ValueError: waves that are too short to be mirrored at their ends.
        """
        with torch.autocast(waves.device.type, enabled=False):
            return _log_mel(waves, self.spec, self.window, self.filters)


class MFCC(LogMel):
    """Mel-frequency cepstral coefficients as a layer: an orthonormal DCT of the log-mel spectrogram."""

    transform: Tensor

    def __init__(self, spec: MelSpec, coefficients: int = 20) -> None:
        super().__init__(spec)
        if not 1 <= coefficients <= spec.bands:
            raise ValueError(f"coefficients must be from 1 to the {spec.bands} mel bands, got {coefficients}")
        self.register_buffer("transform", torch.tensor(cosine_transform(coefficients, spec.bands)), persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """Waves (B, C, T) -> (B, C, coefficients, T // hop + 1)."""
        spectra = super().forward(waves)
        with torch.autocast(waves.device.type, enabled=False):
            return self.transform.to(spectra.dtype) @ spectra


def _log_mel(waves: Tensor, spec: MelSpec, window: Tensor, filters: Tensor) -> Tensor:
    waves = waves if waves.dtype == torch.float64 else waves.float()
    window, filters = window.to(waves.dtype), filters.to(waves.dtype)
    frames = spectrogram(waves, window, n_fft=spec.n_fft, hop=spec.step, power=spec.power, pad_mode=spec.pad_mode)
    mel = (frames @ filters.T).transpose(-1, -2).contiguous()  # (B, C, bands, frames)
    if spec.log == "ln":
        return torch.log(mel + spec.floor)
    decibels = 10.0 * torch.log10(mel.clamp(min=spec.floor))
    if spec.top_db is None:
        return decibels
    return torch.maximum(decibels, decibels.amax(dim=(1, 2, 3), keepdim=True) - spec.top_db)


def log_mel(waves: Tensor, spec: MelSpec) -> Tensor:
    """`LogMel` as a function: (B, C, T) -> (B, C, bands, T // hop + 1). Window and filters are computed once for each `spec`."""
    return LogMel(spec).to(waves.device)(waves)


def mfcc(waves: Tensor, spec: MelSpec, *, coefficients: int = 20) -> Tensor:
    """`MFCC` as a function: (B, C, T) -> (B, C, coefficients, T // hop + 1)."""
    return MFCC(spec, coefficients).to(waves.device)(waves)


def frame_lengths(lengths: Tensor, spec: MelSpec) -> Tensor:
    """How many frames are centred on a sample of the example or on its end, (B,) samples -> (B,)."""
    return lengths // spec.step + 1
