"""Magnitudes and phases changed in the Fourier domain, each example transformed at its own length.

A transform over the padded batch would let the padding change the result, and would see a step where a short example ends. So a
batch of unequal lengths goes through Bluestein's algorithm (a DFT of any length as one convolution with a chirp, per example);
a batch of equal lengths through the ordinary FFT. The two agree to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from antiphon.common.augment.base import Augmentation, Parameters, checked_interval, checked_number
from antiphon.common.augment.noise import observed
from antiphon.common.random import KeyedRandom


def scale_spectrum(signals: Tensor, lengths: Tensor, factors: Tensor) -> Tensor:
    """Multiply the spectrum of each example, at its own length, by `factors`.

    Signals (B, C, T), `lengths` (B,), `factors` (B, 1 or C, T // 2 + 1), real or complex: factor k belongs to k cycles per length
    of the example, and factors beyond half a length are not used. Missing values count as zero and come back missing; the padding
    comes back as zero.
    """
    known = observed(signals, lengths)
    complete = bool(known.all())
    filled = signals if complete else torch.where(known, signals, 0.0)
    if bool((lengths == signals.shape[-1]).all()):
        changed = torch.fft.irfft(torch.fft.rfft(filled) * factors, n=signals.shape[-1])
    else:
        spectrum = chirp_transform(filled.to(_complex(signals.dtype)), lengths)
        # The transform of a real signal is conjugate symmetric: frequency -k is kept at length - k.
        bins = torch.arange(signals.shape[-1], device=signals.device).expand(len(lengths), -1)
        mirrored = bins > lengths[:, None] // 2
        half = torch.where(mirrored, lengths[:, None] - bins, bins).clamp(min=0)[:, None].expand(-1, factors.shape[1], -1)
        whole = factors.gather(2, half)
        spectrum = spectrum * torch.where(mirrored[:, None], whole.conj(), whole)
        # The inverse transform is the conjugate of the transform of the conjugate, over the length.
        changed = chirp_transform(spectrum.conj(), lengths).real / lengths[:, None, None].clamp(min=1)
    return changed if complete else torch.where(signals.isnan(), signals, changed)


def chirp_transform(signals: Tensor, lengths: Tensor) -> Tensor:
    """DFT of complex (B, C, T) over the first `lengths` samples of each example, zero beyond (Bluestein 1970).

    With nk = (n^2 + k^2 - (k - n)^2) / 2 the transform is a convolution with a chirp between two multiplications by its conjugate.
    """
    size = signals.shape[-1]
    real = signals.real.dtype
    padded = 1 << (2 * size - 1).bit_length()
    times = torch.arange(size, device=signals.device)
    # The phase pi n^2 / length is reduced in integers, so float32 keeps its precision however long the signal is.
    period = lengths[:, None].clamp(min=1)
    phase = (times**2 % (2 * period)).to(real) * (math.pi / period.to(real))
    chirp = torch.polar((times < lengths[:, None]).to(real), -phase)[:, None]  # (B, 1, T), zero beyond the length
    wave = chirp.conj().resolve_conj()
    kernel = torch.cat((wave, wave.new_zeros(len(wave), 1, padded - 2 * size + 1), wave[..., 1:].flip(-1)), dim=-1)
    convolved = torch.fft.ifft(torch.fft.fft(signals * chirp, n=padded) * torch.fft.fft(kernel))
    return convolved[..., :size] * chirp


def _complex(dtype: torch.dtype) -> torch.dtype:
    return torch.complex128 if dtype == torch.float64 else torch.complex64


class FrequencyPerturbation(Augmentation):
    """Remove some frequencies and change the level of others (the frequency view of TF-C, Zhang et al. 2022).

    Each DFT bin is removed with probability `remove_p`; each of the rest is scaled, with probability `scale_p`, by a factor uniform
    in `scale`. The mean (bin 0) is kept. All channels share the draws, so what they have in common stays in common.
    """

    def __init__(self, *, remove_p: float = 0.1, scale_p: float = 0.1, scale: Sequence[float] = (0.5, 2.0), p: float = 1.0) -> None:
        super().__init__(p)
        self.remove_p = checked_number("remove_p", remove_p, least=0.0, most=1.0)
        self.scale_p = checked_number("scale_p", scale_p, least=0.0, most=1.0)
        self.scale = checked_interval("scale", scale, least=0.0)

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`factors` (B, 1, T // 2 + 1), one per DFT bin."""
        bins = signals.shape[-1] // 2 + 1
        scaled = random.uniform(1, bins, low=self.scale[0], high=self.scale[1])
        factors = torch.where(random.bernoulli(1, bins, p=self.scale_p), scaled, 1.0)
        factors = factors.masked_fill(random.bernoulli(1, bins, p=self.remove_p), 0.0)
        return {"factors": torch.where(torch.arange(bins, device=signals.device) == 0, 1.0, factors)}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) with scaled bins; missing values count as zero in the transform and stay missing."""
        return scale_spectrum(signals, lengths, parameters["factors"].to(signals.dtype))


class PhasePerturbation(Augmentation):
    """Add a random phase, uniform in 0 .. 2 pi `strength`, to every frequency: the magnitudes stay (Fourier surrogate).

    With `per_channel` False all channels get the same phases, which keeps the relations between channels; keep it so where space
    carries the class. The mean and the frequency at half the sampling rate have no phase and stay.
    """

    def __init__(self, strength: float = 1.0, *, per_channel: bool = False, p: float = 1.0) -> None:
        super().__init__(p)
        self.strength = checked_number("strength", strength, least=0.0, most=1.0)
        self.per_channel = per_channel

    def sample(self, random: KeyedRandom, signals: Tensor, lengths: Tensor) -> Parameters:
        """`phase_rad` (B, 1 or C, T // 2 + 1), one per DFT bin."""
        bins = signals.shape[-1] // 2 + 1
        phase = random.uniform(signals.shape[1] if self.per_channel else 1, bins, high=2 * math.pi * self.strength)
        twice = 2 * torch.arange(bins, device=signals.device)
        return {"phase_rad": phase.masked_fill(((twice == 0) | (twice == lengths[:, None]))[:, None], 0.0)}

    def apply(self, signals: Tensor, lengths: Tensor, parameters: Parameters) -> Tensor:
        """Signals (B, C, T) with turned phases; missing values count as zero in the transform and stay missing."""
        phase = parameters["phase_rad"].to(signals.dtype)
        return scale_spectrum(signals, lengths, torch.polar(torch.ones_like(phase), phase))
