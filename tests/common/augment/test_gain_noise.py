"""Levels, measured."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from antiphon.common.augment import AdditiveNoise, Gain, GaussianNoise, PolarityInversion
from antiphon.common.random import KeyedRandom

INDEX = torch.arange(200)
LENGTHS = torch.where(INDEX % 2 == 0, 500, 320)


def keyed() -> KeyedRandom:
    return KeyedRandom.for_examples(0, 0, INDEX)


def signals() -> Tensor:
    values = KeyedRandom(INDEX).normal(3, 500) * (1.0 + INDEX[:, None, None]) + 2.0
    values[:, 2, 10:50] = float("nan")
    return values.masked_fill((torch.arange(500) >= LENGTHS[:, None])[:, None], float("nan")).double()


def level_db(values: Tensor) -> Tensor:
    return 10 * values.square().nanmean(dim=(1, 2)).log10()


def test_gain_in_decibels_is_what_one_measures() -> None:
    augmentation = Gain((-20.0, 3.0))
    gains = level_db(augmentation(signals(), LENGTHS, keyed())) - level_db(signals())
    drawn = augmentation.sample(keyed().fold("parameters"), signals(), LENGTHS)["gain_db"].flatten()
    assert torch.allclose(gains, drawn.double(), atol=1e-5)
    assert gains.min() < -18 and gains.max() > 1 and gains.min() >= -20 and gains.max() <= 3


def test_gain_per_channel_differs_between_channels_and_is_constant_in_time() -> None:
    ratio = Gain((-6.0, 6.0), per="channel")(signals(), LENGTHS, keyed())[:, :, :10] / signals()[:, :, :10]
    assert torch.allclose(ratio, ratio[..., :1].expand_as(ratio), atol=1e-6)
    assert bool((ratio[:, 0, 0] - ratio[:, 1, 0]).abs().gt(1e-4).all())


def test_polarity_inversion_negates_about_half() -> None:
    changed = PolarityInversion()(signals(), LENGTHS, keyed())[:, 0, :300]
    original = signals()[:, 0, :300]
    negated = (changed == -original).all(dim=1)
    assert bool((negated | (changed == original).all(dim=1)).all())
    assert 70 <= int(negated.sum()) <= 130


@pytest.mark.parametrize("std", [0.0, 0.5, 3.0])
def test_gaussian_noise_has_its_deviation_and_no_colour(std: float) -> None:
    noise = (GaussianNoise(std)(signals(), LENGTHS, keyed()) - signals())[:, :2, :320]
    assert float(noise.std()) == pytest.approx(std, rel=0.01)
    assert float(noise.mean()) == pytest.approx(0.0, abs=max(std, 1e-9) * 0.01)
    if std:
        spectrum = torch.fft.rfft(noise).abs().square().mean(dim=(0, 1))[1:-1]
        assert float(spectrum.max() / spectrum.min()) < 1.8
        assert float(torch.corrcoef(noise.transpose(0, 1).flatten(1))[0, 1]) == pytest.approx(0.0, abs=0.02)  # channels independent


def test_measured_snr_is_the_drawn_snr() -> None:
    augmentation = AdditiveNoise((-5.0, 20.0))
    noise = augmentation(signals(), LENGTHS, keyed()) - signals()
    measured = level_db(signals()) - level_db(noise)
    drawn = augmentation.sample(keyed().fold("parameters"), signals(), LENGTHS)["snr_db"].flatten()
    assert torch.allclose(measured, drawn.double(), atol=1e-4)
    assert measured.min() < -3 and measured.max() > 18


def test_a_gain_with_a_limit_clips_there_and_nowhere_else() -> None:
    limited, free = (Gain((0.0, 40.0), limit=limit)(signals(), LENGTHS, keyed())[:, :2, :320] for limit in (100.0, None))
    assert torch.equal(limited, free.clamp(-100.0, 100.0)) and bool((limited.abs() == 100.0).any())


def test_relative_noise_has_its_drawn_share_of_the_deviation_of_the_example() -> None:
    augmentation = GaussianNoise((0.1, 0.5), relative=True)
    noise = (augmentation(signals(), LENGTHS, keyed()) - signals())[:, :2, :320]
    drawn = augmentation.sample(keyed().fold("parameters"), signals(), LENGTHS)["std"].flatten()
    centred = signals() - signals().nanmean(dim=(1, 2), keepdim=True)
    measured = noise.std(dim=(1, 2)) / centred.square().nanmean(dim=(1, 2)).sqrt()
    assert float((measured / drawn - 1).abs().max()) < 0.15  # 640 samples of noise
    assert abs(float((measured / drawn).mean()) - 1) < 0.01
    assert float(measured.min()) < 0.15 and float(measured.max()) > 0.45


def test_silence_stays_silent_and_a_fully_missing_example_stays_missing() -> None:
    values = torch.zeros(2, 1, 50)
    values[1] = float("nan")
    changed = AdditiveNoise((0.0, 0.0))(values, torch.tensor([50, 50]), KeyedRandom.for_examples(0, 0, torch.arange(2)))
    assert bool((changed[0] == 0).all()) and bool(changed[1].isnan().all())


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="gain_db must be a pair"):
        Gain((6.0, -6.0))
    unknown: Any = "time"
    with pytest.raises(ValueError, match="per must be"):
        Gain(per=unknown)
    with pytest.raises(ValueError, match="std must be a number from 0"):
        GaussianNoise(-1.0)
    with pytest.raises(ValueError, match="snr_db must be a pair"):
        AdditiveNoise((1.0, 2.0, 3.0))
