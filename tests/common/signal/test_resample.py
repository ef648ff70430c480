"""Resampling against the exact answer for band-limited signals."""

import math

import numpy as np
import pytest
import torch

from antiphon.common.signal.resample import limit_bandwidth, resample, resampled_length

PAIRS = [(44_100, 16_000), (48_000, 16_000), (16_000, 44_100), (22_050, 44_100), (44_100, 48_000)]


def band_limited(rate: int, new_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Half a second of faded noise below 0.9 of the lower Nyquist frequency at both rates, by way of its exact spectrum."""
    count, new_count = rate // 2, new_rate // 2
    generator = np.random.default_rng(0)
    frequencies = np.fft.rfftfreq(count, 1 / rate)
    spectrum = generator.standard_normal(len(frequencies)) + 1j * generator.standard_normal(len(frequencies))
    wave = np.fft.irfft(spectrum * (frequencies < 0.87 * min(rate, new_rate) / 2), count)
    wave *= np.hanning(count) / np.abs(wave).max()
    spectrum = np.fft.rfft(wave)  # the fade widens it a little
    longer = np.zeros(new_count // 2 + 1, complex)
    kept = min(len(longer), len(spectrum))
    longer[:kept] = spectrum[:kept]
    return wave.astype(np.float32), np.fft.irfft(longer, new_count) * new_count / count


@pytest.mark.parametrize(("rate", "new_rate"), PAIRS)
@pytest.mark.parametrize("with_gradient", [False, True], ids=["soxr", "torchaudio"])
def test_exact_within_the_stated_tolerance(rate: int, new_rate: int, with_gradient: bool) -> None:
    wave, exact = band_limited(rate, new_rate)
    made = resample(torch.from_numpy(wave)[None].requires_grad_(with_gradient), rate, new_rate)
    assert made.requires_grad == with_gradient
    assert np.abs(made.detach().numpy()[0] - exact).max() < 2e-4


@pytest.mark.parametrize("length", [1, 2, 7, 1000, 1001, 44_101])
@pytest.mark.parametrize(("rate", "new_rate"), PAIRS)
def test_the_length_is_the_rounded_ratio(length: int, rate: int, new_rate: int) -> None:
    expected = int(np.floor(length * new_rate / rate + 0.5))
    for waves in (torch.zeros(2, length), torch.zeros(2, length, requires_grad=True)):
        assert resample(waves, rate, new_rate).shape == (2, expected)
    assert resampled_length(length, rate, new_rate) == expected
    assert resample(torch.zeros(length), 8_000, 16_001).shape == (resampled_length(length, 8_000, 16_001),)


def test_examples_and_channels_are_independent() -> None:
    waves = torch.randn(3, 2, 4000, generator=torch.Generator().manual_seed(0))
    whole = resample(waves, 16_000, 22_050)
    assert whole.shape == (3, 2, resampled_length(4000, 16_000, 22_050))
    assert torch.equal(whole[1, 1], resample(waves[1, 1], 16_000, 22_050))


def test_equal_rates_change_nothing_and_bad_ones_are_refused() -> None:
    waves = torch.randn(1, 100)
    assert resample(waves, 16_000, 16_000) is waves
    with pytest.raises(ValueError, match="to_rate must be a positive whole number of Hz, got 0"):
        resample(waves, 16_000, 0)
    with pytest.raises(ValueError, match="floating"):
        resample(waves.to(torch.int16), 16_000, 8_000)


def test_a_length_that_ends_on_half_a_sample() -> None:
    """soxr rounds some of these down."""
    for length in (11_040, 16_160, 5_600):
        assert resample(torch.randn(length), 48_000, 22_050).shape == (resampled_length(length, 48_000, 22_050),)


@pytest.mark.parametrize("size", [1, 777, 8001])
def test_a_limited_bandwidth_keeps_what_lies_below_and_nothing_above(size: int) -> None:
    times = torch.arange(size) / 16_000
    low, high = (torch.sin(2 * math.pi * pitch_hz * times) for pitch_hz in (1000.0, 5000.0))
    limited = limit_bandwidth((low + high)[None], 16_000, 4000.0)
    assert limited.shape == (1, size)
    if size > 5000:
        torch.testing.assert_close(limited[0, 1000:-1000], low[1000:-1000], atol=1e-3, rtol=0)
    assert torch.equal(limit_bandwidth(low[None], 16_000, 8000.0), low[None])
    with pytest.raises(ValueError, match="bandwidth_hz must be positive"):
        limit_bandwidth(low[None], 16_000, 0.0)
