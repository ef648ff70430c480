"""Filters, measured: cut-offs, phase, and equality with a plain convolution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from antiphon.common.random import KeyedRandom
from antiphon.common.signal.filters import band_kernels, bandpass, fir_filter, highpass, kernel_half_width, lowpass

RATE = 22_050
CUTOFFS = torch.tensor([60.0, 200.0, 1200.0, 2200.0, 4000.0, 9000.0])


def noise(count: int, channels: int, size: int) -> Tensor:
    return KeyedRandom(torch.arange(count)).normal(channels, size)


def response_db(kernels: Tensor, size: int = 1 << 17) -> tuple[Tensor, Tensor]:
    """Frequencies in Hz, (F,), and levels in dB, (B, F)."""
    return torch.linspace(0, RATE / 2, size // 2 + 1), 20 * torch.fft.rfft(kernels.double(), n=size).abs().clamp(min=1e-12).log10()


def impulses(count: int, size: int = 1 << 15) -> Tensor:
    values = torch.zeros(count, 1, size)
    values[:, :, size // 2] = 1
    return values


@pytest.mark.parametrize("size", [1, 10, 500, 5000, 20_000])
@pytest.mark.parametrize(("taps", "centre"), [(1, 0), (7, 0), (7, 3), (7, 6), (883, 441), (3000, 5)])
def test_it_is_numpys_convolution_with_each_kernel(size: int, taps: int, centre: int) -> None:
    waves, kernels = noise(3, 2, size).double(), noise(3, 2, taps).double()
    for given, per_channel in ((kernels, True), (kernels[:, 0], False)):
        filtered = fir_filter(waves, given, centre=centre)
        assert filtered.shape == waves.shape
        for row in range(3):
            for channel in range(2):
                kernel = given[row, channel] if per_channel else given[row]
                expected = np.convolve(waves[row, channel], kernel)[centre : centre + size]
                np.testing.assert_allclose(filtered[row, channel], expected, atol=1e-10)


@pytest.mark.parametrize("kind", [lowpass, highpass])
def test_the_cutoff_is_six_decibels_down_within_three_per_cent(kind: type) -> None:
    frequencies, levels = response_db(kind(impulses(6), CUTOFFS, sample_rate=RATE)[:, 0])
    for cutoff, level in zip(CUTOFFS.tolist(), levels, strict=True):
        crossing = float(frequencies[(level + 6.0206).abs().argmin()])
        assert abs(crossing / cutoff - 1) < 0.003
        kept, gone = (frequencies < 0.7 * cutoff), (frequencies > min(1.3 * cutoff, 0.99 * RATE / 2))
        if kind is highpass:
            kept, gone = gone, kept
        assert float(level[kept].abs().max()) < 0.1
        assert float(level[gone].max()) < (-40 if cutoff < 8000 else -30)  # 44 dB is what a Hann window leaves


def test_high_and_low_pass_add_up_to_the_signal_and_have_no_phase() -> None:
    waves = noise(6, 2, 3000)
    low, high = lowpass(waves, CUTOFFS, sample_rate=RATE), highpass(waves, CUTOFFS, sample_rate=RATE)
    assert torch.allclose(low + high, waves, atol=1e-5)
    answer = lowpass(impulses(6), CUTOFFS, sample_rate=RATE)
    assert torch.allclose(answer[..., 1:], answer[..., 1:].flip(-1), atol=1e-6)
    constant = torch.ones(6, 1, 20_000)
    assert torch.allclose(lowpass(constant, CUTOFFS, sample_rate=RATE)[..., 5000:15000], torch.tensor(1.0), atol=1e-5)


def test_a_band_has_both_edges_and_an_edge_at_either_end_is_none() -> None:
    waves = impulses(3)
    low, high = torch.tensor([300.0, 0.0, 300.0]), torch.tensor([3000.0, 3000.0, RATE / 2])
    band = bandpass(waves, low, high, sample_rate=RATE)
    frequencies, levels = response_db(band[:1, 0])
    for edge in (300.0, 3000.0):
        assert float(levels[0, (frequencies - edge).abs().argmin()]) == pytest.approx(-6.02, abs=0.2)
    assert torch.allclose(band[1], lowpass(waves[1:2], 3000.0, sample_rate=RATE)[0], atol=1e-6)
    assert torch.allclose(band[2], highpass(waves[2:], 300.0, sample_rate=RATE)[0], atol=1e-6)
    assert torch.allclose(bandpass(waves, 0.0, RATE / 2, sample_rate=RATE), waves, atol=1e-6)
    assert float(bandpass(waves, 0.0, 0.0, sample_rate=RATE).abs().max()) == 0


def test_a_longer_kernel_than_needed_changes_nothing() -> None:
    low, high, half = torch.tensor([500.0]), torch.tensor([RATE / 2]), kernel_half_width(500.0, sample_rate=RATE)
    tight = band_kernels(low, high, sample_rate=RATE, half_width=half)
    roomy = band_kernels(low, high, sample_rate=RATE, half_width=half + 50)
    assert torch.allclose(roomy[:, 50:-50], tight, atol=1e-7) and float(roomy[:, :50].abs().max()) < 1e-6


def test_cutoffs_and_centres_are_checked() -> None:
    waves = noise(2, 1, 100)
    for low, high in ((-1.0, 100.0), (500.0, 100.0), (100.0, 20_000.0), (float("nan"), 100.0)):
        with pytest.raises(ValueError, match="half the sampling rate"):
            bandpass(waves, low, high, sample_rate=RATE)
    with pytest.raises(ValueError, match="one of the 5 taps"):
        fir_filter(waves, noise(2, 1, 5)[:, 0], centre=5)
