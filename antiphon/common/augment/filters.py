"""Frequencies taken away or emphasised, in each example others.

What stands here works on waves. For signals whose channels are the bands of a spectrogram there is `masks.FrequencyMask`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from antiphon.common.augment.base import Augmentation, Parameters, checked_interval, checked_number
from antiphon.common.augment.noise import observed
from antiphon.common.random import KeyedRandom
from antiphon.common.signal.biquads import biquad_filter
from antiphon.common.signal.filters import band_kernels, fir_filter, kernel_half_width


class SincFilter(Augmentation):
    """Base of the windowed-sinc filters: no phase, 6 dB down at the cut-off (see `antiphon.common.signal.filters`).

    A subclass draws `low_hz` and `high_hz`, each (B,); 0 and half of `sample_rate` are no edges. Its lowest edge is `lowest_hz`. A
    missing value counts as zero and stays missing.
    """

    def __init__(self, lowest_hz: float, sample_rate: float, p: float) -> None:
        super().__init__(p)
        self.sample_rate = sample_rate
        self._half_width = kernel_half_width(lowest_hz, sample_rate=sample_rate)

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """What lies between the edges."""
        known = observed(signals, lengths)
        return torch.where(known, self._passed(torch.where(known, signals, 0.0), parameters), signals)

    def _passed(self, waves: Tensor, parameters: Parameters) -> Tensor:
        low, high = parameters["low_hz"].to(waves.dtype), parameters["high_hz"].to(waves.dtype)
        kernels = band_kernels(low, high, sample_rate=self.sample_rate, half_width=self._half_width)
        return fir_filter(waves, kernels, centre=self._half_width)


class HighOrLowPass(SincFilter):
    """A high pass, or else a low pass: which, and where it is 6 dB down, is drawn for each example.

    `highpass_hz` and `lowpass_hz` are the ranges of the two cut-offs, drawn uniformly; a high pass comes up with probability
    `highpass_p`. The defaults are the filter of CLMR (Spijkervet & Burgoyne 2021).
    """

    def __init__(
        self,
        highpass_hz: Sequence[float] = (200.0, 1200.0),
        lowpass_hz: Sequence[float] = (2200.0, 4000.0),
        *,
        sample_rate: float,
        highpass_p: float = 0.5,
        p: float = 1.0,
    ) -> None:
        self.highpass_p = checked_number("highpass_p", highpass_p, least=0.0, most=1.0)
        used = {"highpass_hz": highpass_p > 0, "lowpass_hz": highpass_p < 1}
        self.highpass_hz, self.lowpass_hz = (
            _checked_cutoffs(name, cutoffs, sample_rate) if used[name] else (0.0, 0.0)
            for name, cutoffs in (("highpass_hz", highpass_hz), ("lowpass_hz", lowpass_hz))
        )
        super().__init__(min(low for low in (self.highpass_hz[0], self.lowpass_hz[0]) if low > 0), sample_rate, p)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`low_hz` and `high_hz`, each (B,); the one that is no edge is 0 or half the sampling rate."""
        high_pass = random.bernoulli(p=self.highpass_p)
        low = random.uniform(low=self.highpass_hz[0], high=self.highpass_hz[1])
        high = random.uniform(low=self.lowpass_hz[0], high=self.lowpass_hz[1])
        return {"low_hz": torch.where(high_pass, low, 0.0), "high_hz": torch.where(high_pass, self.sample_rate / 2, high)}


class LowPass(HighOrLowPass):
    """Keep what lies below a cut-off (-6 dB) drawn uniformly from `cutoff_hz`."""

    def __init__(self, cutoff_hz: Sequence[float] = (2200.0, 4000.0), *, sample_rate: float, p: float = 1.0) -> None:
        super().__init__(lowpass_hz=cutoff_hz, sample_rate=sample_rate, highpass_p=0.0, p=p)


class HighPass(HighOrLowPass):
    """Keep what lies above a cut-off (-6 dB) drawn uniformly from `cutoff_hz`."""

    def __init__(self, cutoff_hz: Sequence[float] = (200.0, 1200.0), *, sample_rate: float, p: float = 1.0) -> None:
        super().__init__(highpass_hz=cutoff_hz, sample_rate=sample_rate, highpass_p=1.0, p=p)


class BandPass(SincFilter):
    """Keep a band around a centre drawn uniformly from `centre_hz`, of a width drawn uniformly from `width_octaves`.

    Its edges are 6 dB down; an upper edge beyond half of `sample_rate` is none.
    """

    def __init__(
        self,
        centre_hz: Sequence[float] = (200.0, 4000.0),
        width_octaves: Sequence[float] = (1.0, 3.0),
        *,
        sample_rate: float,
        p: float = 1.0,
    ) -> None:
        self.centre_hz = _checked_cutoffs("centre_hz", centre_hz, sample_rate)
        self.width_octaves = checked_interval("width_octaves", width_octaves, least=0.0, most=10.0)
        super().__init__(self.centre_hz[0] * 2.0 ** (-self.width_octaves[1] / 2), sample_rate, p)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`low_hz` and `high_hz`, each (B,)."""
        centre = random.uniform(low=self.centre_hz[0], high=self.centre_hz[1])
        half = 2.0 ** (random.uniform(low=self.width_octaves[0], high=self.width_octaves[1]) / 2)
        return {"low_hz": centre / half, "high_hz": (centre * half).clamp(max=self.sample_rate / 2)}


class BandStop(BandPass):
    """Take out what `BandPass` keeps: a frequency mask for waves."""

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """The signals without the band."""
        return signals - self._passed(torch.where(observed(signals, lengths), signals, 0.0), parameters)


class Equalizer(Augmentation):
    """Raise or lower a band (`kind` peaking), or all below (low_shelf) or above (high_shelf) a frequency, by a biquad.

    `frequency_hz` is drawn uniformly on a logarithmic scale, `gain_db` and `q` uniformly. Several bands: several of these in a
    `Compose`. A missing value counts as zero and stays missing.
    """

    def __init__(
        self,
        frequency_hz: Sequence[float] = (100.0, 6000.0),
        gain_db: Sequence[float] = (-12.0, 12.0),
        *,
        sample_rate: float,
        q: Sequence[float] = (0.5, 2.0),
        kind: Literal["peaking", "low_shelf", "high_shelf"] = "peaking",
        p: float = 1.0,
    ) -> None:
        super().__init__(p)
        self.frequency_hz = _checked_cutoffs("frequency_hz", frequency_hz, sample_rate)
        self.gain_db, self.q = checked_interval("gain_db", gain_db), checked_interval("q", q, least=0.01)
        if kind not in ("peaking", "low_shelf", "high_shelf"):
            raise ValueError(f"kind must be peaking, low_shelf or high_shelf, got {kind!r}")
        self.kind, self.sample_rate = kind, sample_rate

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`frequency_hz`, `gain_db` and `q`, each (B,)."""
        low, high = map(math.log, self.frequency_hz)
        return {
            "frequency_hz": random.uniform(low=low, high=high).exp(),
            "gain_db": random.uniform(low=self.gain_db[0], high=self.gain_db[1]),
            "q": random.uniform(low=self.q[0], high=self.q[1]),
        }

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """The signals with other levels at some frequencies."""
        known = observed(signals, lengths)
        changed = biquad_filter(torch.where(known, signals, 0.0), self.kind, sample_rate=self.sample_rate, **parameters)
        return torch.where(known, changed, signals)


def _checked_cutoffs(name: str, cutoffs_hz: Sequence[float], sample_rate: float) -> tuple[float, float]:
    """Below a hundred-thousandth of the sampling rate a filter would be longer than any signal."""
    return checked_interval(name, cutoffs_hz, least=sample_rate / 1e5, most=sample_rate / 2)
