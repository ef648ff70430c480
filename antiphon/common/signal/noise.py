"""Noise: its colour, and how much of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from antiphon.common.signal.filters import fir_filter

COLOURS: Mapping[str, int] = MappingProxyType({"brown": -2, "pink": -1, "white": 0, "blue": 1, "violet": 2})
"""Power density goes with this power of the frequency: each step is 3.01 dB per octave."""


def mean_power(waves: Tensor, known: Tensor) -> Tensor:
    """Mean square of each example over the positions of `known`: two (B, C, T) -> (B, 1, 1); 0 where nothing is known."""
    total = torch.where(known, waves, 0.0).square().sum(dim=(1, 2), keepdim=True)
    return total / known.sum(dim=(1, 2), keepdim=True).clamp(min=1)


def deviation(waves: Tensor, known: Tensor) -> Tensor:
    """Standard deviation of each example over the positions of `known`, without Bessel's correction: two (B, C, T) -> (B, 1, 1)."""
    filled = torch.where(known, waves, 0.0)
    mean = filled.sum(dim=(1, 2), keepdim=True) / known.sum(dim=(1, 2), keepdim=True).clamp(min=1)
    return mean_power(waves - mean, known).sqrt()


def add_at_snr(waves: Tensor, noise: Tensor, snr_db: Tensor, known: Tensor) -> Tensor:
    """Waves plus noise, scaled so that the ratio of their mean squares is `snr_db`.

    The ratio is taken over all channels and the positions of `known` of an example, with the very noise that is added (not its
    expectation), so what one measures is what was asked for. A silent example stays silent; silent noise adds nothing.

    Args:
        waves: (B, C, T).
        noise: (B, C, T), or (B, 1, T) for all channels.
        snr_db: (B, 1, 1).
        known: (B, C, T) bool: samples inside their example that are not missing.
    """
    noise_power = mean_power(noise.expand_as(waves), known)
    audible = noise_power > torch.finfo(waves.dtype).tiny
    ratio = torch.where(audible, mean_power(waves, known) / torch.where(audible, noise_power, 1.0), 0.0)
    return waves + noise * (ratio.sqrt() * 10.0 ** (-snr_db / 20.0))


def colouring_half_width(sample_rate: float, lowest_hz: float) -> int:
    """Taps on either side that `colour` needs to keep a slope down to `lowest_hz`."""
    return math.ceil(2 * sample_rate / lowest_hz)


def colour(white: Tensor, exponents: Tensor, *, half_width: int) -> Tensor:
    """Noise of unit variance whose power density goes with frequency^exponent (`COLOURS`), from white noise of unit variance.

    A filter of 2 half_width + 1 taps, not one transform over the whole: so a sample does not depend on how long the batch is, the
    noise has no period, and brown noise does not drown in rumble below 2 sample_rate / half_width Hz, where the density is flat.

    Args:
        white: (B, C, T + 2 half_width).
        exponents: (B,).
        half_width: see `colouring_half_width`.

    Returns:
        (B, C, T).
    """
    taps = 2 * half_width + 1
    bins = torch.arange(half_width + 1, dtype=white.dtype, device=white.device).clamp(min=1)
    kernels = torch.fft.irfft(bins ** (exponents.to(white.dtype)[:, None] / 2) + 0j, n=taps).roll(half_width, dims=1)
    kernels = kernels * torch.hann_window(taps + 2, periodic=False, dtype=white.dtype, device=white.device)[1:-1]
    kernels = kernels / kernels.square().sum(dim=1, keepdim=True).sqrt()
    return fir_filter(white, kernels)[..., 2 * half_width :]
