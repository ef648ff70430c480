"""Recorded and coloured noise: ratios as measured, categories as asked for."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from antiphon.common.augment import BackgroundNoise, ColouredNoise
from antiphon.common.random import KeyedRandom
from antiphon.common.signal.noise_bank import NoiseBank

RATE = 8000
INDEX = torch.arange(90)
LENGTHS = torch.where(INDEX % 3 == 0, 4000, 2500)
soundfile = pytest.importorskip("soundfile")


def keyed(epoch: int = 0) -> KeyedRandom:
    return KeyedRandom.for_examples(0, epoch, INDEX)


def signals(channels: int = 2) -> Tensor:
    values = KeyedRandom(INDEX).normal(channels, 4000) * (1.0 + INDEX[:, None, None]) * 0.01
    return values.masked_fill((torch.arange(4000) >= LENGTHS[:, None])[:, None], float("nan"))


def measured_snr_db(changed: Tensor) -> Tensor:
    noise = changed.double() - signals().double()
    return 10 * (signals().double().square().nanmean(dim=(1, 2)) / noise.square().nanmean(dim=(1, 2))).log10()


@pytest.fixture
def bank(tmp_path: Path) -> NoiseBank:
    """A category of tones of 1000 Hz, one of 2000 Hz, at very different levels."""
    times = torch.arange(3 * RATE) / RATE
    for name, hz, level in (("music/a", 1000, 0.5), ("music/b", 1000, 1e-3), ("speech/c", 2000, 0.1), ("noise/d", 3000, 0.1)):
        path = tmp_path / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, (level * torch.sin(2 * math.pi * hz * times)).numpy(), RATE, subtype="FLOAT")
    return NoiseBank(tmp_path, sample_rate=RATE)


def test_the_measured_ratio_is_the_drawn_one_within_a_tenth_of_a_decibel(bank: NoiseBank) -> None:
    for augmentation in (BackgroundNoise(bank, (-5.0, 20.0)), ColouredNoise((-5.0, 20.0), sample_rate=RATE)):
        drawn = augmentation.sample(keyed().fold("parameters"), signals(), LENGTHS)["snr_db"].flatten()
        measured = measured_snr_db(augmentation(signals(), LENGTHS, keyed()))
        assert float((measured - drawn).abs().max()) < 0.01
        assert float(measured.min()) < -3 and float(measured.max()) > 18


def test_each_category_has_its_own_range_and_comes_up_as_often(bank: NoiseBank) -> None:
    changed = BackgroundNoise(bank, {"music": (0.0, 5.0), "speech": (13.0, 20.0)})(signals(), LENGTHS, keyed())
    noise = (changed - signals()).nan_to_num(0.0)[:, 0, :2500]
    tone = torch.fft.rfft(noise).abs().argmax(dim=1) * RATE / 2500
    music, speech = (tone - 1000).abs() < 10, (tone - 2000).abs() < 10
    assert bool((music | speech).all())  # nothing of the category "noise"
    assert 25 <= int(music.sum()) <= 65
    ratios = measured_snr_db(changed)
    assert float(ratios[music].max()) <= 5.01 and float(ratios[speech].min()) >= 12.99


def test_recordings_and_places_differ_between_examples_and_epochs(bank: NoiseBank) -> None:
    draws = [BackgroundNoise(bank).sample(keyed(epoch), signals(), LENGTHS) for epoch in (0, 1)]
    assert set(draws[0]["recording"].tolist()) == {0, 1, 2, 3}
    assert float((draws[0]["recording"] != draws[1]["recording"]).float().mean()) > 0.5
    same = draws[0]["recording"] == draws[1]["recording"]
    starts = [draw["noise"][same, 0, :5] for draw in draws]
    assert float(((starts[0] - starts[1]).abs().amax(dim=1) > 1e-5).float().mean()) > 0.5  # a tone begins alike after each period


def test_noise_is_common_to_all_channels_where_the_recording_has_one(bank: NoiseBank) -> None:
    noise = (BackgroundNoise(bank)(signals(), LENGTHS, keyed()) - signals())[..., :2500]
    assert torch.allclose(noise[:, 0], noise[:, 1], atol=1e-5)


def test_each_colour_comes_up_and_only_those_named() -> None:
    colours = ColouredNoise(sample_rate=RATE, colours=("pink", "violet")).sample(keyed(), signals(), LENGTHS)["exponent"]
    assert set(colours.tolist()) == {-1, 2}
    for wrong in (("grey",), ()):
        with pytest.raises(ValueError, match="colours must be some of brown, pink, white, blue, violet"):
            ColouredNoise(sample_rate=RATE, colours=wrong)


def test_options_are_checked(bank: NoiseBank) -> None:
    with pytest.raises(ValueError, match="no category 'babble'"):
        BackgroundNoise(bank, {"babble": (0.0, 5.0)})
    with pytest.raises(ValueError, match="snr_db of music must be a pair"):
        BackgroundNoise(bank, {"music": (5.0, 0.0)})
    with pytest.raises(ValueError, match="names no category"):
        BackgroundNoise(bank, {})
