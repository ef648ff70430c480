"""Fourier-domain operations: the transform itself, and what it does to tones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from antiphon.common.augment import FrequencyPerturbation, PhasePerturbation
from antiphon.common.augment.spectrum import chirp_transform, scale_spectrum
from antiphon.common.random import KeyedRandom

LENGTHS = torch.tensor([1, 2, 3, 7, 16, 97, 100, 60])
INDEX = torch.arange(len(LENGTHS))


def keyed(count: int = len(LENGTHS)) -> KeyedRandom:
    return KeyedRandom.for_examples(0, 0, torch.arange(count))


def test_chirp_transform_is_numpys_fft_at_each_length() -> None:
    signals = torch.complex(KeyedRandom(INDEX).normal(2, 100), KeyedRandom(INDEX + 99).normal(2, 100)).to(torch.complex128)
    spectra = chirp_transform(signals, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        np.testing.assert_allclose(spectra[row, :, :length], np.fft.fft(signals[row, :, :length].numpy()), atol=1e-10)
        assert bool((spectra[row, :, length:] == 0).all())


def test_it_keeps_its_precision_in_float32_at_a_large_length() -> None:
    signals = KeyedRandom(torch.arange(1)).normal(1, 30_000)
    lengths = torch.tensor([29_999])
    expected = np.fft.fft(signals[0, 0, :29_999].double().numpy())
    error = np.abs(chirp_transform(signals.to(torch.complex64), lengths)[0, 0, :29_999].numpy() - expected)
    assert error.max() < 2e-5 * np.abs(expected).max()


@pytest.mark.parametrize("factors_of", ["real", "complex"])
def test_scaling_the_spectrum_is_numpys_at_each_length(factors_of: str) -> None:
    signals = KeyedRandom(INDEX).normal(2, 100).double()
    gains = KeyedRandom(INDEX + 50).uniform(1, 51).double()
    phases = KeyedRandom(INDEX + 70).uniform(1, 51).double() if factors_of == "complex" else torch.zeros_like(gains)
    factors = torch.polar(gains, phases) if factors_of == "complex" else gains
    for lengths in (LENGTHS, torch.full_like(LENGTHS, 100)):
        changed = scale_spectrum(signals, lengths, factors)
        for row, length in enumerate(lengths.tolist()):
            spectrum = np.fft.rfft(signals[row, :, :length].numpy())
            multiplied = spectrum * factors[row, :, : spectrum.shape[1]].numpy()
            if phases.any():
                multiplied[:, 0] = multiplied[:, 0].real
            np.testing.assert_allclose(changed[row, :, :length], np.fft.irfft(multiplied, n=length), atol=1e-10)


def tones(count: int, frequencies: list[int], size: int = 200) -> torch.Tensor:
    times = torch.arange(size).double() / size
    return torch.stack([torch.sin(2 * math.pi * f * times + f) for f in frequencies]).sum(dim=0).expand(count, 2, -1) + 3.0


def test_a_tone_is_removed_kept_or_scaled_as_drawn_and_the_mean_stays() -> None:
    signals, lengths = tones(400, [5, 20, 60]), torch.full((400,), 200)
    augmentation = FrequencyPerturbation(remove_p=0.3, scale_p=0.4, scale=(2.0, 3.0))
    spectra = torch.fft.rfft(augmentation(signals, lengths, keyed(400))).abs() / 100
    assert torch.allclose(spectra[..., 0], torch.tensor(6.0).double())
    assert torch.equal(spectra[:, 0], spectra[:, 1])  # channels share the draws
    levels = spectra[:, 0, [5, 20, 60]].flatten()
    removed, kept, raised = levels < 1e-9, (levels - 1).abs() < 1e-6, (levels > 1.99) & (levels < 3.01)
    assert bool((removed | kept | raised).all())
    assert float(removed.double().mean()) == pytest.approx(0.3, abs=0.05)
    assert float(raised.double().mean()) == pytest.approx(0.7 * 0.4, abs=0.05)
    others = spectra[:, 0].clone()
    others[:, [0, 5, 20, 60]] = 0
    assert float(others.max()) < 1e-6


def test_turned_phases_keep_the_magnitudes_and_the_relations_between_channels() -> None:
    signals = KeyedRandom(INDEX).normal(3, 100).double()
    shared = PhasePerturbation(1.0)(signals, LENGTHS, keyed())
    apart = PhasePerturbation(1.0, per_channel=True)(signals, LENGTHS, keyed())
    for row, length in enumerate(LENGTHS.tolist()):
        spectrum, turned, separate = (np.fft.rfft(some[row, :, :length].numpy()) for some in (signals, shared, apart))
        np.testing.assert_allclose(np.abs(turned), np.abs(spectrum), atol=1e-9)
        np.testing.assert_allclose(np.abs(separate), np.abs(spectrum), atol=1e-9)
        np.testing.assert_allclose(turned[0] * turned[1].conj(), spectrum[0] * spectrum[1].conj(), atol=1e-8)
        if length > 16:
            assert np.abs(separate[0] * separate[1].conj() - spectrum[0] * spectrum[1].conj()).max() > 1.0


def test_phases_are_uniform_up_to_the_strength() -> None:
    phases = PhasePerturbation(0.25).sample(keyed(100), torch.zeros(100, 2, 200), torch.full((100,), 200))["phase_rad"]
    assert bool((phases[..., [0, 100]] == 0).all())
    inner = phases[..., 1:100]
    assert float(inner.max()) <= math.pi / 2 and float(inner.mean()) == pytest.approx(math.pi / 4, rel=0.02)


def test_options_are_checked() -> None:
    for options in ({"remove_p": 1.2}, {"scale": (2.0, 1.0)}, {"scale": (-1.0, 1.0)}):
        with pytest.raises(ValueError, match="must be"):
            FrequencyPerturbation(**options)
