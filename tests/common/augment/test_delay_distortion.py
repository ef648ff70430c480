"""Echoes and distortions as drawn."""

from __future__ import annotations

import math

import pytest
import torch

from antiphon.common.augment import BitDepth, Clipping, Delay, Saturation
from antiphon.common.random import KeyedRandom

RATE = 22_050
INDEX = torch.arange(80)


def keyed() -> KeyedRandom:
    return KeyedRandom.for_examples(0, 0, INDEX)


def test_clmrs_delay_is_one_of_six_times_and_half_as_strong() -> None:
    impulse, lengths = torch.zeros(80, 1, 12_000), torch.full((80,), 12_000)
    impulse[..., 100] = 1.0
    answer = Delay(sample_rate=RATE)(impulse, lengths, keyed())[:, 0]
    assert torch.allclose(answer[:, 100], torch.tensor(0.5))
    places = answer[:, 101:].argmax(dim=1) + 1
    assert torch.allclose(answer.gather(1, (places + 100)[:, None]), torch.tensor(0.25))
    assert sorted(set(places.tolist())) == [round(seconds * RATE) for seconds in (0.2, 0.25, 0.3, 0.35, 0.4, 0.45)]
    assert bool(((answer != 0).sum(dim=1) == 2).all())


def test_a_delay_beyond_the_end_only_halves_and_levels_are_drawn() -> None:
    signals, lengths = KeyedRandom(INDEX).normal(2, 200), torch.full((80,), 150)
    assert torch.allclose(Delay((0.5,), sample_rate=RATE)(signals, lengths, keyed())[..., :150], signals[..., :150] / 2)
    augmentation = Delay((0.0,), sample_rate=RATE, level=(0.2, 0.8))
    ratio = (augmentation(signals, lengths, keyed()) / signals)[:, 0, 0] * 2 - 1
    assert 0.19 < float(ratio.min()) < 0.3 and 0.7 < float(ratio.max()) < 0.81


def test_the_drawn_share_of_samples_is_clipped() -> None:
    signals, lengths = KeyedRandom(INDEX).normal(1, 3000), torch.where(INDEX % 2 == 0, 3000, 2000)
    augmentation = Clipping((0.05, 0.4))
    changed = augmentation(signals, lengths, keyed())
    drawn = augmentation.sample(keyed().fold("parameters"), signals, lengths)["fraction"]
    inside = torch.arange(3000) < lengths[:, None]
    share = ((changed != signals)[:, 0] & inside).sum(dim=1) / lengths
    assert torch.allclose(share, drawn, atol=0.003)
    level = torch.where(inside[:, None], changed, 0.0).abs().amax(dim=2)
    assert bool(((changed.abs() - level[..., None]).abs() < 1e-6).sum(dim=(1, 2)).gt(90).all())


def test_saturation_keeps_the_peak_and_raises_the_level_with_the_drive() -> None:
    sine = 0.2 * torch.sin(2 * math.pi * 5 * torch.arange(1000) / 1000).expand(80, 1, -1)
    augmentation, lengths = Saturation((-10.0, 20.0)), torch.full((80,), 1000)
    changed = augmentation(sine, lengths, keyed())
    drive = augmentation.sample(keyed().fold("parameters"), sine, lengths)["drive_db"]
    assert torch.allclose(changed.abs().amax(dim=2), torch.tensor(0.2), atol=1e-4)
    power = changed.square().mean(dim=(1, 2))[drive.argsort()]
    assert bool((power.diff() >= -1e-7).all()) and float(power[-1]) > 1.6 * float(power[0])  # towards a square: twice


def test_bits_are_whole_numbers_of_the_range_and_count_the_steps() -> None:
    ramp, lengths = torch.linspace(-1, 1, 4001).expand(80, 1, -1), torch.full((80,), 4001)
    augmentation = BitDepth((2, 6))
    bits = augmentation.sample(keyed().fold("parameters"), ramp, lengths)["bits"]
    assert set(bits.tolist()) == {2, 3, 4, 5, 6}
    for mu_law in (False, True):
        changed = BitDepth((2, 6), mu_law=mu_law)(ramp, lengths, keyed())
        assert [int(row.round(decimals=5).unique().numel()) for row in changed] == (2**bits).tolist()


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="names no delay"):
        Delay((), sample_rate=RATE)
    with pytest.raises(ValueError, match="delay_s must be a number from 0"):
        Delay((-0.1,), sample_rate=RATE)
    with pytest.raises(ValueError, match="fraction must be a pair"):
        Clipping((0.0, 1.5))
    with pytest.raises(ValueError, match="drive_db must be a pair"):
        Saturation((0.0, 100.0))
    with pytest.raises(ValueError, match="bits must be a pair"):
        BitDepth((0, 8))
