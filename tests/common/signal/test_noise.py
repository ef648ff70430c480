"""Noise: slopes in decibels per octave, and ratios as measured."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from antiphon.common.random import KeyedRandom
from antiphon.common.signal.noise import COLOURS, add_at_snr, colour, colouring_half_width, deviation, mean_power

RATE = 16_000


def power_density(waves: Tensor, window: int = 8192) -> tuple[Tensor, Tensor]:
    """Welch: frequencies (F,) in Hz and mean power density (B, F)."""
    frames = waves.double().unfold(-1, window, window // 2) * torch.hann_window(window, dtype=torch.float64)
    return torch.linspace(0, RATE / 2, window // 2 + 1), torch.fft.rfft(frames).abs().square().mean(dim=(1, 2))


@pytest.mark.parametrize("lowest_hz", [30.0, 100.0])
def test_the_slope_of_each_colour_is_its_own(lowest_hz: float) -> None:
    half, exponents = colouring_half_width(RATE, lowest_hz), torch.tensor(list(COLOURS.values()))
    white = KeyedRandom(torch.arange(len(exponents))).normal(6, 100_000 + 2 * half)
    noise = colour(white, exponents, half_width=half)
    assert noise.shape == (len(exponents), 6, 100_000)
    frequencies, density = power_density(noise)
    edges = lowest_hz * 2.0 ** torch.arange(0, math.log2(RATE / 2 / lowest_hz) + 0.01, 0.5)
    middles = (edges[1:] * edges[:-1]).sqrt()
    for exponent, row in zip(exponents.tolist(), density, strict=True):
        levels = [
            float(10 * row[(frequencies >= low) & (frequencies < high)].mean().log10()) - 10 * exponent * math.log10(middle)
            for low, high, middle in zip(edges[:-1], edges[1:], middles, strict=True)
        ]  # flat once the slope is taken out
        octaves = middles.log2()
        slope = float(((octaves - octaves.mean()) * torch.tensor(levels)).sum() / (octaves - octaves.mean()).square().sum())
        assert abs(slope) < 0.15  # dB per octave
        assert max(levels) - min(levels) < 1.5


def test_coloured_noise_has_unit_variance_and_is_the_same_whatever_the_length() -> None:
    half, exponents = colouring_half_width(RATE, 100.0), torch.tensor(list(COLOURS.values()))
    random = KeyedRandom(torch.arange(5))
    long = colour(random.fold("noise").normal(2, 30_000 + 2 * half), exponents, half_width=half)
    short = colour(random.fold("noise").normal(2, 700 + 2 * half), exponents, half_width=half)
    assert torch.allclose(long[..., :700], short, atol=1e-4)
    assert torch.allclose(long[exponents >= -1].square().mean(dim=(1, 2)), torch.tensor(1.0), atol=0.05)
    assert float(long[exponents == -2].square().mean()) == pytest.approx(1.0, rel=0.25)  # few independent samples


@pytest.mark.parametrize("channels", [1, 3])
def test_the_measured_ratio_is_the_one_asked_for(channels: int) -> None:
    index = torch.arange(40)
    waves = KeyedRandom(index).normal(3, 400) * (1 + index[:, None, None]) * 1e-3 + 0.01
    noise = KeyedRandom(index + 50).normal(channels, 400) * 10.0 ** (index[:, None, None] / 5 - 4)
    known = (torch.arange(400) < 100 + 5 * index[:, None])[:, None].expand_as(waves)
    wanted = torch.linspace(-20, 40, 40)[:, None, None]
    added = torch.where(known, add_at_snr(waves, noise, wanted, known).double() - waves.double(), 0.0)
    measured = 10 * (torch.where(known, waves, 0.0).double().square().sum((1, 2)) / added.square().sum((1, 2))).log10()
    assert float((measured - wanted.flatten()).abs().max()) < 0.01


def test_silence_stays_silent_and_silent_noise_adds_nothing() -> None:
    waves = torch.stack((torch.zeros(1, 50), torch.ones(1, 50)))
    noise = torch.stack((torch.ones(1, 50), torch.zeros(1, 50)))
    mixed = add_at_snr(waves, noise, torch.zeros(2, 1, 1), torch.ones_like(waves, dtype=torch.bool))
    assert torch.equal(mixed, waves)
    nothing_known = add_at_snr(waves, noise, torch.zeros(2, 1, 1), torch.zeros_like(waves, dtype=torch.bool))
    assert bool(nothing_known.isfinite().all())


def test_power_and_deviation_see_what_is_known() -> None:
    waves = KeyedRandom(torch.arange(3)).normal(2, 1000) * 0.01 + 5.0  # a small deviation around a large mean
    known = (torch.arange(1000) < torch.tensor([[1000], [500], [3]]))[:, None].expand_as(waves)
    for row in range(3):
        values = waves[row][known[row]].double()
        assert float(mean_power(waves, known)[row]) == pytest.approx(float(values.square().mean()), rel=1e-5)
        assert float(deviation(waves, known)[row]) == pytest.approx(float(values.std(correction=0)), rel=1e-3)
