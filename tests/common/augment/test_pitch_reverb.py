"""What pitch, stretch and rooms draw, and how it sounds afterwards."""

from __future__ import annotations

import math

import pytest
import torch

from antiphon.common.augment import FreeverbReverb, ImpulseResponse, PitchShift, Reverb, SpeedChange, TimeStretch
from antiphon.common.random import KeyedRandom
from antiphon.common.signal.response_bank import ResponseBank

RATE, SIZE = 16_000, 24_000
LENGTHS = torch.full((6,), SIZE)


def keyed() -> KeyedRandom:
    return KeyedRandom.for_examples(0, 0, torch.arange(6))


def sines(hertz: float) -> torch.Tensor:
    return torch.sin(2 * math.pi * hertz * torch.arange(SIZE) / RATE).expand(6, 1, -1)


def loudest_hz(waves: torch.Tensor) -> torch.Tensor:
    inner = waves[:, 0, 3000:-6000] * torch.hann_window(SIZE - 9000)
    return torch.fft.rfft(inner, n=2**18).abs().argmax(dim=-1) * RATE / 2**18


def test_pitch_is_drawn_for_each_example_and_is_what_was_drawn() -> None:
    shift = PitchShift((-600.0, 600.0), sample_rate=RATE)
    cents = shift.sample(keyed().fold("parameters"), sines(500.0), LENGTHS)["cents"]
    assert cents.abs().max() <= 600 and cents.unique().numel() == 6
    found = 1200 * torch.log2(loudest_hz(shift(sines(500.0), LENGTHS, keyed())) / 500.0)
    assert (found - cents).abs().max() < 3.0


def test_a_stretch_keeps_the_pitch_and_leaves_silence_or_is_cut() -> None:
    stretch = TimeStretch((0.6, 1.4), sample_rate=RATE)
    ratio = stretch.sample(keyed().fold("parameters"), sines(500.0), LENGTHS)["stretch"]
    changed = stretch(sines(500.0), LENGTHS, keyed())
    for wave, end in zip(changed[:, 0], (ratio * SIZE).round().long().tolist(), strict=True):
        assert not wave[end:].any() and wave[min(end, SIZE) - 500 : end].std() > 0.3
    assert (loudest_hz(changed[ratio > 1]) - 500.0).abs().max() < 0.5


def test_speed_changes_both() -> None:
    change = SpeedChange((0.7, 0.95))
    speed = change.sample(keyed().fold("parameters"), sines(500.0), LENGTHS)["speed"]
    assert (loudest_hz(change(sines(500.0), LENGTHS, keyed())) / (500.0 * speed) - 1).abs().max() < 1.5e-3


@pytest.mark.parametrize("reverb", [Reverb((0.2, 0.5), sample_rate=RATE), FreeverbReverb(sample_rate=RATE)])
def test_a_room_keeps_the_level_and_does_not_delay(reverb: Reverb) -> None:
    noise = KeyedRandom(torch.arange(6)).normal(1, SIZE)
    wet = reverb(noise, LENGTHS, keyed())
    inner = wet[..., SIZE // 2 :].std(dim=-1)
    assert bool(((inner > 0.6) & (inner < 1.3)).all())
    spectra = torch.fft.rfft(noise, n=2 * SIZE).conj() * torch.fft.rfft(wet, n=2 * SIZE)
    assert torch.fft.irfft(spectra).argmax(dim=-1).flatten().tolist() == [0] * 6


def test_wet_and_dry() -> None:
    tail = torch.cat((torch.ones(1, 1), 0.2 * KeyedRandom(torch.tensor([1])).normal(99)), dim=1)
    bank = ResponseBank([tail], sample_rate=RATE)
    noise = KeyedRandom(torch.arange(6)).normal(1, SIZE)
    dry, half, wet = (ImpulseResponse(bank, wet=(much, much))(noise, LENGTHS, keyed()) for much in (0.0, 0.5, 1.0))
    assert torch.allclose(dry, noise)
    assert torch.allclose(half, (noise + wet) / 2, atol=1e-5)
    assert not torch.allclose(wet, noise, atol=0.1)


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="stretch"):
        TimeStretch((0.1, 1.0), sample_rate=RATE)
    with pytest.raises(ValueError, match="decay_time_s"):
        Reverb((1.0, 0.5), sample_rate=RATE)
    with pytest.raises(ValueError, match="damping"):
        FreeverbReverb(damping=(0.0, 120.0), sample_rate=RATE)
