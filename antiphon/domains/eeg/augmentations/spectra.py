"""Frequencies moved or taken out, in hertz at the true sampling rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from antiphon.common.augment.base import Augmentation, Parameters, checked_interval, checked_number
from antiphon.common.augment.noise import observed
from antiphon.common.augment.spectrum import scale_spectrum
from antiphon.common.random import KeyedRandom


def shift_frequencies(signals: Tensor, lengths: Tensor, shift_hz: Tensor, *, sample_rate: float) -> Tensor:
    """Move every frequency of signals (B, C, T) by `shift_hz` (B,), positive is upwards (single-sideband modulation).

    The real part of the analytic signal times exp(2 pi i shift t). The transform is that of each example with zeros behind it up to
    a power of two, so its end does not wrap round to its start. What is shifted below 0 Hz comes back above. Missing values count
    as zero and stay missing.
    """
    known = observed(signals, lengths)
    complete = bool(known.all())
    filled = signals if complete else torch.where(known, signals, 0.0)
    sizes = 2 ** (lengths.double().clamp(min=1).log2().ceil().long())
    padded = pad(filled, (0, max(0, int(sizes.max()) - signals.shape[-1])))
    # The Hilbert transform: a quarter of a period later at every frequency but 0 and half the sampling rate.
    quarter = padded.new_full((len(signals), 1, padded.shape[-1] // 2 + 1), -1.0) * 1j
    bins = torch.arange(quarter.shape[-1], device=signals.device)
    quarter = quarter.masked_fill(((bins == 0) | (2 * bins == sizes[:, None]))[:, None], 0.0)
    delayed = scale_spectrum(padded, sizes, quarter)[..., : signals.shape[-1]]
    times = torch.arange(signals.shape[-1], device=signals.device, dtype=torch.float64) / sample_rate
    phase = 2 * math.pi * shift_hz.double()[:, None, None] * times  # float64: hours of signal keep their phase
    shifted = filled * phase.cos().to(signals.dtype) - delayed * phase.sin().to(signals.dtype)
    return shifted if complete else torch.where(signals.isnan(), signals, shifted)


class FrequencyShift(Augmentation):
    """Move all frequencies of an example by a number of hertz drawn uniformly from `shift_hz`, the same on all channels."""

    def __init__(self, shift_hz: Sequence[float] = (-2.0, 2.0), *, sample_rate: float, p: float = 1.0) -> None:
        super().__init__(p)
        self.sample_rate = checked_number("sample_rate", sample_rate, least=1e-6)
        self.shift_hz = checked_interval("shift_hz", shift_hz, least=-sample_rate / 2, most=sample_rate / 2)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`shift_hz` (B,)."""
        return {"shift_hz": random.uniform(low=self.shift_hz[0], high=self.shift_hz[1])}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) with every frequency moved; a missing value stays missing."""
        return shift_frequencies(signals, lengths, parameters["shift_hz"], sample_rate=self.sample_rate)


class NarrowBandStop(Augmentation):
    """Take out `width_hz` around a frequency drawn uniformly for each example, the same on all channels (BandstopFilter).

    The core's `BandStop` has edges as wide as an octave is at its frequency; here they are `edge_hz` wide on either side at any
    frequency, raised cosines of the spectrum over the whole example. That resolves the band if the example is longer than
    1 / `edge_hz`. A missing value counts as zero and stays missing.
    """

    def __init__(
        self,
        centre_hz: Sequence[float] | None = None,
        *,
        sample_rate: float,
        width_hz: float = 1.0,
        edge_hz: float = 1.0,
        p: float = 1.0,
    ) -> None:
        super().__init__(p)
        self.width_hz = checked_number("width_hz", width_hz, least=0.0, most=sample_rate / 2)
        self.edge_hz = checked_number("edge_hz", edge_hz, least=1e-6, most=sample_rate / 2)
        margin = width_hz / 2 + edge_hz
        if 2 * margin > sample_rate / 2:
            raise ValueError(f"a band of {width_hz} Hz with edges of {edge_hz} Hz does not fit below {sample_rate / 2} Hz")
        everywhere = (margin, sample_rate / 2 - margin)
        self.centre_hz = checked_interval("centre_hz", centre_hz or everywhere, least=0.0, most=sample_rate / 2)
        self.sample_rate = sample_rate

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`centre_hz` (B,)."""
        return {"centre_hz": random.uniform(low=self.centre_hz[0], high=self.centre_hz[1])}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) without the band."""
        bins = torch.arange(signals.shape[-1] // 2 + 1, device=signals.device)
        frequencies = bins * (self.sample_rate / lengths[:, None].clamp(min=1))  # each example's own
        beyond = (frequencies - parameters["centre_hz"][:, None]).abs() - self.width_hz / 2
        factors = 0.5 - 0.5 * torch.cos(math.pi * (beyond / self.edge_hz).clamp(0.0, 1.0))
        return scale_spectrum(signals, lengths, factors[:, None].to(signals.dtype))
