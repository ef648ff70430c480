"""Distortions on sines, whose harmonics and quantisation noise are known."""

from __future__ import annotations

import math

import pytest
import torch

from antiphon.common.random import KeyedRandom
from antiphon.common.signal.distortion import clip, clip_level, mu_law, peak, quantize, saturate

SINE = torch.sin(2 * math.pi * 37 * torch.arange(10_000).double() / 10_000).expand(4, 1, -1)


def everything(waves: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(waves, dtype=torch.bool)


def test_the_clip_level_is_the_quantile_of_the_magnitudes_of_what_is_known() -> None:
    waves = KeyedRandom(torch.arange(5)).normal(2, 4000) * torch.tensor([1e-6, 0.1, 1.0, 1e3, 0.0])[:, None, None]
    fractions = torch.tensor([0.3, 0.0, 0.01, 0.9, 0.1])
    known = (torch.arange(4000) < 3000).expand_as(waves)
    levels = clip_level(waves.masked_fill(~known, float("nan")), fractions, known).flatten()
    for row in range(5):
        magnitudes = waves[row][known[row]].abs()
        expected = float(magnitudes.quantile(1 - float(fractions[row])))
        assert float(levels[row]) == pytest.approx(expected, abs=float(magnitudes.max()) * 2e-4)
    clipped = clip(waves, levels[:, None, None])
    touched = ((clipped != waves) & known).sum(dim=(1, 2)) / 6000
    assert torch.allclose(touched[:4], fractions[:4], atol=0.003)


def test_a_saturated_sine_keeps_its_peak_and_has_the_odd_harmonics_of_a_tanh() -> None:
    drive = torch.tensor([-20.0, 0.0, 10.0, 30.0])
    bent = saturate(0.3 * SINE, drive, peak(0.3 * SINE))
    assert torch.allclose(peak(bent).flatten(), torch.tensor(0.3).double(), atol=1e-6)
    harmonics = torch.fft.rfft(bent[:, 0]).abs()[:, [37, 74, 111]] / 5000
    assert float(harmonics[:, 1].max()) < 1e-9  # even ones: none
    third = harmonics[:, 2] / harmonics[:, 0]
    assert float(third[0]) == pytest.approx(0.01 / 12, rel=0.02)  # tanh x = x - x^3/3: g^2 / 12 for a small gain g
    assert float(third[3]) == pytest.approx(1 / 3, rel=0.02)  # a square wave
    assert bool((third.diff() > 0).all())
    silent = torch.zeros(1, 1, 10)
    assert torch.equal(saturate(silent, torch.tensor([60.0]), peak(silent)), silent)


def test_quantisation_noise_is_six_decibels_a_bit() -> None:
    bits = torch.tensor([4, 8, 12, 16])
    loudest = 1 - 2.0 ** (1 - bits.double())  # the highest step is one below full scale
    sines = SINE * loudest[:, None, None]
    rounded = quantize(sines, bits)
    measured = 10 * (sines.square().mean(dim=(1, 2)) / (rounded - sines).square().mean(dim=(1, 2))).log10()
    assert torch.allclose(measured, 6.0206 * bits + 1.76 + 20 * loudest.log10(), atol=0.6)
    assert float(rounded.max()) < 1.0 and int(rounded[0].unique().numel()) <= 16
    assert float(quantize(torch.tensor([[[2.0, -2.0]]]), torch.tensor([4])).abs().max()) == 1.0  # clipped at full scale


def test_mu_law_of_eight_bits_is_torchaudios() -> None:
    functional = pytest.importorskip("torchaudio").functional
    waves = KeyedRandom(torch.arange(2)).uniform(1, 5000, low=-1.0, high=1.0)
    expected = functional.mu_law_decoding(functional.mu_law_encoding(waves, 256), 256)
    assert torch.allclose(mu_law(waves, torch.tensor([8, 8])), expected, atol=1e-5)


def test_gradients_pass_the_rounding() -> None:
    waves = KeyedRandom(torch.arange(2)).uniform(1, 50, low=-1.0, high=1.0).requires_grad_()
    for operation in (quantize, mu_law):
        (gradient,) = torch.autograd.grad(operation(waves, torch.tensor([3, 5])).sum(), waves)
        assert torch.equal(gradient, torch.ones_like(waves))
