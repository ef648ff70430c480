"""Second-order filters against SciPy's recursion, and their levels at the frequencies that define them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from antiphon.common.random import KeyedRandom
from antiphon.common.signal.biquads import Kind, biquad_filter, coefficients, impulse_response

RATE = 22_050
FREQUENCIES = torch.tensor([20.0, 30.0, 200.0, 3000.0, RATE / 4, 10_000.0, 11_000.0])
KINDS: list[Kind] = ["lowpass", "highpass", "bandpass", "peaking", "low_shelf", "high_shelf"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("q", [0.05, 0.3, 0.5, math.sqrt(0.5), 2.0, 30.0])  # 0.5: a double pole
def test_it_is_scipys_recursion_with_the_same_coefficients(kind: Kind, q: float) -> None:
    lfilter = pytest.importorskip("scipy.signal").lfilter
    waves = KeyedRandom(torch.arange(len(FREQUENCIES))).uniform(2, 12_000, low=-0.1, high=0.1)
    filtered = biquad_filter(waves, kind, FREQUENCIES, sample_rate=RATE, q=q, gain_db=-9.0)
    ones = torch.ones(len(FREQUENCIES), dtype=torch.float64)
    numerators, denominators = coefficients(kind, FREQUENCIES.double(), sample_rate=RATE, q=q * ones, gain_db=-9 * ones)
    for row, wave in enumerate(waves):
        expected = lfilter(numerators[row].numpy(), denominators[row].numpy(), wave.double().numpy())
        np.testing.assert_allclose(filtered[row], expected, atol=3e-6 * np.abs(expected).max())


@pytest.mark.parametrize(("kind", "name"), [("lowpass", "lowpass"), ("highpass", "highpass"), ("peaking", "equalizer")])
def test_it_is_torchaudios_filter(kind: Kind, name: str) -> None:
    functional = pytest.importorskip("torchaudio").functional
    waves = KeyedRandom(torch.arange(1)).uniform(1, 8000, low=-0.1, high=0.1)
    arguments = (300.0, 5.0, 1.5) if kind == "peaking" else (300.0, 1.5)
    expected = getattr(functional, f"{name}_biquad")(waves[0], RATE, *arguments)
    assert torch.allclose(biquad_filter(waves, kind, 300.0, sample_rate=RATE, q=1.5, gain_db=5.0)[0], expected, atol=1e-5)


def level_db(kind: Kind, at_hz: torch.Tensor, frequency_hz: torch.Tensor, **options: float) -> torch.Tensor:
    """Level at `at_hz` (B,) of the filters for `frequency_hz` (B,), measured with an impulse."""
    impulse = torch.zeros(len(at_hz), 1, 1 << 15, dtype=torch.float64)
    impulse[..., 0] = 1
    answer = biquad_filter(impulse, kind, frequency_hz, sample_rate=RATE, **options)[:, 0]
    angle = 2 * math.pi * at_hz.double()[:, None] / RATE * torch.arange(answer.shape[1])
    return 20 * torch.hypot((answer * angle.cos()).sum(1), (answer * angle.sin()).sum(1)).log10()


def test_levels_at_the_defining_frequencies() -> None:
    cutoffs = torch.tensor([100.0, 1000.0, 5000.0])
    assert torch.allclose(level_db("lowpass", cutoffs, cutoffs), torch.tensor(-3.01).double(), atol=0.01)
    assert torch.allclose(level_db("highpass", cutoffs, cutoffs), torch.tensor(-3.01).double(), atol=0.01)
    assert torch.allclose(level_db("bandpass", cutoffs, cutoffs, q=4.0), torch.tensor(0.0).double(), atol=0.01)
    assert torch.allclose(level_db("peaking", cutoffs, cutoffs, q=4.0, gain_db=-7.0), torch.tensor(-7.0).double(), atol=0.01)
    for kind, below, above in (("low_shelf", -7.0, 0.0), ("high_shelf", 0.0, -7.0)):
        middle = torch.tensor([1000.0, 1000.0, 1000.0])
        levels = level_db(kind, torch.tensor([20.0, 1000.0, 10_500.0]), middle, gain_db=-7.0)  # type: ignore[arg-type]
        assert torch.allclose(levels, torch.tensor([below, -3.5, above]).double(), atol=0.05)


def test_the_cutoff_is_three_decibels_down_within_three_per_cent() -> None:
    for cutoff in (80.0, 700.0, 4000.0):
        around = torch.linspace(0.96, 1.04, 41) * cutoff
        levels = level_db("lowpass", around, torch.full_like(around, cutoff))
        assert abs(float(around[(levels + 3.0103).abs().argmin()]) / cutoff - 1) < 0.002


def test_a_pole_at_zero_and_what_cannot_decay() -> None:
    one = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    half = torch.tensor([[1.0, -0.5, 0.0]], dtype=torch.float64)
    assert torch.allclose(impulse_response(one, half, most=6), 0.5 ** torch.arange(6).double())
    with pytest.raises(ValueError, match="does not decay"):
        impulse_response(one, torch.tensor([[1.0, -2.0, 1.0]], dtype=torch.float64), most=6)


def test_options_are_checked() -> None:
    waves = torch.zeros(1, 1, 100)
    for frequency, q in ((0.0, 1.0), (RATE / 2, 1.0), (100.0, 0.0)):
        with pytest.raises(ValueError, match="a biquad needs"):
            biquad_filter(waves, "lowpass", frequency, sample_rate=RATE, q=q)
    with pytest.raises(ValueError, match="kind must be"):
        biquad_filter(waves, "notch", 100.0, sample_rate=RATE)  # type: ignore[arg-type]
